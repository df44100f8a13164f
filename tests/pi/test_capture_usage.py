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

from tests.extension.listener import Event
from tests.patience import PATIENCE_S
from tests.pi import answers
from tests.pi.answers import QUICK, Answer, Tokens, ToolCall, unified
from tests.pi.install import Pi
from tests.pi.listener import PiListener
from tests.pi.provider import Provider
from tests.pi.runner import QUICK_RETRIES, Home
from tests.pi.seats import ANTHROPIC, WORTH_WARMING, Seat
from tests.pi.test_capture import captured, served_as, spooled, with_extension
from tests.sidecar.running import sidecar
from tokmon import paths
from tokmon.sidecar import client

pytestmark = pytest.mark.pi

HERE: Final = Path(__file__).parent
DRIVE: Final = HERE / "drive.ts"
PLAIN: Final = HERE / "node_http.ts"
LONG: Final = "hi " * 30_000


def of(events: list[Event], what: str) -> list[Event]:
    return [event for event in events if event.get("what") == what]


def test_the_text_of_an_error_is_sent_once_per_attempt_without_the_key(
    newest_pi: Pi, provider: Provider, tmp_path: Path
) -> None:
    seat = Seat("team-a", plan=True)
    provider.queue(Answer(status=429, error=f"{answers.ACCOUNT_LIMIT} ({seat.key})", headers=QUICK))
    with PiListener(tmp_path) as listener:
        home = with_extension(newest_pi, tmp_path, provider, [seat])
        home.write("settings.json", {**json.loads((home.agent / "settings.json").read_text()), "retry": QUICK_RETRIES})
        assert home.run().exit_code == 1
        usages, captures = listener.of("usage"), listener.of("capture")
    assert len(usages) == 4
    assert [captured(event) for event in captures] == [served_as(request) for request in provider.served]
    assert {event["stop"] for event in usages} == {"error"}
    assert all(answers.ACCOUNT_LIMIT in event["error"] for event in usages)
    assert seat.key.encode() not in listener.raw


def test_the_key_of_a_provider_over_node_http_is_not_in_its_error(
    end_pi: Pi, provider: Provider, tmp_path: Path
) -> None:
    key = "key~that/no+pattern=knows"
    provider.know("plain", key)
    provider.queue(Answer(status=401, error=f"bad key {key}, begins {key[:10]}, ends {key[-10:]}"))
    env = {"PLAIN_URL": provider.origin, "PLAIN_KEY": key}
    with PiListener(tmp_path) as listener:
        home = with_extension(end_pi, tmp_path, provider, [Seat("team-a")], PLAIN, **env)
        home.run("hello", Seat("plain", model="m"))
        (usage,) = listener.of("usage")
    assert [request.seat for request in provider.served] == ["plain"]
    assert "bad key [secret], begins [secret], ends [secret]" in usage["error"]
    assert key[:10].encode() not in listener.raw
    assert key[-10:].encode() not in listener.raw


def test_compactions_branches_and_tools_are_captured_and_billed_where_pi_says_so(
    pi: Pi, provider: Provider, tmp_path: Path
) -> None:
    with PiListener(tmp_path) as listener:
        with with_extension(pi, tmp_path, provider, [Seat("team-a")], DRIVE).rpc() as rpc:
            rpc.prompt(LONG)
            rpc.prompt(LONG)
            rpc.send("compact")
            rpc.drive("/branch")
            provider.queue(Answer(tool=ToolCall("measured", {})), Answer())
            rpc.prompt("measure")
            assert rpc.close() == 0
        captures, usages = listener.of("capture"), listener.of("usage")
    assert [captured(event) for event in captures] == [served_as(request) for request in provider.served]
    assert len(captures) == 6
    assert {event["attribution"] for event in captures} == {"wrapper"}
    assert len({event["session"] for event in captures}) == 1
    assert len(of(usages, "assistant")) == 4
    billed = 1 if pi.at_least_087 else 0
    assert len(of(usages, "compaction")) == billed
    assert len(of(usages, "branch_summary")) == billed
    assert [event["tokens"]["total"] for event in of(usages, "tool_result")] == [120] * billed


