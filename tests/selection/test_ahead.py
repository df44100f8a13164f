"""For how long the same evidence gives the same decision: as long as each asking would."""

from itertools import islice, pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.commands.logbook import DAY, HOUR, NOW, Record
from tests.selection.pool import POLICY, anybody, check, pool, turn
from tests.selection.test_properties import CURRENT, LINES, POLICIES
from tokmon.evidence.snapshot import Snapshot
from tokmon.selection.choose import Decision, choose
from tokmon.selection.expiry import changes_at
from tokmon.selection.horizon import Ahead, look_ahead, looking_ahead
from tokmon.selection.policy import Policy
from tokmon.selection.probe_choice import wanted
from tokmon.wire.instants import rfc3339

_STEPS = 40


def decide(policy: Policy, snapshot: Snapshot, at: float = NOW, current: str | None = None) -> Decision:
    decision = choose(policy, snapshot, at, current)
    assert decision is not None
    return decision


def answer(decision: Decision) -> tuple[str, str, bool, bool]:
    return decision.provider, decision.model, decision.emergency, decision.spends


def grid(snapshot: Snapshot, until: float) -> list[float]:
    """Every instant from NOW on at which somebody may look: half a minute on, or where something ends by itself."""
    resets = {
        seen.window.resets_at
        for account in snapshot.accounts.values()
        for seen in account.windows.values()
        if seen.window.resets_at is not None and seen.window.scope is None and account.provider in POLICY.order
    }
    found = [NOW]
    while found[-1] < until:
        ends = {changes_at(snapshot.accounts.get(name), found[-1]) for name in POLICY.order} | resets
        found.append(min([found[-1] + 30.0, *(end for end in ends if end > found[-1])]))
    return found


@given(POLICIES, LINES, CURRENT)
def test_what_is_seen_ahead_is_what_whoever_asks_then_is_told(
    policy: Any, lines: list[Record], current: str | None
) -> None:
    snapshot = pool(*lines)
    decision = decide(policy, snapshot, NOW, current)
    seen = list(islice(looking_ahead(policy, snapshot, decision, anybody), _STEPS))
    fresh = pool(*reversed(lines))
    instants = grid(fresh, seen[-1].until) if seen else [NOW]
    assert [each.until for each in seen] == instants[1:]
    for at in instants[:-1]:
        assert answer(decide(policy, fresh, at, decision.provider)) == answer(decision)
    if len(seen) < _STEPS:
        after = decide(policy, fresh, instants[-1], decision.provider)
        assert answer(after) != answer(decision) or wanted(policy, fresh, instants[-1], decision.provider)
    for at in instants[: len(seen)]:
        assert not wanted(policy, fresh, at, decision.provider), "whoever wakes then would ask"


@given(LINES, CURRENT, st.sampled_from(["never", "after-plan", "first"]), st.floats(0, 1, exclude_max=True))
def test_by_threshold_nothing_changes_between_two_looks(
    lines: list[Record], current: str | None, spending: str, part: float
) -> None:
    policy, snapshot = msgspec.structs.replace(POLICY, spend_credit=spending), pool(*lines)
    decision = decide(policy, snapshot, NOW, current)
    seen = [NOW, *(each.until for each in islice(looking_ahead(policy, snapshot, decision, anybody), _STEPS))]
    for before, after in pairwise(seen):
        # What is over is seen to be over a millisecond later.
        at = before + part * (after - before - 0.002)
        assert answer(decide(policy, snapshot, max(before, at), decision.provider)) == answer(decision)


@pytest.mark.parametrize(
    "line",
    [
        turn("team-vigilio", None, None, status="overloaded", age=600 - 47),
        turn("team-vigilio", None, None, status="network_error", age=600 - 47),
        turn("team-vigilio", None, None, status="no_credit", age=DAY - 47),
        turn("team-vigilio", None, None, status="rejected", age=60, blocked_until=rfc3339(NOW + 47)),
        check("team-vigilio", "error", age=2 * HOUR - 47) | {"account_status": "no_credit", "scope": "account"},
    ],
    ids=["overload", "network", "age of a turn", "a named end", "age of a check"],
)
def test_it_ends_when_what_decided_does(line: Record) -> None:
    snapshot = pool(line, turn("team-ludo", 0.5))
    decision = decide(POLICY, snapshot)
    assert decision.provider == "team-ludo"
    ahead = look_ahead(POLICY, snapshot, decision, lambda _at: set())
    assert ahead is not None
    assert ahead.until == pytest.approx(NOW + 47, abs=0.01)
    later = decide(POLICY, snapshot, NOW + 30, "team-ludo")
    assert later.valid_until == pytest.approx(NOW + 47, abs=0.01)


