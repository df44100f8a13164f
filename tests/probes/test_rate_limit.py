"""Who may be asked, and when."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tokmon.errors import StoreError
from tokmon.probes.rate_limit import BACK_OFF_S, INTERVAL_S, LONGEST_S, ProbeLimiter, ProbeOutcome

NOW = 1_795_330_800.0


def test_who_was_asked_is_not_asked_again_within_twenty_minutes(tmp_path: Path) -> None:
    turns = ProbeLimiter(tmp_path)
    assert turns.claim(["a"], NOW)["a"].granted
    again = turns.claim(["a", "b"], NOW + INTERVAL_S - 1)
    assert not again["a"].granted
    assert again["a"].probed_at == NOW
    assert again["b"].granted
    assert turns.claim(["a"], NOW + 1.2 * INTERVAL_S)["a"].granted


def test_force_asks_again_and_that_counts(tmp_path: Path) -> None:
    turns = ProbeLimiter(tmp_path)
    turns.claim(["a"], NOW)
    assert turns.claim(["a"], NOW + 60, force=True)["a"].granted
    assert turns.claim(["a"], NOW + 61)["a"].probed_at == NOW + 60


def test_who_says_too_often_is_left_alone_for_an_hour_then_for_two_and_never_for_more_than_a_day(
    tmp_path: Path,
) -> None:
    turns = ProbeLimiter(tmp_path)
    at = NOW
    for wait in (BACK_OFF_S, 2 * BACK_OFF_S, 4 * BACK_OFF_S):
        assert turns.claim(["a"], at)["a"].granted
        turns.release({"a": ProbeOutcome(answered=True, wait_s=0.0)}, at)
        assert not turns.claim(["a"], at + wait - 1)["a"].granted
        at += wait + INTERVAL_S
    turns.claim(["a"], at)
    turns.release({"a": ProbeOutcome(answered=True, wait_s=1e7)}, at)
    assert not turns.claim(["a"], at + LONGEST_S - 1)["a"].granted
    assert turns.claim(["a"], at + LONGEST_S + INTERVAL_S)["a"].granted


def test_what_the_endpoint_says_to_wait_counts_where_it_is_longer(tmp_path: Path) -> None:
    turns = ProbeLimiter(tmp_path)
    turns.claim(["a"], NOW)
    turns.release({"a": ProbeOutcome(answered=True, wait_s=3 * BACK_OFF_S)}, NOW)
    assert not turns.claim(["a"], NOW + 3 * BACK_OFF_S - 1)["a"].granted


def test_an_answer_ends_the_doubling(tmp_path: Path) -> None:
    turns = ProbeLimiter(tmp_path)
    for told in (0.0, None, 0.0):
        turns.claim(["a"], NOW, force=True)
        turns.release({"a": ProbeOutcome(answered=True, wait_s=told)}, NOW)
    assert turns.claim(["a"], NOW + BACK_OFF_S + INTERVAL_S)["a"].granted


def test_what_is_closed_is_remembered_for_a_day_and_for_one_credential(tmp_path: Path) -> None:
    turns = ProbeLimiter(tmp_path, credentials=7)
    turns.claim(["a"], NOW)
    turns.release({"a": ProbeOutcome(answered=True, closed_paths=("/usage",))}, NOW)
    assert turns.claim(["a"], NOW + 2 * INTERVAL_S)["a"].closed_paths == ("/usage",)
    turns.release({"a": ProbeOutcome(answered=True)}, NOW + 2 * INTERVAL_S)
    assert turns.slots(["a"], NOW + LONGEST_S - 1)["a"].closed_paths == ("/usage",)
    assert turns.slots(["a"], NOW + LONGEST_S)["a"].closed_paths == ()
    assert ProbeLimiter(tmp_path, credentials=8).slots(["a"], NOW + 60)["a"].closed_paths == ()
    assert turns.claim(["a"], NOW + 60, force=True)["a"].closed_paths == (), "who insists asks for everything"


def test_a_turn_is_open_until_it_is_over_whatever_came_of_it(tmp_path: Path) -> None:
    turns = ProbeLimiter(tmp_path)
    assert not turns.slots(["a"], NOW)["a"].in_progress
    assert not turns.claim(["a"], NOW)["a"].in_progress
    assert turns.slots(["a"], NOW)["a"].in_progress
    turns.release({"a": ProbeOutcome(answered=False)}, NOW)
    turn = turns.slots(["a"], NOW)["a"]
    assert (turn.in_progress, turn.granted, turn.probed_at) == (False, False, NOW)


def test_looking_takes_no_turn_and_writes_nothing(tmp_path: Path) -> None:
    assert ProbeLimiter(tmp_path / "none").slots(["a"], NOW)["a"].granted
    assert not (tmp_path / "none").exists()


def test_no_answer_is_not_an_end_of_the_doubling(tmp_path: Path) -> None:
    turns = ProbeLimiter(tmp_path)
    for told in (
        ProbeOutcome(answered=True, wait_s=0.0),
        ProbeOutcome(answered=False),
        ProbeOutcome(answered=True, wait_s=0.0),
    ):
        turns.claim(["a"], NOW, force=True)
        turns.release({"a": told}, NOW)
    assert not turns.slots(["a"], NOW + 2 * BACK_OFF_S - 1)["a"].granted


@pytest.mark.parametrize(
    "closed",
    ['"x"', "[7]", f'["{"x" * 300}"]', "null", '["/usage"], "closed_at": "x"', '["/usage"], "closed_of": 1.5'],
)
def test_what_is_damaged_closes_nothing(tmp_path: Path, closed: str) -> None:
    entry = (
        f'{{"asked_at": {NOW}, "next_at": {NOW}, "refused": 0, "closed_at": {NOW}, "closed_of": 0, "closed": {closed}}}'
    )
    (tmp_path / "probes.json").write_text(f'{{"providers": {{"a": {entry}}}}}', encoding="utf-8")
    turn = ProbeLimiter(tmp_path).slots(["a"], NOW)["a"]
    assert (turn.closed_paths, turn.probed_at) == ((), NOW)


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"{",
        b"[]",
        b'{"providers":7}',
        b'{"providers":{"a":null}}',
        b'{"providers":{"a":{"asked_at":"x","next_at":1,"refused":0}}}',
        b'{"providers":{"a":{"asked_at":9e9,"next_at":9e9,"refused":0}}}',
        b'{"providers":{"a":{"asked_at":1,"next_at":9e9,"refused":0}}}',
    ],
)
def test_a_damaged_state_or_one_of_a_clock_that_was_ahead_holds_nobody_up(tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / "probes.json").write_bytes(damaged)
    assert ProbeLimiter(tmp_path).claim(["a"], NOW)["a"].granted


def test_the_state_is_for_its_owner_alone(tmp_path: Path) -> None:
    ProbeLimiter(tmp_path).claim(["a"], NOW)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("probes.*")} == {0o600}


def test_where_nothing_can_be_written_nobody_has_a_turn(tmp_path: Path) -> None:
    (tmp_path / "probes.json").mkdir()
    with pytest.raises(StoreError):
        ProbeLimiter(tmp_path).claim(["a"], NOW)


def test_of_eight_processes_at_once_one_asks(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from tokmon.probes.rate_limit import ProbeLimiter;"
        "sys.stdin.read(1); print(ProbeLimiter(Path(sys.argv[1])).claim(['a'], time.time())['a'].granted)"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ
        )
        for _ in range(8)
    ]
    for each in running:
        assert each.stdin is not None
        each.stdin.write(b"x")
        each.stdin.flush()
    said = [each.communicate(timeout=30)[0].strip() for each in running]
    assert sorted(said) == [b"False"] * 7 + [b"True"]
