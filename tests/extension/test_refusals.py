"""Headers and text of one refused request are one capture, in a real Node with a fake pi."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.extension.driver import DRAIN, LOAD, QUIT, START, Step, ask, drive
from tests.extension.listener import Event, Listener
from tests.extension.test_observer import SECRET, URL

LIMIT: Final = "429 You have reached your weekly usage limit"
FINAL: Final = {
    "role": "assistant",
    "provider": "team-a",
    "model": "m1",
    "stopReason": "error",
    "errorMessage": f"{LIMIT} ({SECRET})",
}
END: Final[Step] = {"do": "end"}
Summary = tuple[str, int | None, str | None]


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    monkeypatch.setenv("TOKMON_SOCKET", str(tmp_path / "sock"))
    with Listener(tmp_path / "sock") as listening:
        yield listening


def run(listener: Listener, *steps: Step, statuses: tuple[Any, ...], final: Any = None, **more: Any) -> list[Event]:
    answers = [{"status": status} if isinstance(status, int) else {"code": status} for status in statuses]
    done = drive(LOAD, START, *steps, answers=answers, final=final, **more)
    assert (done.exit_code, done.stderr) == (0, "")
    return listener.events


def summary(events: list[Event]) -> list[Summary]:
    return [(event["kind"], event.get("http_status"), event.get("error")) for event in events]


def test_the_text_of_an_error_goes_with_the_capture_and_its_usage_says_so(listener: Listener) -> None:
    events = run(listener, ask("team-a", URL), END, DRAIN, QUIT, statuses=(429,), final=FINAL)
    text = f"{LIMIT} ([secret])"
    assert summary(events) == [("capture", 429, text), ("usage", None, text)]
    assert events[1]["error_captured"] is True
    assert events[0]["ts"] <= events[1]["ts"]
    assert SECRET.encode() not in listener.raw


def test_a_request_that_pi_does_not_report_has_one_reading_too(listener: Listener) -> None:
    """One of a session without extensions: its result is the only report."""
    request = ask("team-a", URL, options={"sessionId": "of-a-sub-agent"})
    events = run(listener, request, END, DRAIN, QUIT, statuses=(429,), final=FINAL)
    assert [event["kind"] for event in events] == ["capture", "usage"]
    assert events[0]["error"] == events[1]["error"]
    assert events[1]["error_captured"] is True


@pytest.mark.parametrize(
    ("statuses", "texts"),
    [
        ((429, 429, 429), (LIMIT, LIMIT, LIMIT)),
        ((429, 529), (None, LIMIT)),
        ((429, 200), (None, None)),
        ((429, 200, 429), (None, None, LIMIT)),
        ((429, "ECONNRESET"), (None, "ECONNRESET")),
        ((200,), (None,)),
    ],
)
def test_a_text_belongs_to_the_last_attempts_that_were_refused_alike(
    listener: Listener, statuses: tuple[Any, ...], texts: tuple[str | None, ...]
) -> None:
    request = ask("team-a", *[URL] * len(statuses))
    final = {**FINAL, "errorMessage": LIMIT}
    events = run(listener, request, END, DRAIN, QUIT, statuses=statuses, final=final)
    assert [(event.get("http_status"), event.get("error")) for event in events[:-1]] == [
        (status if isinstance(status, int) else None, text) for status, text in zip(statuses, texts, strict=True)
    ]
    assert events[-1].get("error_captured") is (True if texts[-1] == LIMIT else None)


@pytest.mark.parametrize("stop", ["aborted", "stop"])
def test_only_an_error_has_a_text_of_the_provider(listener: Listener, stop: str) -> None:
    final = {**FINAL, "stopReason": stop}
    events = run(listener, ask("team-a", URL), END, DRAIN, QUIT, statuses=(429,), final=final)
    assert summary(events)[0] == ("capture", 429, None)
    assert "error_captured" not in events[1]


@pytest.mark.parametrize("end", [(QUIT,), ({"do": "exit"},)])
def test_a_refusal_without_a_text_is_not_lost_when_the_session_or_the_process_ends(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: tuple[Step, ...]
) -> None:
    monkeypatch.setenv("TOKMON_STATE_DIR", str(tmp_path / "state"))
    events = run(listener, ask("team-a", URL), *end, statuses=(429,), final=None)
    spooled = [path.read_text() for path in (tmp_path / "state" / "spool").glob("new/*")]
    assert summary(events) == [("capture", 429, None)] or '"http_status":429' in "".join(spooled)


def test_the_end_of_another_session_sends_no_refusal_before_its_text(listener: Listener) -> None:
    second: list[Step] = [{"do": "switch", "to": "session-2"}, {**LOAD, "beside": True}, START]
    only_first = {"do": "emit", "event": "session_shutdown", "data": {"reason": "quit"}, "handlers": 1}
    steps = (*second, ask("team-a", URL, method="stream"), only_first, END, DRAIN, QUIT)
    events = run(listener, *steps, statuses=(429,), final={**FINAL, "errorMessage": LIMIT})
    assert summary(events) == [("capture", 429, LIMIT), ("usage", None, LIMIT)]


@pytest.mark.long
def test_a_refusal_whose_text_does_not_come_goes_out_after_some_seconds(listener: Listener, tmp_path: Path) -> None:
    release = tmp_path / "release"

    def wait() -> None:
        listener.wait(lambda events: len(events) == 1)
        release.touch()

    thread = threading.Thread(target=wait)
    thread.start()
    events = run(listener, ask("team-a", URL), {"do": "until", "path": str(release)}, QUIT, statuses=(429,))
    thread.join()
    assert summary(events) == [("capture", 429, None)]