def test_a_warmed_cache_is_captured_and_billed(newest_pi: Pi, provider: Provider, tmp_path: Path) -> None:
    if not newest_pi.at_least_087:
        pytest.skip("warms no cache")
    seat = Seat("team-a", price=WORTH_WARMING, cache_seconds=11)
    provider.queue(Answer(tokens=Tokens(cache_write=150_000)), Answer(tokens=Tokens(3, 1, cache_read=150_000)))
    with PiListener(tmp_path) as listener:
        home = with_extension(newest_pi, tmp_path, provider, [seat])
        settings = json.loads((home.agent / "settings.json").read_text())
        home.write("settings.json", {**settings, "cacheWarming": "idle"})
        with home.rpc() as rpc:
            rpc.prompt("hello")
            rpc.wait(lambda record: record["type"] == "entry_appended")
            assert rpc.close() == 0
        captures, usages = listener.of("capture"), listener.of("usage")
    assert [captured(event) for event in captures] == [served_as(request) for request in provider.served]
    assert {event["attribution"] for event in captures} == {"wrapper"}
    (warm,) = of(usages, "cache_warm")
    assert warm["tokens"]["cache_read"] == 150_000


def test_a_resumed_session_is_not_billed_again(newest_pi: Pi, provider: Provider, tmp_path: Path) -> None:
    provider.queue(Answer(tool=ToolCall("measured", {})), Answer())
    with PiListener(tmp_path) as listener:
        home = with_extension(newest_pi, tmp_path, provider, [Seat("team-a")], DRIVE)
        assert home.run().exit_code == 0
        before = len(listener.of("usage"))
        assert home.run("again", None, "--continue").exit_code == 0
        after = len(listener.of("usage"))
    assert before == (3 if newest_pi.at_least_087 else 2)
    assert after == before + 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_pi_that_is_ended_in_a_stream_has_sent_the_capture(
    newest_pi: Pi, provider: Provider, tmp_path: Path, number: signal.Signals
) -> None:
    provider.queue(Answer(headers=unified(), hold_stream=threading.Event()))
    with PiListener(tmp_path) as listener:
        with with_extension(newest_pi, tmp_path, provider, [Seat("team-a")]).start() as process:
            provider.wait_for(lambda served: any(request.chunks for request in served))
            listener.wait(lambda events: len(events) > 0)
            process.send_signal(number)
            process.communicate(timeout=PATIENCE_S)
        captures = listener.of("capture")
    assert [captured(event) for event in captures] == [served_as(request) for request in provider.served]


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


def test_with_the_real_sidecar_every_response_is_in_the_log_also_what_was_spooled_before(
    newest_pi: Pi, provider: Provider, tmp_path: Path
) -> None:
    served, refused = Answer(headers=unified()), Answer(status=429, headers={**unified(), **QUICK}, error="no")
    provider.script = lambda _: served
    home = own_socket(newest_pi, provider, tmp_path, [Seat("team-a", plan=True)])
    home.run()
    assert len(spooled(home)) == 2
    provider.script = lambda _: refused
    with sidecar(env=sidecar_env(home)) as running:
        home.run()
        wait_until(lambda: len(logged(home, "piggyback.jsonl")) == len(provider.served) and not spool_files(home))
        assert running.stop() == 0
    lines = logged(home, "piggyback.jsonl")
    assert sorted(line["request_id"] for line in lines) == sorted(request.request_id for request in provider.served)
    assert {line["http_status"] for line in lines} == {200, 429}
    assert {(line["provider"], line["utilization_5h"], line["member"]) for line in lines} == {
        ("team-a", 0.42, "tester")
    }
    assert [usage["provider"] for usage in logged(home, "usage.jsonl")] == ["team-a", "team-a"]


def spool_files(home: Home) -> list[Path]:
    return list((paths.find(home.env).spool / "new").iterdir())


def wait_until(true: Callable[[], bool], timeout: float = 100.0) -> None:
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


def test_where_no_sidecar_runs_the_session_starts_one(newest_pi: Pi, provider: Provider, tmp_path: Path) -> None:
    provider.queue(Answer(headers=unified()))
    command = tmp_path / "tokmon"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tokmon "$@"\n')
    command.chmod(0o755)
    home = own_socket(newest_pi, provider, tmp_path, [Seat("team-a", ANTHROPIC)], TOKMON_BIN=str(command))
    home.env["TOKMON_NO_SPAWN"] = ""
    home.env["PYTHONPATH"] = str(HERE.parents[1])
    assert home.run().exit_code == 0
    wait_until(paths.find(home.env).sockets[0].exists)
    with started_sidecar_ended(home):
        wait_until(lambda: len(logged(home, "piggyback.jsonl")) == 1 and len(logged(home, "usage.jsonl")) == 1)
