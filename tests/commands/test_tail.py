"""`tokmon tail`: the last lines of the logs, and those that come."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.commands.logbook import DAY, HOUR, NOW, Record, line, tokmon, window, write
from tests.commands.screens import run
from tests.patience import PATIENCE_S
from tokmon import paths
from tokmon.report.line import line_text
from tokmon.report.words import Style
from tokmon.store.follow import Follower

PLAIN = Style(zone=UTC)


def usage(age: float = 0.0, **fields: object) -> Record:
    return {"kind": "usage", **line("team-vigilio", age=age), "status": None, "windows": None, **fields}


def text(record: Record) -> str | None:
    return line_text(record, NOW, PLAIN)


def test_a_response_reads_like_this() -> None:
    record = line(
        "team-vigilio",
        "allowed",
        window("5h", 0.42, 4 * HOUR),
        window("7d", 0.61, DAY),
        reset_in_seconds=12960,
        model="claude-sonnet-4-6",
        mission="fix-42",
    )
    assert text(record) == ("06:59:00 team-vigilio 200 allowed 5h 42% 7d 61% resets in 3h 36m claude-sonnet-4-6 fix-42")


def test_a_usage_line_reads_like_this() -> None:
    record = usage(
        model="claude-sonnet-4-6",
        tokens={"input": 1200, "output": 340, "cache_read": 88000},
        cost_usd=0.0412,
        cost_source="estimated",
        mission="fix-42",
    )
    assert text(record) == ("07:00:00 team-vigilio usage claude-sonnet-4-6 1.2k in 340 out 88k cached ~$0.041 fix-42")


def test_an_unknown_cost_is_not_shown_as_zero() -> None:
    assert text(usage(what="cache_warm")) == "07:00:00 team-vigilio usage (cache warm) cost unknown"


def test_a_refusal_shows_for_how_long_and_why() -> None:
    record = line("a", "rejected", http_status=429, blocked_until="2026-11-22T08:59:00Z", error="429\nslow down")
    assert text(record) == "06:59:00 a 429 rejected blocked for 2h 429 slow down"


def test_a_network_error_has_no_code_and_a_probe_of_another_day_its_date() -> None:
    assert text(line("a", "network_error", http_status=None)) == "06:59:00 a --- network error"
    assert text(line("a", source="probe", age=2 * DAY)) == "11-20 07:00:00 a 200 allowed probe"


def test_a_pi_check_is_named_with_its_short_reason() -> None:
    check = line("a", "ok", http_status=None, source="pi-check")
    assert text(check) == "06:59:00 a --- allowed check"
    failed = {**check, "status": "error", "account_status": "no_credit", "reason": "402: no more", "error": "402 {…}"}
    assert text(failed) == "06:59:00 a --- no credit check 402: no more"


def test_a_record_without_an_instant_is_not_shown() -> None:
    assert text({"provider": "a"}) is None
    assert text({"provider": "a", "ts": "yesterday"}) is None
    assert text({"provider": ["a"], "ts": "2026-11-22T06:59:00Z"}) is not None


ANY = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda values: st.lists(values, max_size=2) | st.dictionaries(st.sampled_from(["name", "input"]), values),
)
FIELDS = [
    *("kind", "provider", "source", "status", "http_status", "windows", "model", "what", "tokens", "cost_usd"),
    *("error", "reason", "mission"),
]
MORE = ["reset_in_seconds", "blocked_until", "overage", "credits", "substatus", "id", "type"]


@given(st.fixed_dictionaries({"ts": st.just("2026-11-22T06:00:00Z")}, optional=dict.fromkeys(FIELDS + MORE, ANY)))
def test_record_with_values_of_any_type_is_one_line(record: Record) -> None:
    shown = text(record)
    assert shown is not None
    assert shown.isprintable()


def test_the_last_lines_of_all_logs_are_in_the_order_of_time() -> None:
    write("piggyback.jsonl", line("a", age=30), line("b", age=20), line("c", age=10))
    write("usage.jsonl", usage(age=25, model="u"), usage(age=5, model="v"))
    write("decisions.jsonl", line("never", age=1))
    rows = tokmon("tail", "--no-follow", "-n", "4", "--utc").stdout.splitlines()
    assert [row.split()[-2:] for row in rows if "cost" not in row] == [["200", "allowed"]] * 2
    assert [row.split()[-4:] for row in rows if "cost" in row] == [
        ["usage", model, "cost", "unknown"] for model in "uv"
    ]
    assert ["cost" in row for row in rows] == [True, False, False, True]
    assert tokmon("tail", "--no-follow", "-n", "0").stdout == ""


def test_torn_lines_and_an_incomplete_last_line_are_skipped() -> None:
    write("piggyback.jsonl", line("a"), b'{"ts":"2026-11', b"\n", b"[1]\n", b"\xff\xfe\n", line("b"), b'{"ts":"2026-1')
    assert [row.split()[-3] for row in tokmon("tail", "--no-follow").stdout.splitlines()] == ["a", "b"]


def test_json_prints_the_lines_as_they_are_in_the_logs() -> None:
    path = write("piggyback.jsonl", line("a", age=2), line("b", age=1))
    assert tokmon("tail", "--no-follow", "--json").stdout == path.read_text(encoding="utf-8")


def test_many_last_lines_are_read_from_a_log_of_many_blocks() -> None:
    write("piggyback.jsonl", *(line("a", age=3000 - number, number=number) for number in range(3000)))
    rows = tokmon("tail", "--no-follow", "--json", "-n", "2500").stdout.splitlines()
    assert [json.loads(row)["number"] for row in rows] == list(range(500, 3000))


@pytest.mark.parametrize("arguments", [["--nonsense"], ["-n", "x"], ["-n", "-3"]])
def test_wrong_arguments_are_usage_errors(arguments: list[str]) -> None:
    assert run("tail", *arguments).returncode == 2


class Running:
    """`tokmon tail` that follows; its output comes line by line."""

    def __init__(self, tail: subprocess.Popen[bytes]) -> None:
        self.process = tail
        self._rows: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for row in cast("Iterator[bytes]", self.process.stdout):
            self._rows.put(row)

    def next(self) -> str:
        return str(json.loads(self._rows.get(timeout=PATIENCE_S))["provider"])

    @property
    def silent(self) -> bool:
        return self._rows.empty()


@contextmanager
def following(*arguments: str) -> Iterator[Running]:
    command = [sys.executable, "-m", "tokmon", "tail", "--json", *arguments]
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background job ignores it
    try:
        started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    finally:
        signal.signal(signal.SIGINT, before)
    with started as tail:
        try:
            yield Running(tail)
        finally:
            tail.kill()


def test_a_new_line_is_shown_once_it_is_complete() -> None:
    write("piggyback.jsonl", line("first"))
    with following() as tail:
        assert tail.next() == "first"
        write("piggyback.jsonl", b'{"ts":"2026-11-22T06:00:00Z",')
        write("usage.jsonl", line("second"))
        assert tail.next() == "second"
        assert tail.silent
        write("piggyback.jsonl", b'"provider":"third"}\n')
        assert tail.next() == "third"


def test_tail_waits_for_a_folder_that_does_not_exist_yet() -> None:
    with following() as tail:
        write("piggyback.jsonl", line("a"))
        assert tail.next() == "a"


def test_a_rotation_neither_loses_nor_repeats_a_line() -> None:
    path = write("piggyback.jsonl", line("a"))
    with following() as tail:
        assert tail.next() == "a"
        write("piggyback.jsonl", line("b"))
        path.rename(path.with_name("piggyback-2026-11.jsonl"))
        write("piggyback.jsonl", line("c"))
        write("piggyback-2026-11.jsonl", line("d"))
        assert sorted([tail.next(), tail.next(), tail.next()]) == ["b", "c", "d"]
        write("piggyback.jsonl", line("e"))
        assert tail.next() == "e"
        assert tail.silent


def test_an_interrupt_ends_tail_silently_with_130() -> None:
    write("piggyback.jsonl", line("a"))
    with following() as tail:
        assert tail.next() == "a"
        tail.process.send_signal(signal.SIGINT)
        assert tail.process.wait(20) == 130
        assert cast("Iterator[bytes]", tail.process.stderr) is not None
        assert b"".join(cast("Iterator[bytes]", tail.process.stderr)) == b""


def test_tail_ends_when_its_reader_has_gone_although_no_line_comes() -> None:
    write("piggyback.jsonl", line("a"))
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "tokmon", "tail"]
    with subprocess.Popen(command, stdout=writer, stderr=subprocess.PIPE) as tail:
        os.close(writer)
        assert os.read(reader, 8)
        os.close(reader)
        assert tail.wait(20) == 1
        assert b"".join(cast("Iterator[bytes]", tail.stderr)) == b""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc")
def test_waiting_costs_next_to_no_processor_time() -> None:
    write("piggyback.jsonl", line("a"))
    with following() as tail:
        assert tail.next() == "a"
        before = cpu_ticks(tail.process.pid)
        write("piggyback.jsonl", *(line(f"p{number}") for number in range(3)))
        assert [tail.next() for _ in range(3)] == ["p0", "p1", "p2"]
        assert cpu_ticks(tail.process.pid) - before <= 10


def cpu_ticks(pid: int) -> int:
    with Path(f"/proc/{pid}/stat").open(encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_a_truncated_log_is_read_from_its_start_again() -> None:
    path = write("piggyback.jsonl", line("a"), line("b"))
    with Follower([path]) as follower:
        os.truncate(path, 0)
        assert follower.lines([path]) == []
        write("piggyback.jsonl", line("c"))
        assert [json.loads(record)["provider"] for record in follower.lines([path])] == ["c"]


def test_a_line_written_to_the_old_file_after_a_rotation_is_not_lost() -> None:
    path = write("piggyback.jsonl", line("a"))
    away = path.with_name("piggyback.old")
    with Follower([path]) as follower, path.open("ab") as writer:
        path.rename(away)
        assert follower.lines([path]) == []
        writer.write(json.dumps(line("late")).encode() + b"\n")
        writer.flush()
        assert [json.loads(record)["provider"] for record in follower.lines([path])] == ["late"]


def test_a_log_that_cannot_be_opened_is_skipped() -> None:
    folder = paths.find().logs / "odd.jsonl"
    folder.mkdir(parents=True)
    pipe = paths.find().logs / "pipe.jsonl"
    os.mkfifo(pipe)
    with Follower([folder, pipe]) as follower:
        assert follower.last(3) == []
        assert follower.lines([folder, pipe]) == []
