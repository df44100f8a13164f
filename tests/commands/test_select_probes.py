"""`tokmon select` probes uncertain accounts where that could change its choice, against providers on a real socket."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands.logbook import configure, tokmon, write
from tests.commands.test_select import decisions, now_line
from tests.configuration import select
from tests.patience import PATIENCE_S
from tests.probes.loopback import USAGE, Loopback, Reply, Request, error, healthy, loopback
from tests.sidecar.running import wait_until
from tokmon import paths
from tokmon.wire.instants import rfc3339

CHAIN = ("team-a", "team-b")
DEAD = Reply(401, error("invalid x-api-key", "authentication_error"))
LONG = {"TOKMON_DEADLINE_MS": "60000"}
"""Longer than the busiest machine takes."""


def seat(origin: str, name: str) -> dict[str, Any]:
    """A seat whose requests name the account, so that a script can answer for each."""
    headers = {"x-who": name}
    return {"baseUrl": origin, "api": "anthropic-messages", "apiKey": f"sk-ant-oat01-{name}-key", "headers": headers}


def later() -> str:
    """A reset that is still to come."""
    return rfc3339(time.time() + 7200)


def usage(five: float, week: float) -> Reply:
    body = USAGE | {
        "five_hour": {"utilization": five, "resets_at": later()},
        "seven_day": {"utilization": week, "resets_at": later()},
    }
    return Reply(body=body)


@contextlib.contextmanager
def seats(**answers: Reply) -> Iterator[Loopback]:
    """Two seats and a gateway as the emergency; an account that is not named is healthy."""

    def script(request: Request) -> Reply:
        return answers.get(request.headers.get("x-who", "").replace("-", "_"), healthy(request))

    select(chain=list(CHAIN), emergency="gate", policy="threshold", model="claude-sonnet-4-6")
    with loopback(script) as server:
        configure(**{name.replace("-", "_"): seat(server.origin, name) for name in (*CHAIN, "gate")})
        yield server


def probed_accounts(server: Loopback) -> list[str]:
    return sorted(request.headers["x-who"] for request in server.requests)


def lines() -> list[dict[str, Any]]:
    path = paths.find().probe
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def choice(*arguments: str, **env: str) -> str:
    done = tokmon("select", *arguments, **(LONG | env))
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()[0]


def long_enough() -> str:
    """A deadline in milliseconds by which a healthy account answers, on this machine as busy as it is now."""
    began = time.monotonic()
    assert tokmon("--version").returncode == 0
    return str(min(60_000, int(4000 + 15_000 * (time.monotonic() - began))))


def started(**env: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tokmon", "select"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **LONG, **env},
    )


def test_without_any_data_the_chain_is_probed_and_nothing_else() -> None:
    with seats(team_a=usage(10.0, 96.0), team_b=usage(10.0, 20.0)) as server:
        assert choice() == "team-b"
        assert probed_accounts(server) == ["team-a", "team-b"]
        assert {request.path for request in server.requests} == {"/api/oauth/usage"}
    (decision,) = decisions()
    assert [(probe["provider"], probe["http_status"], probe["status"]) for probe in decision["probes"]] == [
        ("team-a", 200, "allowed"),
        ("team-b", 200, "allowed"),
    ]
    assert decision["alternatives"][0]["utilization_7d"] == 0.96
    assert {(line["provider"], line["source"]) for line in lines()} == {("team-a", "probe"), ("team-b", "probe")}
    assert paths.find().probe.stat().st_mode & 0o777 == 0o600


def test_accounts_with_current_data_or_without_a_chance_are_not_probed() -> None:
    with seats() as server:
        write("piggyback.jsonl", now_line("team-a", 0.5))
        assert choice() == "team-a"
        assert server.requests == []
    assert decisions()[0]["probes"] == []
    assert not (paths.find().state / "probes.json").exists()


def test_a_check_by_another_tool_makes_a_probe_unnecessary(tmp_path: Path) -> None:
    checks = {"checked_at": rfc3339(time.time() - 60), "results": {"team-a": {"status": "ok", "ms": 2700}}}
    (tmp_path / "checks.json").write_text(json.dumps(checks), encoding="utf-8")
    with seats() as server:
        assert choice(TOKMON_SELECT_CHECK_FILE=str(tmp_path / "checks.json")) == "team-a"
        assert server.requests == []


@pytest.mark.parametrize(
    ("arguments", "env"), [(("--no-probe",), {}), ((), {"TOKMON_PIN": "team-a"}), ((), {"TOKMON_DEADLINE_MS": "0"})]
)
def test_nothing_is_probed_with_no_probe_a_pin_or_no_time(arguments: tuple[str, ...], env: dict[str, str]) -> None:
    with seats() as server:
        assert choice(*arguments, **env) == "team-a"
        assert server.requests == []
    assert not (paths.find().state / "probes.json").exists()


def test_a_key_refused_to_a_probe_is_skipped_and_explained() -> None:
    with seats(team_a=DEAD):
        explained = tokmon("select", "--explain", **LONG).stdout
    assert explained.startswith("team-b claude-sonnet-4-6")
    assert "probed team-a (GET /api/oauth/usage): HTTP 401, invalid key" in explained
    assert "probed team-b (GET /api/oauth/usage): HTTP 200, allowed" in explained


def test_the_fallback_is_probed_after_the_whole_chain_was_refused() -> None:
    with seats(team_a=DEAD, team_b=DEAD) as server:
        select(chain=list(CHAIN), fallback=["gate"], emergency="last", policy="threshold", model="claude-sonnet-4-6")
        assert choice() == "gate"
        assert [request.headers["x-who"] for request in server.requests][2:] == ["gate"]
    assert [probe["provider"] for probe in decisions()[0]["probes"]] == ["team-a", "team-b", "gate"]


def test_when_every_key_was_refused_all_are_probed_again() -> None:
    refused = {"status": "invalid_key", "windows": []}
    for name in CHAIN:
        for age in (500, 300, 100):
            older = {"ts": rfc3339(time.time() - age), "id": f"{name}-{age}"}
            write("piggyback.jsonl", now_line(name, 0.5) | refused | older)
    with seats(team_a=DEAD) as server:
        assert choice("--no-probe") == "team-a", "it is not believed"
        assert choice() == "team-b"
        assert probed_accounts(server) == ["team-a", "team-b"]


def test_no_process_probes_an_account_again_within_twenty_minutes() -> None:
    with seats(team_a=Reply(500, {}), team_b=Reply(500, {})) as server:
        for _ in range(2):
            assert choice() == "team-a", "nothing is known as before"
        tokmon("monitor", "--provider", "team-a")
        assert probed_accounts(server) == ["team-a", "team-b"]
    assert [len(decision["probes"]) for decision in decisions()] == [2, 0]


def test_an_account_that_throttles_probes_is_left_alone_for_an_hour() -> None:
    with seats(team_a=Reply(429, error("Rate limited", "rate_limit_error"))):
        assert choice() == "team-a"
    known = json.loads((paths.find().state / "probes.json").read_text("utf-8"))["accounts"]
    assert known["team-a"]["next_at"] - known["team-a"]["probed_at"] >= 3600
    assert known["team-b"]["next_at"] - known["team-b"]["probed_at"] < 1500


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=b"<html>"),
        pytest.param(Reply(body=b"\xff\x00" * 1000), marks=pytest.mark.long),
        Reply(body=b"{" * 100_000),
        Reply(body={"five_hour": {"utilization": "x", "resets_at": []}, "seven_day": 7}),
        pytest.param(Reply(302, {}, {"location": "http://127.0.0.1:9/"}), marks=pytest.mark.long),
        pytest.param(Reply(418, {}), marks=pytest.mark.long),
        pytest.param(Reply(404, {}), marks=pytest.mark.long),
        Reply(500, b""),
        Reply(200, b"", {"content-encoding": "gzip"}),
    ],
)
def test_an_unreadable_answer_changes_nothing(reply: Reply) -> None:
    with seats(team_a=reply, team_b=reply) as server:
        assert choice() == "team-a"
        assert len(server.requests) >= 2


@pytest.mark.parametrize("broken", ["refused", "proxy", "address", "no name"])
def test_without_a_network_the_choice_is_the_one_without_probes(broken: str) -> None:
    env = {"HTTP_PROXY": "socks9://[", "http_proxy": "socks9://["} if broken == "proxy" else {}
    origins = {"address": "http://127.0.0.1:0", "no name": "http://no-such-name.invalid"}
    with seats():
        configure(**{name.replace("-", "_"): seat(origins.get(broken, "http://127.0.0.1:9"), name) for name in CHAIN})
        assert choice(**env) == "team-a"
    (decision,) = decisions()
    assert [(probe["provider"], probe["http_status"]) for probe in decision["probes"]] == [
        (name, None) for name in CHAIN
    ]
    assert lines() == [], "no answer is none: what has failed may be our own haste"
    assert [account["fitness"] for account in decision["alternatives"]] == ["unknown"] * 3


@pytest.mark.parametrize("name", ["probes.json", "probes.lock"])
def test_nothing_is_probed_where_the_probe_limit_cannot_be_recorded(name: str) -> None:
    with seats() as server:
        (paths.find().state / name).mkdir(parents=True, mode=0o700)
        paths.find().state.chmod(0o700)
        done = tokmon("select", **LONG)
        assert server.requests == []
    assert (done.stdout, done.returncode) == ("team-a claude-sonnet-4-6\n", 0)
    assert done.stderr.startswith("warning: no account was probed: cannot ")


@pytest.mark.parametrize("place", ["models.json", "auth.json", "probes.json"])
def test_a_pipe_in_the_place_of_a_file_does_not_hang(place: str) -> None:
    with seats():
        path = (paths.find().state if place == "probes.json" else paths.find().agent) / place
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        assert choice() == "team-a"


def test_answers_that_cannot_be_logged_are_used_with_a_warning() -> None:
    with seats(team_a=DEAD):
        paths.find().probe.mkdir(parents=True, mode=0o700)
        done = tokmon("select", **LONG)
    assert (done.stdout, done.returncode) == ("team-b claude-sonnet-4-6\n", 0)
    assert "the answers were not logged" in done.stderr


def test_an_answer_is_used_although_another_account_hangs() -> None:
    with seats(team_a=DEAD, team_b=Reply(hold=True)) as server:
        assert choice(TOKMON_DEADLINE_MS=long_enough()) == "team-b"
        assert not server.over.is_set(), "it hangs still"
    assert [(line["provider"], line["status"]) for line in lines()] == [
        ("team-a", "invalid_key"),
        ("team-b", "network_error"),
    ]


def test_an_account_that_answers_goes_before_one_that_hangs() -> None:
    with seats(team_a=Reply(hold=True)):
        assert choice(TOKMON_DEADLINE_MS=long_enough()) == "team-b"
    (decision,) = decisions()
    assert "the network failed for others" in decision["reason"]


HANGING_NAMES = """
import ctypes, socket
# As a resolver that hangs does: below Python, where nothing can end it.
socket.getaddrinfo = lambda *_: ctypes.CDLL(None).sleep(3600)
"""


def test_a_hanging_name_server_delays_neither_the_choice_nor_the_exit(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(HANGING_NAMES, encoding="utf-8")
    with seats():
        configure(team_a=seat("http://provider.example", "team-a"))
        packages = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
        assert choice(TOKMON_DEADLINE_MS="7000", PYTHONPATH=packages) == "team-a"
    assert decisions()[0]["probes"][0]["error"].startswith("timed out")


def test_a_second_select_waits_for_the_answers_of_the_first() -> None:
    arrived, go_on = threading.Barrier(3), threading.Event()

    def script(request: Request) -> Reply:
        arrived.wait(60)
        go_on.wait(60)
        return DEAD if request.headers["x-who"] == "team-a" else healthy(request)

    folder = paths.find().state
    with seats() as server:
        server.script = script
        first = started()
        arrived.wait(60)
        known = json.loads((folder / "probes.json").read_text("utf-8"))
        for entry in known["accounts"].values():
            entry["probed_at"] = time.time() + 50  # a busy machine may take long to come to where it waits
        (folder / "probes.json").write_text(json.dumps(known), encoding="utf-8")
        second = started()
        wait_until(lambda: (folder / "probes.lock").read_text("ascii") == f"{second.pid}\n", "it looks", 60)
        go_on.set()
        assert [one.communicate(timeout=PATIENCE_S)[0] for one in (first, second)] == ["team-b claude-sonnet-4-6\n"] * 2
        assert probed_accounts(server) == ["team-a", "team-b"]
    assert sorted(len(decision["probes"]) for decision in decisions()) == [0, 2]


def test_of_eight_selects_at_once_one_probes_and_all_answer() -> None:
    with seats(team_a=DEAD) as server:
        running = [started() for _ in range(8)]
        outputs = [one.communicate(timeout=PATIENCE_S) for one in running]
        assert [one.returncode for one in running] == [0] * 8
        assert {out for out, _ in outputs} <= {"team-b claude-sonnet-4-6\n", "team-a claude-sonnet-4-6\n"}
        assert probed_accounts(server) == ["team-a", "team-b"]
    assert sorted(line["provider"] for line in lines()) == ["team-a", "team-b"]
    assert sum(len(decision["probes"]) for decision in decisions()) == 2


def test_select_goes_on_when_the_probing_process_was_killed() -> None:
    with seats(team_a=Reply(hold=True), team_b=Reply(hold=True)) as server:
        first = started()
        wait_until(lambda: len(server.requests) == 2, "it asks", 60)
        first.kill()
        first.communicate(timeout=PATIENCE_S)
        assert choice() == "team-a"
        assert not server.over.is_set()


def test_httpx_is_imported_only_for_a_probe() -> None:
    code = (
        "import sys; from tokmon.commands import select; select.run([]);"
        "print(*sorted({'httpx', 'tokmon.probes'} & set(sys.modules)), file=sys.stderr)"
    )

    def imported() -> str:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE_S
        )
        return done.stderr.strip()

    with seats():
        write("piggyback.jsonl", now_line("team-a", 0.5))
        assert imported() == ""
        (paths.find().logs / "piggyback.jsonl").unlink()
        assert choice() == "team-a"
        assert imported() == ""
        (paths.find().probe).unlink()
        assert imported() == "tokmon.probes", "it is not their turn"
