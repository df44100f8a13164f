"""What was paid for, what pi does besides answering, and the whole way into the logs with the real sidecar."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.extension.listener import Event, Listener
from tests.pi import answers
from tests.pi.answers import QUICK, Answer, Tokens, ToolCall, unified
from tests.pi.install import VERSIONS, Pi
from tests.pi.provider import Provider
from tests.pi.runner import QUICK_RETRIES, Home
from tests.pi.seats import ANTHROPIC, APIS, WORTH_WARMING, Seat
from tests.pi.test_capture import captured, spooled, told, with_extension
from tests.sidecar.running import sidecar
from tokmon import paths
from tokmon.sidecar import client

pytestmark = pytest.mark.pi

HERE: Final = Path(__file__).parent
DRIVE: Final = HERE / "drive.ts"
RELOAD: Final = HERE.parent / "extension" / "reload.ts"
LONG: Final = "hi " * 30_000
NEW: Final = [version for version in VERSIONS if version in {"0.87.1", "1.5.2"}]


def of(events: list[Event], what: str) -> list[Event]:
    return [each for each in events if each.get("what") == what]


@pytest.mark.parametrize("api", APIS)
def test_an_answer_is_counted_once_with_its_tokens_and_its_cost(
    pi: Pi, provider: Provider, tmp_path: Path, api: str
) -> None:
    provider.queue(Answer(tokens=Tokens(1000, 500)))
    with Listener(tmp_path / "sock") as listener:
        run = with_extension(pi, tmp_path, provider, [Seat("team-a", api)]).run()
        (usage,) = listener.of("usage")
    assert run.exit_code == 0
    assert (usage["provider"], usage["model"], usage["api"]) == ("team-a", "loopback-1", api)
    assert (usage["tokens"]["input"], usage["tokens"]["output"]) == (1000, 500)
    assert usage["cost_usd"] == pytest.approx((1000 * 3 + 500 * 15) / 1e6)
    assert usage["cost_source"] == "estimated"
    assert usage["stop"] == "stop"


def test_the_cost_of_a_model_without_a_price_is_unknown_and_not_zero(
    pi: Pi, provider: Provider, tmp_path: Path
) -> None:
    with Listener(tmp_path / "sock") as listener:
        with_extension(pi, tmp_path, provider, [Seat("team-a", price=None)]).run()
        (usage,) = listener.of("usage")
    assert usage["tokens"]["output"] == 7
    assert usage["cost_source"] == "unknown"
    assert usage.get("cost_usd") is None


def test_the_text_of_an_error_is_told_once_per_attempt_without_the_key(
    pi: Pi, provider: Provider, tmp_path: Path
) -> None:
    seat = Seat("team-a", plan=True)
    provider.queue(Answer(status=429, error=f"{answers.ACCOUNT_LIMIT} ({seat.key})", headers=QUICK))
    with Listener(tmp_path / "sock") as listener:
        home = with_extension(pi, tmp_path, provider, [seat])
        home.write("settings.json", {**json.loads((home.agent / "settings.json").read_text()), "retry": QUICK_RETRIES})
        assert home.run().exit_code == 1
        usages, captures = listener.of("usage"), listener.of("capture")
    assert len(usages) == 4
    assert [captured(each) for each in captures] == [told(each) for each in provider.served]
    assert {each["stop"] for each in usages} == {"error"}
    assert all(answers.ACCOUNT_LIMIT in each["error"] for each in usages)
    assert seat.key.encode() not in listener.raw


def test_a_compaction_is_captured_and_billed_where_pi_says_so(pi: Pi, provider: Provider, tmp_path: Path) -> None:
    with Listener(tmp_path / "sock") as listener:
        with with_extension(pi, tmp_path, provider, [Seat("team-a")]).rpc() as rpc:
            rpc.prompt(LONG)
            rpc.prompt(LONG)
            rpc.send("compact")
            assert rpc.close() == 0
        captures, usages = listener.of("capture"), listener.of("usage")
    assert [captured(each) for each in captures] == [told(each) for each in provider.served]
    assert {each["attribution"] for each in captures} == {"wrapper"}
    assert len({each["session"] for each in captures}) == 1
    assert len(of(usages, "assistant")) == 2
    assert len(of(usages, "compaction")) == (1 if pi.at_least_087 else 0)


def test_leaving_a_branch_is_captured_and_billed_where_pi_says_so(pi: Pi, provider: Provider, tmp_path: Path) -> None:
    with Listener(tmp_path / "sock") as listener:
        with with_extension(pi, tmp_path, provider, [Seat("team-a")], DRIVE).rpc() as rpc:
            rpc.prompt("first")
            rpc.prompt("second")
            rpc.drive("/branch")
            assert rpc.close() == 0
        captures, usages = listener.of("capture"), listener.of("usage")
    assert [captured(each) for each in captures] == [told(each) for each in provider.served]
    assert len(of(usages, "branch_summary")) == (1 if pi.at_least_087 else 0)


def test_a_tool_that_bills_is_counted_where_pi_keeps_it(pi: Pi, provider: Provider, tmp_path: Path) -> None:
    provider.queue(Answer(tool=ToolCall("measured", {})), Answer())
    with Listener(tmp_path / "sock") as listener:
        assert with_extension(pi, tmp_path, provider, [Seat("team-a")], DRIVE).run().exit_code == 0
        usages = listener.of("usage")
    assert len(of(usages, "assistant")) == 2
    assert [each["tokens"]["total"] for each in of(usages, "tool_result")] == ([120] if pi.at_least_087 else [])


@pytest.mark.parametrize("version", NEW)
def test_a_warmed_cache_is_captured_and_billed(new_pi: Pi, provider: Provider, tmp_path: Path) -> None:
    seat = Seat("team-a", price=WORTH_WARMING, cache_seconds=11)
    provider.queue(Answer(tokens=Tokens(cache_write=150_000)), Answer(tokens=Tokens(3, 1, cache_read=150_000)))
    with Listener(tmp_path / "sock") as listener:
        home = with_extension(new_pi, tmp_path, provider, [seat])
        settings = json.loads((home.agent / "settings.json").read_text())
        home.write("settings.json", {**settings, "cacheWarming": "idle"})
        with home.rpc() as rpc:
            rpc.prompt("hello")
            rpc.wait(lambda record: record["type"] == "entry_appended")
            assert rpc.close() == 0
        captures, usages = listener.of("capture"), listener.of("usage")
    assert [captured(each) for each in captures] == [told(each) for each in provider.served]
    assert {each["attribution"] for each in captures} == {"wrapper"}
    (warm,) = of(usages, "cache_warm")
    assert warm["tokens"]["cache_read"] == 150_000


def test_after_reload_and_new_every_response_is_still_captured_once(pi: Pi, provider: Provider, tmp_path: Path) -> None:
    with Listener(tmp_path / "sock") as listener:
        with with_extension(pi, tmp_path, provider, [Seat("team-a")], RELOAD).rpc() as rpc:
            rpc.prompt("one")
            for _ in range(2):
                rpc.send("prompt", message="/again")
                rpc.send("get_state")
                time.sleep(0.3)
            rpc.prompt("two")
            rpc.send("new_session")
            rpc.prompt("three")
            assert rpc.close() == 0
        captures, usages = listener.of("capture"), listener.of("usage")
    assert [captured(each) for each in captures] == [told(each) for each in provider.served]
    assert {each["attribution"] for each in captures} == {"wrapper"}
    assert len(usages) == 3
    first, second, third = (each["session"] for each in captures)
    assert first == second != third
    assert [each["session"] for each in usages] == [first, second, third]


def test_a_resumed_session_is_not_billed_again(pi: Pi, provider: Provider, tmp_path: Path) -> None:
    provider.queue(Answer(tool=ToolCall("measured", {})), Answer())
    with Listener(tmp_path / "sock") as listener:
        home = with_extension(pi, tmp_path, provider, [Seat("team-a")], DRIVE)
        assert home.run().exit_code == 0
        before = len(listener.of("usage"))
        assert home.run("again", None, "--continue").exit_code == 0
        after = len(listener.of("usage"))
    assert before == (3 if pi.at_least_087 else 2)
    assert after == before + 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_pi_that_is_ended_in_a_stream_has_told_of_the_response(
    pi: Pi, provider: Provider, tmp_path: Path, number: signal.Signals
) -> None:
    provider.queue(Answer(headers=unified(), hold_stream=threading.Event()))
    with Listener(tmp_path / "sock") as listener:
        with with_extension(pi, tmp_path, provider, [Seat("team-a")]).start() as process:
            provider.wait_for(lambda served: any(each.chunks for each in served))
            listener.wait(lambda events: len(events) > 0)
            process.send_signal(number)
            process.communicate(timeout=20)
        captures = listener.of("capture")
    assert [captured(each) for each in captures] == [told(each) for each in provider.served]


def sidecar_env(home: Home) -> dict[str, str]:
    names = ("HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")
    return {name: home.env[name] for name in names}


def logged(home: Home, name: str) -> list[dict[str, Any]]:
    file = home.root / ".logs" / "token-monitor" / name
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def own_socket(pi: Pi, provider: Provider, tmp_path: Path, seats: list[Seat], **env: str) -> Home:
    home = with_extension(pi, tmp_path, provider, seats, **env)
    del home.env["TOKMON_SOCKET"]
    return home


@pytest.mark.parametrize("status", [200, 429])
def test_with_the_real_sidecar_every_response_is_in_the_log(
    pi: Pi, provider: Provider, tmp_path: Path, status: int
) -> None:
    answer = Answer(status=status, headers={**unified(), **QUICK}, error="" if status == 200 else "no")
    provider.queue(answer)
    home = own_socket(pi, provider, tmp_path, [Seat("team-a", plan=True)])
    with sidecar(env=sidecar_env(home)) as running:
        home.run()
        running.stop()
    lines = logged(home, "piggyback.jsonl")
    assert [each["http_status"] for each in lines] == [each.status for each in provider.served]
    assert {each["provider"] for each in lines} == {"team-a"}
    assert {each["utilization_5h"] for each in lines} == {0.42}
    assert {each["member"] for each in lines} == {"tester"}
    (usage,) = logged(home, "usage.jsonl")
    assert usage["provider"] == "team-a"
    assert not list((paths.find(home.env).spool / "new").glob("*"))


def test_what_was_spooled_is_in_the_log_once_a_sidecar_comes(pi: Pi, provider: Provider, tmp_path: Path) -> None:
    provider.queue(Answer(headers=unified()))
    home = own_socket(pi, provider, tmp_path, [Seat("team-a")])
    home.run()
    assert len(spooled(home)) == 2
    with sidecar(env=sidecar_env(home)) as running:
        wait_until(lambda: len(logged(home, "piggyback.jsonl")) == 1 and len(logged(home, "usage.jsonl")) == 1)
        running.stop()
    assert spooled_files(home) == []


def spooled_files(home: Home) -> list[Path]:
    return list((paths.find(home.env).spool / "new").iterdir())


def wait_until(true: Callable[[], bool], timeout: float = 15.0) -> None:
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def started_sidecar_ended(home: Home) -> Iterator[None]:
    """End the sidecar that pi started."""
    found = paths.find(home.env)
    try:
        yield
    finally:
        status = client.request_status(found.sockets)
        os.kill(status["pid"], signal.SIGTERM)
        wait_until(lambda: not found.sockets[0].exists())


def test_where_no_sidecar_runs_the_session_starts_one(pi: Pi, provider: Provider, tmp_path: Path) -> None:
    provider.queue(Answer(headers=unified()))
    command = tmp_path / "tokmon"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tokmon "$@"\n')
    command.chmod(0o755)
    home = own_socket(pi, provider, tmp_path, [Seat("team-a", ANTHROPIC)], TOKMON_BIN=str(command))
    home.env["TOKMON_NO_SPAWN"] = ""
    home.env["PYTHONPATH"] = str(HERE.parents[1])
    assert home.run().exit_code == 0
    wait_until(paths.find(home.env).sockets[0].exists)
    with started_sidecar_ended(home):
        wait_until(lambda: len(logged(home, "piggyback.jsonl")) == 1 and len(logged(home, "usage.jsonl")) == 1)
