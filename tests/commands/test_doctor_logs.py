"""Captures, logs, spool and clock, made to fail by real lines, locks and folders."""

import fcntl
import os
from typing import Any

import pytest

from tests.commands.clinic import (
    finding_of,
    level,
)
from tests.commands.logbook import DAY, HOUR, NOW, Record, line, write
from tokmon import paths
from tokmon.report.findings import Level
from tokmon.store.log import Log


def test_the_last_capture_is_shown_with_its_age_and_probes_are_no_captures() -> None:
    assert level("capture") == "warn"
    write("probe.jsonl", line("b", source="probe", age=0))
    assert level("capture") == "warn"
    write("piggyback.jsonl", line("a", age=HOUR), line("b", "rejected", scope="request", age=0))
    assert finding_of("capture", now=NOW + 2 * HOUR).text == "last response 2h ago, from b"


def test_the_last_capture_is_no_usage_line_of_a_later_error() -> None:
    write("piggyback.jsonl", line("a", kind="capture", age=HOUR))
    write("usage.jsonl", answer("b", 0, stop="error", error="429 rate limit"))
    assert finding_of("capture", now=NOW).text == "last response 1h ago, from a"


def answer(provider: str, age: float, **fields: Any) -> Record:
    """A line of usage.jsonl: an answer in the session `s-1`."""
    made = {"kind": "usage", "what": "assistant", "session": "s-1", "stop": "stop", "api": "anthropic-messages"}
    return {**line(provider, age=age), **made, "http_status": None, **fields}


def captured(provider: str | None, age: float, **fields: Any) -> Record:
    return {**line("", age=age, kind="capture", session="s-1"), "provider": provider, **fields}


def test_answers_that_were_all_captured_are_compared_without_a_warning() -> None:
    captures = [captured("a", age) for age in (50, 40, 40, 30)] + [captured(None, 20, attribution="none")]
    write("piggyback.jsonl", *captures, captured("a", 10, http_status=429))
    write("usage.jsonl", *(answer("a", age) for age in (39, 38, 29)), answer("b", 19))
    write("usage.jsonl", answer("a", 9, stop="error", error="429 too many requests"))
    write("usage.jsonl", answer("a", 8, stop="aborted"), answer("a", 7, what="compaction", stop=None))
    write("usage.jsonl", answer("c", 6, stop="error", error="No API key found for c"))
    assert finding_of("uncaptured").text == "5 answers compared with captures, none missing"


def test_answers_without_a_capture_are_counted_by_session_with_transport_and_extensions() -> None:
    extensions = paths.find().agent / "extensions"
    (extensions / "multicodex").mkdir(parents=True)
    (extensions / "tokmon").mkdir()
    (paths.find().agent / "settings.json").write_text('{"packages": ["npm:pi-subagents"], "extensions": 3}')
    write("piggyback.jsonl", captured("a", 50), captured("a", 10, http_status=429, session="s-2"))
    codex = {"api": "openai-codex-responses", "session": "s-2"}
    write("usage.jsonl", answer("a", 49), answer("a", 40), answer("a", 30, stop="error", error="429"))
    write("usage.jsonl", answer("x", 20, **codex), answer("a", 9, session="s-2"))
    finding = finding_of("uncaptured")
    assert finding.level is Level.WARN
    assert finding.text == (
        "3 answers and 1 error of pi without a capture: 2 in session `s-1` from `a` over HTTP (anthropic-messages); "
        "1 in session `s-2` from `x` over WebSocket or HTTP (openai-codex-responses); "
        "1 in session `s-2` from `a` over HTTP (anthropic-messages); "
        "other extensions of pi's folder and settings: `multicodex`, `npm:pi-subagents` "
        "(those of `pi -e` and of a project are not known)"
    )


def test_answers_without_a_capture_and_without_other_extensions_may_be_hidden_by_one_of_the_command_line() -> None:
    write("usage.jsonl", answer("a", 20))
    assert finding_of("uncaptured").text.endswith(
        "; other extensions of pi's folder and settings: none (those of `pi -e` and of a project are not known)"
    )


def test_a_capture_that_came_later_is_not_that_of_an_answer() -> None:
    write("piggyback.jsonl", captured("a", 10))
    write("usage.jsonl", answer("a", 20))
    assert finding_of("uncaptured").level is Level.WARN


def test_torn_lines_and_an_incomplete_last_line_are_counted() -> None:
    write("piggyback.jsonl", line("a"), b"\n")
    assert finding_of("integrity").text == "1 line in 1 log, all complete"
    write("piggyback.jsonl", b'{"ts"\n', line("b"), b"{")
    finding = finding_of("integrity")
    assert finding.level is Level.WARN
    assert finding.text == (
        "1 torn line in `piggyback.jsonl`, the last line of `piggyback.jsonl` is incomplete; 2 complete lines"
    )


def test_a_folder_in_the_place_of_a_log_fails() -> None:
    paths.find().piggyback.mkdir(parents=True)
    assert level("integrity") == "fail"
    assert level("writable") == "fail"


def test_a_lock_held_for_a_second_fails() -> None:
    write("piggyback.jsonl", line("a"))
    assert level("writable") == "ok"
    with Log(paths.find().piggyback) as log:
        log.append([b"{}\n"])
    before = paths.find().piggyback.read_bytes()
    with paths.find().piggyback.with_name("piggyback.jsonl.lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another process has held the lock" in finding_of("writable").text
    assert level("writable") == "ok"
    assert paths.find().piggyback.read_bytes() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="needs a user without the rights of root")
def test_a_log_that_cannot_be_written_fails() -> None:
    write("piggyback.jsonl", line("a")).chmod(0o400)
    assert level("writable") == "fail"


def test_waiting_and_unreadable_files_of_the_spool_are_counted() -> None:
    new = paths.find().spool / "new"
    new.mkdir(parents=True)
    assert level("spool") == "ok"
    (new / "1").write_text("{}\n", encoding="ascii")
    assert "1 file waiting for a sidecar" in finding_of("spool").text
    (paths.find().spool / "bad").mkdir()
    (paths.find().spool / "bad" / "0").touch()
    assert "1 unreadable file, the last one `0`; 1 waiting" in finding_of("spool").text


def test_a_clock_behind_the_log_or_in_1970_fails() -> None:
    write("piggyback.jsonl", line("a", age=0))
    write("usage.jsonl", {"ts": "2020-01-01T00:00:00Z"})
    assert finding_of("clock", now=1000.0).text == "the clock shows 1970-01-01T00:16:40Z"
    assert finding_of("clock", now=NOW - DAY).text == "the clock is 1d behind the newest line of `piggyback.jsonl`"
    assert finding_of("clock", now=NOW).level is Level.OK


def test_integrity_names_a_log_of_which_only_the_end_is_examined() -> None:
    path = write("piggyback.jsonl", line("first"))
    os.truncate(path, 20 << 30)
    write("piggyback.jsonl", b"\n", line("a"), line("b"))
    write("usage.jsonl", line("c"))
    text = "3 lines in 2 logs, all complete; of `piggyback.jsonl` the last 256 MiB were examined"
    assert finding_of("integrity").text == text