@given(POLICIES, LINES, CURRENT, st.floats(0, 600))
def test_it_is_decided_again_from_whoever_was_decided_for(
    policy: Any, lines: list[Record], current: str | None, later: float
) -> None:
    snapshot = pool(*lines)
    first = decide(policy, snapshot, NOW + later, current)
    assert answer(decide(policy, snapshot, NOW + later, first.provider)) == answer(first)


@given(POLICIES, LINES)
def test_nobody_goes_on_past_a_limit_that_would_be_reached(policy: Any, lines: list[Record]) -> None:
    snapshot = pool(*lines)
    decision = decide(policy, snapshot)
    for before, after in pairwise(
        [Ahead(NOW, 30.0), *islice(looking_ahead(policy, snapshot, decision, anybody), _STEPS)]
    ):
        step = decide(policy, snapshot, before.until, decision.provider)
        assert before.until + after.crossing_s <= step.valid_until or step.valid_until == after.until
        assert after.crossing_s <= before.crossing_s


def test_it_ends_where_a_window_starts_afresh_that_decided() -> None:
    snapshot = pool(turn("team-vigilio", 0.95, week_resets=130.0), turn("team-ludo", 0.3, week_resets=DAY))
    decision = decide(POLICY, snapshot)
    assert decision.provider == "team-ludo"
    ahead = look_ahead(POLICY, snapshot, decision, anybody)
    assert ahead is not None
    assert ahead.until == NOW + 130.0


def test_it_ends_where_evidence_gets_too_old() -> None:
    """A check counts for two hours: then the first of the chain is as good as any."""
    snapshot = pool(
        turn("team-vigilio", 0.2, age=2 * DAY), check("team-ludo", age=2 * HOUR - 100), turn("team-ludo", 0.5)
    )
    decision = decide(POLICY, snapshot)
    assert decision.provider == "team-ludo"
    ahead = look_ahead(POLICY, snapshot, decision, anybody)
    assert ahead is not None
    assert NOW + 100 < ahead.until <= NOW + 130


def test_who_is_waited_for_does_not_look_for_ever() -> None:
    lines = [turn(name) for name in POLICY.order]
    ahead = look_ahead(POLICY, pool(*lines), decide(POLICY, pool(*lines)), anybody)
    assert ahead is not None
    assert NOW + 1800 <= ahead.until <= NOW + 2 * HOUR
    many = msgspec.structs.replace(POLICY, chain=tuple(f"seat-{number}" for number in range(100)))
    all_known = pool(*(turn(name) for name in many.order))
    ahead = look_ahead(many, all_known, decide(many, all_known), anybody)
    assert ahead is not None
    assert ahead.until == NOW + 240


def test_what_somebody_would_be_asked_about_is_not_kept() -> None:
    """Nothing is known of the first of the chain: whoever wakes asks it, and is told by that."""
    known = pool(*(turn(name, 0.3) for name in POLICY.order[1:]))
    decision = decide(POLICY, known)
    assert wanted(POLICY, known, NOW, decision.provider)
    assert look_ahead(POLICY, known, decision, anybody) is None


def test_who_cannot_be_asked_yet_ends_nothing_before_its_time() -> None:
    known = pool(*(turn(name, 0.3) for name in POLICY.order[1:]))
    decision = decide(POLICY, known)
    first = POLICY.order[0]
    ahead = look_ahead(POLICY, known, decision, lambda at: {first} if at >= NOW + 100 else set())
    assert ahead is not None
    assert NOW + 100 <= ahead.until <= NOW + 130
    never = look_ahead(POLICY, known, decision, lambda _at: set(POLICY.order) - {first})
    assert never is not None
    assert never.until > NOW + 600
