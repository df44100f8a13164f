"""Wakes of one second spread over the accounts that are about as good, with and without a fresh decision."""

import json
import os
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.hooks.wake import HOOK, LINE
from tests.patience import PATIENCE_S
from tests.pool.members import Member, member
from tokmon.decision import decision_file
from tokmon.decision.decide import decide
from tokmon.wire.instants import rfc3339

SEATS = tuple(f"team-{name}" for name in "abcde")
WAKES = 20


class Host:
    """Members that share five seats alike, and wakes of theirs."""

    def __init__(self, folder: Path, program: Path, size: int) -> None:
        names = ("buio", "ludo", "molto", "nadja", "vigilio")[:size]
        self.program = program
        self.members = [member(folder, name) for name in names]
        for one in self.members:
            one.configure(dict.fromkeys(SEATS, "sk-a"))
            one.log(*(self.turn(seat) for seat in SEATS))
            one.log(name="decisions.jsonl")

    @staticmethod
    def turn(seat: str) -> dict[str, object]:
        now = time.time()
        windows = [
            {"name": "5h", "utilization": 0.2, "resets_at": rfc3339(now // 600 * 600 + 12_000)},
            {"name": "7d", "utilization": 0.4, "resets_at": rfc3339(now // 600 * 600 + 200_000)},
        ]
        line = {"ts": rfc3339(now), "id": f"{seat}-{now}", "source": "piggyback", "provider": seat}
        return {**line, "status": "allowed", "windows": windows}

    def prepare(self, *, fresh: bool) -> None:
        """Leave a fresh decision for each member, or new evidence without one."""
        for one in self.members:
            one.log(*(self.turn(seat) for seat in SEATS))
            if fresh:
                self.age(one)
                decide(one.paths, one.env, pytest.fail)

    @staticmethod
    def age(one: Member) -> None:
        """Make what a decision rests on older than it."""
        then = time.time() - 5
        paths = one.paths
        for path in (*paths.logs.iterdir(), paths.logs, paths.config, paths.config.parent, paths.models):
            os.utime(path, (then, then))

    def wake(self) -> Counter[str]:
        """How many of the wakes, which begin at once, start a session on each account."""
        processes = [self.start(self.members[number % len(self.members)]) for number in range(WAKES)]
        lines = [process.communicate(timeout=PATIENCE_S)[0] for process in processes]
        assert all(LINE.fullmatch(line) for line in lines), lines
        return Counter(line.split()[0] for line in lines)

    def start(self, one: Member) -> subprocess.Popen[str]:
        env = {**one.env, "TOKMON_BIN": str(self.program), "TOKMON_DEADLINE_MS": "60000"}
        return subprocess.Popen([HOOK], env=env, stdout=subprocess.PIPE, text=True)

    def decided(self) -> int:
        """How many decisions were made for a wake."""
        return sum(len(one.paths.decisions.read_bytes().splitlines()) for one in self.members)


STATES = pytest.mark.parametrize("fresh", [True, False], ids=["fresh", "stale"])
SIZES = pytest.mark.parametrize("size", [1, 5], ids=["one member", "five members"])


@STATES
@SIZES
def test_wakes_of_one_second_spread_over_equal_accounts(tmp_path: Path, program: Path, size: int, fresh: bool) -> None:  # noqa: FBT001 - a parameter
    host = Host(tmp_path, program, size)
    host.prepare(fresh=fresh)
    before = host.decided()
    used = host.wake()
    # Were each number a throw of a die, less would come once in a million.
    assert len(used) >= 3
    assert max(used.values()) <= 13
    assert (host.decided() == before) == fresh, "a fresh decision is taken without asking"


@pytest.mark.long
@STATES
@SIZES
def test_of_twenty_wakes_four_seats_are_used_and_none_by_more_than_eight(
    tmp_path: Path,
    program: Path,
    size: int,
    fresh: bool,  # noqa: FBT001 - a parameter
) -> None:
    host = Host(tmp_path, program, size)
    runs = []
    for _ in range(20):
        host.prepare(fresh=fresh)
        runs.append(host.wake())
    assert sum(len(used) >= 4 and max(used.values()) <= 8 for used in runs) >= 19, runs


@pytest.mark.long
def test_sessions_that_each_decide_for_themselves_at_once_spread_too(tmp_path: Path, program: Path) -> None:
    """With an overriding variable no wake waits for another."""
    host = Host(tmp_path, program, 1)
    host.prepare(fresh=True)
    (one,) = host.members
    env = {**one.env, "TOKMON_BIN": str(program), "TOKMON_DEADLINE_MS": "60000", "TOKMON_SELECT_MODEL": "another"}
    for _ in range(3):
        processes = [subprocess.Popen([HOOK], env=env, stdout=subprocess.PIPE, text=True) for _ in range(WAKES)]
        used = Counter(process.communicate(timeout=PATIENCE_S)[0].split()[0] for process in processes)
        assert len(used) >= 4, used
        assert max(used.values()) <= 10, used


def test_members_that_decide_beforehand_begin_at_different_seats(tmp_path: Path, program: Path) -> None:
    host = Host(tmp_path, program, 5)
    host.prepare(fresh=True)
    files = [decision_file.read(decision_file.path_of(one.paths, one.env)) for one in host.members]
    assert {file.choice[0] for file in files if file is not None} == {*SEATS}
    assert all(file is not None and len(file.equal) == 4 for file in files)


def test_a_pinned_session_of_one_member_leaves_the_seat_to_the_next_of_another(tmp_path: Path, program: Path) -> None:
    host = Host(tmp_path, program, 2)
    buio, ludo = host.members
    env = {**buio.env, "TOKMON_BIN": str(program), "TOKMON_PIN": SEATS[1]}
    assert subprocess.check_output([HOOK], env=env, text=True).split()[0] == SEATS[1]
    announced = json.loads((buio.published / "decisions.json").read_text(encoding="utf-8"))
    assert [decision["provider"] for decision in announced["decisions"]] == [SEATS[1]]
    decision, _ = decide(ludo.paths, ludo.env, pytest.fail)
    assert decision is not None
    assert decision.provider == SEATS[2], "the second by its name, and that is in use"
