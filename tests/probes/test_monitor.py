"""`tokmon monitor` against a provider on a real socket; in this process, unless the process itself is tested."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.commands.logbook import configure, tokmon
from tests.decision.freshness import published
from tests.pi.answers import unified
from tests.probes.loopback import SCOPE, Reply, Request, error, healthy, loopback
from tokmon import cli, paths
from tokmon.store.codec import parse

SEAT = "sk-ant-oat01-SeatSeatSeatSeat"
PLAIN = 'plain/key"with\\marks'


@dataclass(frozen=True, slots=True)
class Done:
    """A finished run of `tokmon monitor`."""

    code: int
    stdout: str
    stderr: str


Monitor = Callable[..., Done]


@pytest.fixture
def monitor(capsys: pytest.CaptureFixture[str]) -> Monitor:
    """Runs `tokmon monitor` in this process."""

    def run(*arguments: str) -> Done:
        capsys.readouterr()
        code = cli.main(["monitor", *arguments])
        printed = capsys.readouterr()
        return Done(code, printed.out, printed.err)

    return run


def seat(origin: str, **more: Any) -> dict[str, Any]:
    return {"baseUrl": origin, "api": "anthropic-messages", "apiKey": SEAT, "models": [{"id": "m"}], **more}


def lines() -> list[dict[str, Any]]:
    path = paths.find().probe
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def saved_slots() -> dict[str, Any]:
    saved: dict[str, Any] = json.loads((paths.find().state / "probes.json").read_text("utf-8"))
    return saved


def test_monitor_reports_every_account_and_ends_with_an_overall_line(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def script(request: Request) -> Reply:
        if request.headers.get("x-who") == "dead":
            return Reply(401, error("invalid x-api-key", "authentication_error"))
        return healthy(request)

    monkeypatch.setenv("COLUMNS", "100")
    with loopback(script) as server:
        configure(
            team_a=seat(server.origin),
            dead=seat(server.origin, headers={"x-who": "dead"}),
            secret=seat(server.origin, apiKey="!printf key"),
            bedrock={"baseUrl": "https://x", "api": "bedrock-converse-stream", "apiKey": "k"},
        )
        done = monitor()
    assert done.code == 0, done.stderr
    assert "Overall: 1 CRITICAL, 1 OK, 2 UNKNOWN" in done.stdout
    assert "probed /api/oauth/usage: HTTP 200" in done.stdout
    assert "not probed: no credential here: its key is a command" in done.stdout
    assert "accounts of this type cannot be probed (bedrock)" in done.stdout
    assert " 62%" in done.stdout
    assert {line["provider"] for line in lines()} == {"team-a", "dead"}


def test_probe_line_is_understood_by_status_and_read() -> None:
    with loopback(healthy) as server:
        configure(team_a=seat(server.origin))
        assert "Overall: 1 OK" in tokmon("monitor").stdout
    (line,) = lines()
    assert line["source"] == "probe"
    assert line["http_status"] == 200
    assert {"ts", "id", "provider", "type", "status", "utilization_5h", "utilization_7d", "reset_in_seconds"} <= {*line}
    assert paths.find().probe.stat().st_mode & 0o777 == 0o600
    (status,) = json.loads(tokmon("status", "--json").stdout)["providers"]
    assert (status["severity"], status["windows"][0]["source"]) == ("OK", "probe")
    read = subprocess.run(
        [sys.executable, "-m", "tokmon", "read"], input=json.dumps(line), capture_output=True, text=True, check=True
    )
    again = json.loads(read.stdout)
    assert (again["status"], again["windows"]) == (line["status"], line["windows"])


def test_monitor_decides_for_the_next_wake_on_what_it_learned() -> None:
    with loopback(healthy) as server:
        configure(team_a=seat(server.origin))
        own = paths.find()
        tokmon("monitor")
        line = json.loads(own.decisions.read_bytes().splitlines()[-1])
        assert (line["source"], line["provider"]) == ("monitor", "team-a")
        assert published().choice == ("team-a", "m")
        assert published().expires > published().clock.uptime


def test_json_report_has_the_probe_of_the_chosen_account_only(monitor: Monitor) -> None:
    with loopback(healthy) as server:
        configure(team_a=seat(server.origin), other=seat(server.origin))
        done = monitor("--json", "--provider", "team-a")
    report = json.loads(done.stdout)
    (provider,) = report["providers"]
    assert report["overall"]["OK"] == 1
    assert provider["probe"]["probed"]
    assert provider["probe"]["line"]["utilization_7d"] == 0.615


def test_no_log_reports_the_probe_and_stores_no_line(monitor: Monitor) -> None:
    with loopback(healthy) as server:
        configure(team_a=seat(server.origin))
        done = monitor("--no-log")
    assert "Overall: 1 OK" in done.stdout
    assert not paths.find().probe.exists()


def test_recently_probed_account_is_shown_with_its_age_and_probed_again_only_with_force(monitor: Monitor) -> None:
    with loopback(healthy) as server:
        configure(team_a=seat(server.origin))
        monitor()
        done = monitor()
        assert len(server.requests) == 1
        assert "not probed: the last probe was" in done.stdout
        assert " 62%" in done.stdout
        monitor("--force")
        assert len(server.requests) == 2
    assert len(lines()) == 2


def test_account_whose_window_has_reset_is_not_probed_before_its_next_slot(monitor: Monitor) -> None:
    over = unified(0.4, 0.5, now=int(time.time()) - 300_000)
    with loopback(
        lambda request: Reply(404, {}) if request.method == "GET" else Reply(body={"a": 1}, headers=over)
    ) as server:
        configure(team_a=seat(server.origin))
        monitor()
        done = monitor()
        assert len(server.requests) == 2
    assert "reset since, was 40%" in done.stdout


def test_endpoint_that_refuses_probes_as_too_frequent_is_not_probed_for_an_hour(monitor: Monitor) -> None:
    refusal = Reply(429, error("Rate limited", "rate_limit_error"), {"retry-after": "30"})
    with loopback(lambda _: refusal) as server:
        configure(team_a=seat(server.origin))
        monitor()
    entry = saved_slots()["accounts"]["team-a"]
    assert entry["refusals"] == 1
    assert entry["next_at"] - entry["probed_at"] >= 3600


def test_endpoint_that_refuses_a_credential_is_tried_again_only_with_another_one(monitor: Monitor) -> None:
    def script(request: Request) -> Reply:
        return Reply(403, SCOPE) if request.path == "/api/oauth/usage" else healthy(request)

    def end_interval() -> None:
        saved = saved_slots()
        saved["accounts"]["team-a"]["next_at"] = 0
        (paths.find().state / "probes.json").write_text(json.dumps(saved), encoding="utf-8")

    with loopback(script) as server:
        configure(team_a=seat(server.origin))
        monitor()
        end_interval()
        monitor()
        assert server.paths() == ["GET /api/oauth/usage", "POST /v1/messages", "POST /v1/messages"]
        end_interval()
        configure(team_a=seat(server.origin, apiKey=f"{SEAT}2"))
        monitor()
        assert server.paths()[3:] == ["GET /api/oauth/usage", "POST /v1/messages"]
    assert SEAT not in (paths.find().state / "probes.json").read_text("utf-8")


def test_only_one_of_several_processes_probes_an_account() -> None:
    with loopback(healthy) as server:
        configure(team_a=seat(server.origin), team_b=seat(server.origin))
        processes = [
            subprocess.Popen([sys.executable, "-m", "tokmon", "monitor"], stdout=subprocess.DEVNULL) for _ in range(3)
        ]
        assert [monitor.wait(100) for monitor in processes] == [0] * 3
        assert len(server.requests) == 2
    assert sorted(line["provider"] for line in lines()) == ["team-a", "team-b"]


def test_secrets_that_a_server_repeats_are_neither_printed_nor_stored(tmp_path: Path, monitor: Monitor) -> None:
    def script(request: Request) -> Reply:
        sent = request.headers.get("authorization") or request.headers.get("x-api-key", "")
        token = sent.removeprefix("Bearer ")
        headers = {"anthropic-organization-id": token, "request-id": token, "anthropic-ratelimit-unified-status": token}
        if request.path == "/api/oauth/usage":
            return Reply(403, {**SCOPE, "you": request.headers}, headers)
        ends = f"{token[:10]}... ...{token[-10:]}"
        message = f"bad {token} {json.dumps(token)} {ends}"
        return Reply(400, {"error": {"message": message}, "you": request.headers, "ends": ends}, headers)

    with loopback(script) as server:
        configure(
            team_a=seat(server.origin, headers={"x-secret": "second-secret-1"}),
            odd=seat(server.origin, apiKey=PLAIN),
        )
        models = paths.find().models
        printed = [monitor("--force", *form) for form in ([], ["--json"])]
        assert len(server.requests) >= 4
    models.unlink()
    texts = [done.stdout + done.stderr for done in printed]
    texts += [path.read_text("utf-8", "replace") for path in tmp_path.rglob("*") if path.is_file()]
    for text in texts:
        for secret in (SEAT, "SeatSeat", "second-secret", PLAIN, PLAIN[:10], "with\\\\marks", "with\\marks"):
            assert secret not in text


def test_account_that_does_not_answer_is_a_network_error_and_the_process_ends() -> None:
    def script(request: Request) -> Reply:
        return Reply(hold=True) if request.headers.get("x-who") == "hang" else healthy(request)

    with loopback(script) as server:
        configure(hang=seat(server.origin, headers={"x-who": "hang"}), good=seat(server.origin))
        done = tokmon("monitor", "--deadline", "6")  # ends although the server still holds a connection
    assert {line["provider"]: line["status"] for line in lines()} == {"good": "allowed", "hang": "network_error"}
    assert "Overall: 1 WARN, 1 OK" in done.stdout


def test_unknown_provider_is_a_usage_error_that_names_the_known_ones(monitor: Monitor) -> None:
    configure(team_a=seat("http://127.0.0.1:9"))
    done = monitor("--provider", "nobody")
    assert done.code == 2
    assert "hint: pi has `team-a`" in done.stderr


def test_without_a_writable_slot_file_nothing_is_probed_and_the_report_is_shown(monitor: Monitor) -> None:
    with loopback(healthy) as server:
        configure(team_a=seat(server.origin))
        (paths.find().state / "probes.json").mkdir(parents=True, mode=0o700)
        paths.find().state.chmod(0o700)
        done = monitor()
        assert server.requests == []
    assert done.code == 0
    assert "no account was probed" in done.stderr


def test_answers_that_cannot_be_stored_are_shown_and_the_exit_code_is_1(monitor: Monitor) -> None:
    with loopback(healthy) as server:
        configure(team_a=seat(server.origin))
        paths.find().probe.mkdir(parents=True, mode=0o700)
        done = monitor()
    assert done.code == 1
    assert "were not logged" in done.stderr
    assert "Overall: 1 OK" in done.stdout


def test_probe_line_after_a_torn_line_begins_on_a_new_line(monitor: Monitor) -> None:
    with loopback(healthy) as server:
        configure(team_a=seat(server.origin))
        paths.find().logs.mkdir(parents=True, mode=0o700)
        paths.find().probe.write_bytes(b'{"torn":')
        monitor()
    torn, whole = paths.find().probe.read_bytes().splitlines()
    assert torn == b'{"torn":'
    assert parse(whole) is not None
