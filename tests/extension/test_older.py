"""An older tokmon in the same process: met by `/reload` after an upgrade, or loaded beside the new one."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.extension.driver import DRAIN, OLDER, QUIT, START, Step, answer_ended, ask, drive, emit
from tests.extension.listener import Event, Listener
from tests.extension.test_observer import FIVE, URL
from tokmon import paths

LOAD_OLDER: Final[Step] = {"do": "load", "file": str(OLDER)}
LOAD: Final[Step] = {"do": "load"}
BESIDE: Final[Step] = {"do": "load", "beside": True}
RELOADED: Final[Step] = {**START, "data": {"reason": "reload"}}
TURN: Final[tuple[Step, ...]] = (ask("team-c", URL), answer_ended(responseId="msg_1", timestamp=1))


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    monkeypatch.setenv("TOKMON_SOCKET", str(tmp_path / "sock"))
    with Listener(tmp_path / "sock") as listening:
        yield listening


def kinds(events: list[Event]) -> Counter[str]:
    return Counter(event["kind"] for event in events)


def run(listener: Listener, *steps: Step) -> list[Event]:
    done = drive(*steps, DRAIN, QUIT, models=FIVE)
    assert (done.exit_code, done.stderr) == (0, "")
    assert not [result for result in done.results if "unhandled" in result or "uncaught" in result]
    return listener.events


def test_after_an_upgrade_and_reload_every_response_is_captured_once_and_exactly(listener: Listener) -> None:
    later = (ask("team-d", URL), answer_ended(responseId="msg_2", timestamp=2))
    events = run(listener, LOAD_OLDER, START, *TURN, DRAIN, LOAD, RELOADED, emit("turn_start"), *later)
    assert kinds(events) == {"capture": 2, "usage": 2}
    captures = [event for event in events if event["kind"] == "capture"]
    assert {(event["provider"], event["attribution"]) for event in captures} == {
        ("team-c", "wrapper"),
        ("team-d", "wrapper"),
    }
    assert len({event["id"] for event in events}) == 4


def test_what_the_older_one_had_not_sent_is_spooled_when_it_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKMON_SOCKET", str(tmp_path / "nothing"))
    done = drive(LOAD_OLDER, START, *TURN, LOAD, RELOADED, ask("team-d", URL), {"do": "exit"}, models=FIVE)
    assert done.exit_code == 0
    lines = [line for path in (paths.find().spool / "new").iterdir() for line in path.read_text().splitlines()]
    assert len(lines) == 3
    assert sum('"provider":"team-d"' in line for line in lines) == 1


@pytest.mark.parametrize("order", ["older first", "newer first"])
def test_where_both_are_loaded_every_response_is_captured_once(listener: Listener, order: str) -> None:
    both = [LOAD_OLDER, BESIDE] if order == "older first" else [LOAD, {**LOAD_OLDER, "beside": True}]
    events = run(listener, *both, START, emit("turn_start"), *TURN, *TURN[:1])
    assert kinds(events) == {"capture": 2, "usage": 1}
    assert {event["provider"] for event in events if event["kind"] == "capture"} == {"team-c"}


def test_the_same_version_loaded_twice_captures_every_response_once(listener: Listener) -> None:
    events = run(listener, LOAD, BESIDE, START, emit("turn_start"), *TURN)
    assert kinds(events) == {"capture": 1, "usage": 1}
