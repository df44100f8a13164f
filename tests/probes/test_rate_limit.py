"""Which accounts may be probed, and when."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE_S
from tokmon.errors import StoreError
from tokmon.probes.limiter_state import LONGEST_S
from tokmon.probes.rate_limit import BACK_OFF_S, INTERVAL_S, ProbeLimiter, ProbeOutcome
from tokmon.store.fingerprint import fingerprint

NOW = 1_795_330_800.0


def test_account_is_probed_once_in_twenty_minutes(tmp_path: Path) -> None:
    limiter = ProbeLimiter(tmp_path)
    assert limiter.claim(["a"], NOW)["a"].granted
    again = limiter.claim(["a", "b"], NOW + INTERVAL_S - 1)
    assert not again["a"].granted
    assert again["a"].probed_at == NOW
    assert again["b"].granted
    assert limiter.claim(["a"], NOW + 1.2 * INTERVAL_S)["a"].granted


def test_forced_claim_is_granted_and_starts_a_new_interval(tmp_path: Path) -> None:
    limiter = ProbeLimiter(tmp_path)
    limiter.claim(["a"], NOW)
    assert limiter.claim(["a"], NOW + 60, force=True)["a"].granted
    assert limiter.claim(["a"], NOW + 61)["a"].probed_at == NOW + 60


def test_back_off_after_refused_probes_is_one_hour_and_doubles_up_to_a_day(tmp_path: Path) -> None:
    limiter = ProbeLimiter(tmp_path)
    at = NOW
    for wait in (BACK_OFF_S, 2 * BACK_OFF_S, 4 * BACK_OFF_S):
        assert limiter.claim(["a"], at)["a"].granted
        limiter.release({"a": ProbeOutcome(answered=True, wait_s=0.0)}, at)
        assert not limiter.claim(["a"], at + wait - 1)["a"].granted
        at += wait + INTERVAL_S
    limiter.claim(["a"], at)
    limiter.release({"a": ProbeOutcome(answered=True, wait_s=1e7)}, at)
    assert not limiter.claim(["a"], at + LONGEST_S - 1)["a"].granted
    assert limiter.claim(["a"], at + LONGEST_S + INTERVAL_S)["a"].granted


def test_longer_wait_of_the_endpoint_replaces_the_back_off(tmp_path: Path) -> None:
    limiter = ProbeLimiter(tmp_path)
    limiter.claim(["a"], NOW)
    limiter.release({"a": ProbeOutcome(answered=True, wait_s=3 * BACK_OFF_S)}, NOW)
    assert not limiter.claim(["a"], NOW + 3 * BACK_OFF_S - 1)["a"].granted


def test_successful_probe_resets_the_back_off(tmp_path: Path) -> None:
    limiter = ProbeLimiter(tmp_path)
    for wait in (0.0, None, 0.0):
        limiter.claim(["a"], NOW, force=True)
        limiter.release({"a": ProbeOutcome(answered=True, wait_s=wait)}, NOW)
    assert limiter.claim(["a"], NOW + BACK_OFF_S + INTERVAL_S)["a"].granted


def test_probe_without_an_answer_does_not_reset_the_back_off(tmp_path: Path) -> None:
    limiter = ProbeLimiter(tmp_path)
    refused = ProbeOutcome(answered=True, wait_s=0.0)
    for outcome in (refused, ProbeOutcome(answered=False), refused):
        limiter.claim(["a"], NOW, force=True)
        limiter.release({"a": outcome}, NOW)
    assert not limiter.slots(["a"], NOW + 2 * BACK_OFF_S - 1)["a"].granted


def test_closed_paths_hold_for_one_day_and_one_credential(tmp_path: Path) -> None:
    limiter = ProbeLimiter(tmp_path, credentials=[fingerprint(tmp_path)])
    limiter.claim(["a"], NOW)
    limiter.release({"a": ProbeOutcome(answered=True, closed_paths=("/usage",))}, NOW)
    assert limiter.claim(["a"], NOW + 2 * INTERVAL_S)["a"].closed_paths == ("/usage",)
    limiter.release({"a": ProbeOutcome(answered=True)}, NOW + 2 * INTERVAL_S)
    assert limiter.slots(["a"], NOW + LONGEST_S - 1)["a"].closed_paths == ("/usage",)
    assert limiter.slots(["a"], NOW + LONGEST_S)["a"].closed_paths == ()
    other = ProbeLimiter(tmp_path, credentials=[fingerprint(tmp_path / "auth.json")])
    assert other.slots(["a"], NOW + 60)["a"].closed_paths == ()
    assert limiter.claim(["a"], NOW + 60, force=True)["a"].closed_paths == (), "a forced probe tries all paths"


def test_slot_is_in_progress_until_it_is_released_whatever_the_outcome(tmp_path: Path) -> None:
    limiter = ProbeLimiter(tmp_path)
    assert not limiter.slots(["a"], NOW)["a"].in_progress
    assert not limiter.claim(["a"], NOW)["a"].in_progress
    assert limiter.slots(["a"], NOW)["a"].in_progress
    limiter.release({"a": ProbeOutcome(answered=False)}, NOW)
    slot = limiter.slots(["a"], NOW)["a"]
    assert (slot.in_progress, slot.granted, slot.probed_at) == (False, False, NOW)


def test_reading_slots_claims_nothing_and_writes_nothing(tmp_path: Path) -> None:
    assert ProbeLimiter(tmp_path / "none").slots(["a"], NOW)["a"].granted
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "closed",
    [
        '"x"',
        "[7]",
        f'["{"x" * 300}"]',
        "null",
        '["/usage"], "closed_at": "x"',
        '["/usage"], "credentials": 1.5',
    ],
)
def test_damaged_closed_paths_are_ignored(tmp_path: Path, closed: str) -> None:
    entry = (
        f'{{"probed_at": {NOW}, "next_at": {NOW}, "refusals": 0, "closed_at": {NOW}, "credentials": 0, '
        f'"closed_paths": {closed}}}'
    )
    (tmp_path / "probes.json").write_text(f'{{"version": 2, "accounts": {{"a": {entry}}}}}', encoding="utf-8")
    slot = ProbeLimiter(tmp_path).slots(["a"], NOW)["a"]
    assert (slot.closed_paths, slot.probed_at) == ((), NOW)


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"{",
        b"[]",
        b'{"version":2,"accounts":7}',
        b'{"version":2,"accounts":{"a":null}}',
        b'{"version":2,"accounts":{"a":{"probed_at":"x","next_at":1,"refusals":0}}}',
        b'{"version":2,"accounts":{"a":{"probed_at":9e9,"next_at":9e9,"refusals":0}}}',
        b'{"version":2,"accounts":{"a":{"probed_at":1,"next_at":9e9,"refusals":0}}}',
        b'{"version":1,"providers":{"a":{"asked_at":1795330800,"next_at":1795331800,"refused":0}}}',
    ],
)
def test_damaged_older_or_future_state_does_not_prevent_a_probe(tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / "probes.json").write_bytes(damaged)
    assert ProbeLimiter(tmp_path).claim(["a"], NOW)["a"].granted


def test_state_and_lock_are_private(tmp_path: Path) -> None:
    ProbeLimiter(tmp_path).claim(["a"], NOW)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("probes.*")} == {0o600}


def test_claim_fails_if_the_state_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "probes.json").mkdir()
    with pytest.raises(StoreError):
        ProbeLimiter(tmp_path).claim(["a"], NOW)


def test_only_one_of_several_processes_gets_a_slot(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from tokmon.probes.rate_limit import ProbeLimiter;"
        "sys.stdin.read(1); print(ProbeLimiter(Path(sys.argv[1])).claim(['a'], time.time())['a'].granted)"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ
        )
        for _ in range(4)
    ]
    for claimant in processes:
        assert claimant.stdin is not None
        claimant.stdin.write(b"x")
        claimant.stdin.flush()
    printed = [claimant.communicate(timeout=PATIENCE_S)[0].strip() for claimant in processes]
    assert sorted(printed) == [b"False"] * 3 + [b"True"]
