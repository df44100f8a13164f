"""Members of one host probe an account once, and all of them use the answer: real processes, a provider on a socket."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.commands.test_select_probes import LONG, usage
from tests.patience import PATIENCE_S
from tests.pool.members import Member, member
from tests.probes.loopback import Loopback, Reply, Request, error, healthy, loopback
from tokmon import cli
from tokmon.decision.decide import situation

SEATS = {"team-a": "sk-ant-oat01-aaaaaaaaaaaa", "team-b": "sk-ant-oat01-bbbbbbbbbbbb"}
NAMES = ("nadja", "ludo", "buio", "molto", "vigilio")


def members(folder: Path, server: Loopback, *names: str) -> list[Member]:
    """Members that have these seats, whose requests go to the server."""
    made = [member(folder, name) for name in names]
    for one in made:
        one.configure(SEATS, f'[select]\nchain = {json.dumps([*SEATS])}\npolicy = "threshold"\n')
        configured = json.loads(one.paths.models.read_text("utf-8"))
        for name, entry in configured["providers"].items():
            entry |= {"baseUrl": server.origin, "headers": {"x-who": name}, "models": [{"id": "m"}]}
        one.paths.models.write_text(json.dumps(configured), encoding="utf-8")
    return made


def monitor(one: Member, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """The output of its `tokmon monitor`, in this process."""
    with monkeypatch.context() as patch:
        for name, value in one.env.items():
            patch.setenv(name, value)
        assert cli.main(["monitor", "--utc", *options]) == 0
    return capsys.readouterr().out


def used_week(one: Member, account: str) -> float | None:
    known = situation(one.paths, one.env).snapshot.accounts.get(account)
    return None if known is None or "7d" not in known.windows else known.windows["7d"].window.utilization


def full_first_seat(request: Request) -> Reply:
    return usage(10.0, 96.0) if request.headers["x-who"] == "team-a" else usage(10.0, 20.0)


def test_five_members_that_wake_at_once_probe_each_account_once_and_all_use_the_answers(tmp_path: Path) -> None:
    with loopback(full_first_seat) as server:
        five = members(tmp_path, server, *NAMES)
        running = [
            subprocess.Popen(
                [sys.executable, "-m", "tokmon", "select"],
                env={**one.env, **LONG},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for one in five
        ]
        errors = [process.communicate(timeout=PATIENCE_S)[1] for process in running]
        assert ([process.returncode for process in running], errors) == ([0] * 5, [""] * 5)
        assert sorted(request.headers["x-who"] for request in server.requests) == ["team-a", "team-b"]
        assert [used_week(one, "team-a") for one in five] == [0.96] * 5
        assert five[1].select() == "team-b"
        assert len(server.requests) == 2


def test_monitor_shows_the_answer_of_another_member_and_does_not_probe_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with loopback(full_first_seat) as server:
        nadja, ludo = members(tmp_path, server, "nadja", "ludo")
        assert "probed /api/oauth/usage: HTTP 200" in monitor(nadja, monkeypatch, capsys)
        shown = monitor(ludo, monkeypatch, capsys)
        assert "not probed: the last probe was" in shown
        assert "by nadja, the next is possible in" in shown
        assert " 96%" in shown
        for account in json.loads(monitor(ludo, monkeypatch, capsys, "--json"))["providers"]:
            assert (account["probe"]["probed"], account["probe"]["last_probe_member"]) == (False, "nadja")
        assert len(server.requests) == 2


def test_refused_probe_holds_back_the_other_members(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def script(request: Request) -> Reply:
        refusal = Reply(429, error("Rate limited. Please try again later.", "rate_limit_error"))
        return refusal if request.headers["x-who"] == "team-a" else healthy(request)

    with loopback(script) as server:
        nadja, ludo = members(tmp_path, server, "nadja", "ludo")
        monitor(nadja, monkeypatch, capsys)
        requests = len(server.requests)
        assert "by nadja, the next is possible in 1h" in monitor(ludo, monkeypatch, capsys)
        assert len(server.requests) == requests
    entry = json.loads((nadja.published / "probes.json").read_text("utf-8"))["accounts"]["team-a"]
    assert entry["refusals"] == 1
    assert entry["next_at"] > time.time() + 3000


def test_keys_answers_and_paths_of_probes_are_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with loopback(healthy) as server:
        (nadja,) = members(tmp_path, server, "nadja")
        monitor(nadja, monkeypatch, capsys)
        texts = [path.read_text("utf-8") for path in nadja.published.iterdir()]
        assert len(texts) >= 2
        for private in (*SEATS.values(), server.origin, str(tmp_path), "/api/oauth/usage", "limit_dollars"):
            assert not any(private in text for text in texts), private
