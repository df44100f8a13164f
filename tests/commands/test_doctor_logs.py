"""Captures, logs, spool and clock, made to fail by real lines, locks and folders."""

import fcntl
import os

import pytest

from tests.commands.clinic import (
    finding_of,
    level,
)
from tests.commands.logbook import DAY, HOUR, NOW, line, write
from tokmon import paths
from tokmon.report.findings import Level
from tokmon.store.log import Log


def test_the_last_capture_is_shown_with_its_age_and_probes_are_no_captures() -> None:
    assert level("capture") == "warn"
    write("probe.jsonl", line("b", source="probe", age=0))
    assert level("capture") == "warn"
    write("piggyback.jsonl", line("a", age=HOUR), line("b", "rejected", scope="request", age=0))
    assert finding_of("capture", now=NOW + 2 * HOUR).text == "last response 2h ago, from b"


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
