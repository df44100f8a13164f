"""The child process that does a member's part: what comes out of it, and how it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tokmon.errors import StoreError
from tokmon.installer import child
from tokmon.installer.members import Member, Outcome, become, oneself

# The child runs what the test gives it, and never returns to the test's runner.
pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")


@pytest.fixture
def me() -> Member:
    return oneself(os.environ)


def run(member: Member, work: Callable[[], object], patience_s: float = 60) -> tuple[Outcome, list[str]]:
    said: list[str] = []
    return become(member, work, patience_s=patience_s, say=said.append), said


def test_each_line_comes_as_it_is_written_with_the_members_name(me: Member, tmp_path: Path) -> None:
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        (tmp_path / f"heard {len(said)}").touch()

    def work() -> None:
        sys.stdout.write("first\n")
        while not (tmp_path / "heard 1").exists():
            continue
        sys.stderr.write("second\nlast without an end")

    assert become(me, work, say=say).problem is None
    assert said == [f"{me.label}: first", f"{me.label}: second", f"{me.label}: last without an end"]


def test_what_could_command_a_terminal_is_escaped(me: Member) -> None:
    _, said = run(me, lambda: os.write(1, b"\x1b]0;title\x07 caf\xc3\xa9 \xff \xe2\x80\xae\n"))
    assert said == [f"{me.label}: \\x1b]0;title\\x07 café \\xff \\u202e"]


def test_a_line_without_an_end_does_not_fill_the_memory(me: Member) -> None:
    def work() -> None:
        for _ in range(100):
            os.write(1, b"x" * (1 << 20))

    _, said = run(me, work)
    assert said[-1].endswith("(it says more than is shown)")
    assert sum(map(len, said)) < 8 << 20


def test_the_answer_comes_back(me: Member) -> None:
    answer = {"linger": True, "steps": ["a" * 100_000, None, 1.5]}
    assert run(me, lambda: answer)[0] == Outcome(me, answer)


def test_an_answer_that_is_not_json_is_a_problem(me: Member) -> None:
    assert str(run(me, object)[0].problem).startswith("TypeError: ")


@pytest.mark.parametrize(
    "answer", [b"", b"{", b"[]", b"[" * 100_000, b'{"answer": 1}' + b" " * (2 << 20) + b"x", b"\xff"]
)
def test_a_forged_answer_is_a_problem_and_no_more(me: Member, answer: bytes) -> None:
    def forge() -> None:
        rest = memoryview(answer)
        while rest:
            rest = rest[os.write(3, rest) :]
        os._exit(0)

    assert run(me, forge)[0] == Outcome(me, problem="ended with exit code 0 and without an answer")


# ---------------------------------------------------------------- failures


def test_an_error_of_ours_is_the_problem_with_its_hint(me: Member) -> None:
    def fail() -> None:
        raise StoreError("no \x1bway", hint="try another")

    assert run(me, fail) == (Outcome(me, problem="no \\x1bway", hint="try another"), [])


def test_any_other_error_is_the_problem_and_is_told_in_full(me: Member) -> None:
    outcome, said = run(me, lambda: dict[str, int]()["key"])
    assert outcome.problem == "KeyError: 'key'"
    assert "Traceback" in said[0]


@pytest.mark.parametrize(
    ("way", "problem"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "was ended by SIGKILL"),
        (lambda: os.kill(os.getpid(), signal.SIGRTMIN + 3), f"was ended by signal {signal.SIGRTMIN + 3}"),
        (lambda: os._exit(7), "ended with exit code 7 and without an answer"),
        (lambda: sys.exit(3), "ended with exit code 1 and without an answer"),
    ],
)
def test_a_death_is_the_problem(me: Member, way: Callable[[], object], problem: str) -> None:
    assert run(me, way)[0].problem == problem


def test_it_is_the_same_where_ended_children_are_forgotten(me: Member) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        outcomes = [become(me, work) for work in (lambda: 1, lambda: os._exit(0), lambda: dict[str, int]()["key"])]
        hung = become(me, signal.pause, patience_s=0.2)
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert [outcome.answer for outcome in outcomes] == [1, None, None]
    assert [outcome.problem for outcome in (*outcomes[1:], hung)] == [
        "ended with exit code 0 and without an answer",
        "KeyError: 'key'",
        "took longer than 0.2 s",
    ]


def test_a_child_that_hangs_is_killed_with_all_that_it_started(me: Member, tmp_path: Path) -> None:
    def hang() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        started = subprocess.Popen(["sleep", "1000"])
        (tmp_path / "pid").write_text(str(started.pid))
        sys.stdout.write("hangs\n")
        signal.pause()

    outcome, said = run(me, hang, patience_s=0.5)
    assert outcome.problem == "took longer than 0.5 s"
    assert said == [f"{me.label}: hangs"]
    _wait_for_the_end_of(int((tmp_path / "pid").read_text()))


def test_a_child_that_floods_is_ended_as_well(me: Member) -> None:
    def flood() -> None:
        while True:
            os.write(1, b"words\n")

    assert run(me, flood, patience_s=0.5)[0].problem == "took longer than 0.5 s"


def test_a_process_left_behind_holds_nobody_up(me: Member) -> None:
    def leave() -> object:
        return subprocess.Popen(["sleep", "1000"]).pid  # it has our stdout

    outcome, _ = run(me, leave)
    assert isinstance(outcome.answer, int)
    os.kill(outcome.answer, signal.SIGKILL)


def test_when_we_are_interrupted_the_child_ends(me: Member) -> None:
    def say(line: str) -> None:
        raise KeyboardInterrupt(line.rpartition(" ")[2])

    def work() -> None:
        sys.stdout.write(f"{os.getpid()}\n")
        signal.pause()

    with pytest.raises(KeyboardInterrupt) as caught:
        become(me, work, say=say)
    _wait_for_the_end_of(int(str(caught.value)))


def test_when_we_are_killed_the_child_ends_with_its_next_line(me: Member, tmp_path: Path) -> None:
    def parent() -> None:
        def work() -> None:
            (tmp_path / "pid").write_text(str(os.getpid()))
            while True:
                sys.stdout.write("a step\n")
                sys.stdout.flush()

        def say(_: str) -> None:
            os._exit(9)

        become(me, work, say=say)

    assert child.run(parent, 60, lambda _: None).problem == "ended with exit code 9 and without an answer"
    _wait_for_the_end_of(int((tmp_path / "pid").read_text()))


def _wait_for_the_end_of(pid: int) -> None:
    while True:
        try:
            os.kill(pid, 0)
            status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (ProcessLookupError, FileNotFoundError):
            return
        if status == "Z":  # nobody's child, in a container whose first process reaps none
            return
        time.sleep(0.01)


def test_the_failure_of_one_does_not_stop_the_next(me: Member) -> None:
    outcomes = [become(me, work) for work in (lambda: os._exit(1), lambda: json.loads("1"))]
    assert [outcome.problem is None for outcome in outcomes] == [False, True]
