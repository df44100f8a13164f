"""The extension sends of every capture what the families read, and nothing else: rendered, not copied by hand."""

from pathlib import Path

import pytest

from tests.captures import FIXTURES
from tests.extension.driver import DRAIN, LOAD, QUIT, START, ask, drive
from tests.extension.listener import Listener
from tokmon import families


def test_of_every_capture_the_extension_sends_the_headers_that_the_families_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKMON_SOCKET", str(tmp_path / "sock"))
    captures = [fixture for fixture in FIXTURES if fixture["http_status"] is not None]
    answers = [{"status": fixture["http_status"], "headers": fixture["headers"]} for fixture in captures]
    with Listener(tmp_path / "sock") as listener:
        done = drive(
            LOAD, START, *(ask("team-a", "https://a.test/v1/messages") for _ in captures), DRAIN, QUIT, answers=answers
        )
        assert (done.exit_code, done.stderr) == (0, "")
        events = listener.of("capture")
    assert len(events) == len(captures)
    for fixture, event in zip(captures, events, strict=True):
        allowed = {name.lower(): value for name, value in fixture["headers"].items() if families.allowed(name.lower())}
        assert (event["http_status"], event["headers"]) == (fixture["http_status"], allowed), fixture["name"]
