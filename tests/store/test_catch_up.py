import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.store.log_lines import append, line_of, stored_lines, utilization
from tokmon.paths import Paths
from tokmon.store import state_file
from tokmon.store.codec import encode
from tokmon.store.reader import Block, blocks_before
from tokmon.store.state_file import State
from tokmon.wire.instants import rfc3339

_MANY: Final = 300_000
_KILLED: Final = """
import sys
from tokmon.store import state_file
from tokmon.paths import find
state_file._SAVE_EVERY_S = state_file._SAVING = 1e-9
state_file._WORTH_SAVING = 0
sys.stdout.write(f"{state_file.current(find()).complete}\\n")
"""


def _foreign(number: int) -> bytes:
    """A line of another tool: other fields first, and figures that change all the time."""
    ts = rfc3339(1_763_000_000 + number * 8.5)
    used = number % 1000 / 1000
    return (
        f'{{"utilization_5h":{used},"utilization_7d":{used / 7},"reset_in_seconds":{number % 18_000},'
        f'"status":"allowed","type":"teams-direct","ts":"{ts}","provider":"team-{number % 5}"}}'
    ).encode()


def _covered(state: State) -> int:
    return sum(end - start for coverage in state.covered.values() for start, end in coverage.ranges)


def test_a_month_of_foreign_lines_is_read_once_however_often_a_deadline_ends_it(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = paths.logs / "older-tool.jsonl"
    append(log, [_foreign(number) for number in range(_MANY)])
    read: list[int] = []

    def counted(file: object, start: int, end: int) -> Iterator[Block]:
        for block in blocks_before(file, start, end):  # type: ignore[arg-type]
            read.append(block[1] - block[0])
            yield block

    monkeypatch.setattr(state_file, "blocks_before", counted)
    first = state_file.current(paths, deadline=time.monotonic())
    assert not first.complete
    assert max(account.windows["5h"].stamp.ts for account in first.snapshot.accounts.values()) == pytest.approx(
        1_763_000_000 + (_MANY - 1) * 8.5
    )
    assert set(first.snapshot.accounts) == {f"team-{number}" for number in range(5)}
    before, state, runs = _covered(first), first, 1
    while not state.complete:
        state = state_file.current(paths, deadline=time.monotonic() + 0.2)
        assert _covered(state) > before or state.complete
        before, runs = _covered(state), runs + 1
    assert sum(read) == log.stat().st_size
    assert state_file.load(paths).to_json() == state.to_json()
    paths.snapshot.unlink()
    assert state_file.current(paths).to_json() == state.to_json()


def test_a_catch_up_that_is_killed_again_and_again_loses_little_and_gives_the_same(
    paths: Paths, tmp_path: Path
) -> None:
    append(paths.piggyback, stored_lines(20_000))
    append(paths.logs / "older-tool.jsonl", [_foreign(number) for number in range(20_000)])
    env = {**os.environ, "HOME": str(tmp_path)}
    for name in [name for name in env if name.startswith(("XDG_", "TOKMON_"))]:
        del env[name]
    before = -1
    for _ in range(5):
        with subprocess.Popen([sys.executable, "-c", _KILLED], env=env, stdout=subprocess.PIPE) as process:
            while process.poll() is None and _covered(state_file.load(paths)) <= before:
                pass
            process.send_signal(signal.SIGKILL)
        covered = _covered(state_file.load(paths))
        assert covered > before or process.returncode == 0
        before = covered
    state = state_file.current(paths)
    paths.snapshot.unlink()
    assert encode(state.to_json()) == encode(state_file.current(paths).to_json())


def test_the_first_steps_read_the_newest_block_of_every_log(paths: Paths) -> None:
    for name in ("a", "b", "c"):
        append(paths.logs / f"{name}.jsonl", [line_of(number % 60, 0.1, provider=name) for number in range(2000)])
    state = State()
    steps = state_file.catch_up_steps(state, paths)
    for _ in range(3):
        next(steps)
    assert set(state.snapshot.accounts) == {"a", "b", "c"}


def test_the_log_that_was_written_last_is_read_first(paths: Paths) -> None:
    for age, name in enumerate(("b", "c", "a")):
        append(paths.logs / f"{name}.jsonl", [line_of(0, 0.1, provider=name)])
        os.utime(paths.logs / f"{name}.jsonl", (1_700_000_000 - age, 1_700_000_000 - age))
    state = State()
    for name, _ in zip(("b", "c", "a"), state_file.catch_up_steps(state, paths), strict=True):
        assert list(state.snapshot.accounts)[-1] == name


def test_a_line_from_a_clock_that_runs_ahead_hides_no_other(paths: Paths) -> None:
    tail = b',"provider":"a","status":"allowed","windows":[{"name":"5h","utilization":0.4}]}'
    for ts in (b"2026-01-01T00:00:00.000Z", b"2098-01-01T00:00:00.000Z"):
        append(paths.piggyback, [b'{"id":"event-0001","ts":"%b"%b' % (ts, tail)] * 3)
    assert state_file.current(paths).snapshot.accounts["a"].windows["5h"].stamp.ts == 1_767_225_600.0


def test_a_log_that_grows_as_fast_as_it_is_read_is_not_read_for_ever(paths: Paths) -> None:
    append(paths.piggyback, [line_of(second % 50, 0.1) for second in range(2000)])
    state = State()
    steps = 0
    for steps, _ in enumerate(state_file.catch_up_steps(state, paths), 1):
        append(paths.piggyback, [line_of(59, 0.9)] * 500)
        assert steps < 50
    assert steps
    state_file.catch_up(state, paths)
    assert utilization(state) == 0.9
    assert state.covered["piggyback.jsonl"].gaps(paths.piggyback.stat().st_size) == []


@pytest.mark.parametrize(
    "line", [b"", b"{}", line_of(1, 0.1).replace(b",", b", "), b'{"id":"event-1"' + line_of(1, 0.1)[1:]]
)
def test_many_lines_are_read_some_hundred_at_a_time(paths: Paths, line: bytes) -> None:
    append(paths.piggyback, [line] * 4096)
    assert len(list(state_file.catch_up_steps(State(), paths))) >= 4096 // 256


def test_a_state_saved_between_two_steps_holds_all_that_it_covers(paths: Paths) -> None:
    lines = [line_of(second % 60, second / 1000) for second in range(1500)] + stored_lines(600)
    append(paths.piggyback, lines)
    whole = state_file.current(paths)
    for stop in range(12):
        paths.snapshot.unlink(missing_ok=True)
        state = State()
        for step, _ in enumerate(state_file.catch_up_steps(state, paths)):
            if step == stop:
                break
        state_file.save(state, paths)
        assert state_file.current(paths).snapshot.to_json() == whole.snapshot.to_json()


def test_a_torn_tail_counts_once_it_is_whole(paths: Paths) -> None:
    append(paths.piggyback, [line_of(1, 0.1)])
    with paths.piggyback.open("ab") as log:
        log.write(line_of(2, 0.2))
    state = state_file.current(paths)
    assert utilization(state) == 0.1
    with paths.piggyback.open("ab") as log:
        log.write(b"\n")
    state_file.catch_up(state, paths)
    assert utilization(state) == 0.2


def test_a_large_catch_up_is_saved_and_a_small_one_is_not(paths: Paths) -> None:
    append(paths.piggyback, stored_lines(200))
    state_file.current(paths)
    assert not paths.snapshot.exists()
    append(paths.piggyback, stored_lines(4000))
    first = state_file.current(paths)
    assert encode(state_file.load(paths).to_json()) == encode(first.to_json())
    paths.snapshot.unlink()
    paths.snapshot.mkdir()
    assert encode(state_file.current(paths).to_json()) == encode(first.to_json()), "a cache that cannot be saved"
