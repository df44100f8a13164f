"""Until when the same evidence gives the same decision."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.commands.logbook import DAY, HOUR, NOW, Record
from tests.selection.pool import POLICY, anybody, check, pool, turn
from tests.selection.test_properties import CURRENT, LINES, POLICIES
from tokmon.evidence.snapshot import Snapshot
from tokmon.selection.choose import Decision, choose
from tokmon.selection.horizon import LONGEST_S, STEP_S, holds_until
from tokmon.selection.policy import Policy
from tokmon.selection.probe_choice import providers_to_probe
from tokmon.wire.instants import rfc3339


def decide(policy: Policy, snapshot: Snapshot, at: float = NOW, current: str | None = None) -> Decision:
    decision = choose(policy, snapshot, at, current)
    assert decision is not None
    return decision


def nobody(_at: float) -> frozenset[str]:
    return frozenset()


@given(LINES, CURRENT, st.sampled_from(["never", "after-plan", "first"]), st.floats(0, 1, exclude_max=True))
def test_by_threshold_every_wake_before_the_end_gets_the_same_decision(
    lines: list[Record], current: str | None, spending: str, part: float
) -> None:
    policy, snapshot = replace(POLICY, spend_credit=spending), pool(*lines)
    decision = decide(policy, snapshot, NOW, current)
    until = holds_until(policy, snapshot, decision, anybody)
    assert NOW <= until <= NOW + LONGEST_S
    # Limits that include their last instant are seen to be over a millisecond later.
    at = max(NOW, NOW + part * (until - NOW - 0.002))
    if until > NOW:
        again = decide(policy, pool(*reversed(lines)), at, decision.provider)
        assert again.same_choice(decision)
        assert not providers_to_probe(policy, snapshot, at, decision.provider)


@given(POLICIES, LINES, CURRENT)
def test_a_decision_ends_early_only_where_the_choice_changes_or_a_wake_would_probe(
    policy: Any, lines: list[Record], current: str | None
) -> None:
    snapshot = pool(*lines)
    decision = decide(policy, snapshot, NOW, current)
    until = holds_until(policy, snapshot, decision, anybody)
    if until < NOW + LONGEST_S:
        after = decide(policy, snapshot, until, decision.provider)
        assert not after.same_choice(decision) or providers_to_probe(policy, snapshot, until, decision.provider)


@given(POLICIES, LINES, CURRENT, st.floats(0, 600))
def test_a_wake_on_the_account_decided_for_decides_for_it_again(
    policy: Any, lines: list[Record], current: str | None, later: float
) -> None:
    snapshot = pool(*lines)
    first = decide(policy, snapshot, NOW + later, current)
    assert decide(policy, snapshot, NOW + later, first.provider).same_choice(first)


@pytest.mark.parametrize(
    "line",
    [
        turn("team-vigilio", None, None, status="overloaded", age=600 - 47),
        turn("team-vigilio", None, None, status="network_error", age=600 - 47),
        turn("team-vigilio", None, None, status="rejected", scope="request", age=600 - 47),
        turn("team-vigilio", None, None, status="no_credit", age=DAY - 47),
        turn("team-vigilio", None, None, status="rejected", age=60, blocked_until=rfc3339(NOW + 47)),
        check("team-vigilio", "error", age=2 * HOUR - 47) | {"account_status": "no_credit", "scope": "account"},
    ],
    ids=["overload", "network", "bare 429", "age of a turn", "a named end", "age of a check"],
)
def test_a_decision_ends_at_the_instant_at_which_its_evidence_does(line: Record) -> None:
    snapshot = pool(line, turn("team-ludo", 0.5))
    decision = decide(POLICY, snapshot)
    assert decision.provider == "team-ludo"
    assert holds_until(POLICY, snapshot, decision, nobody) == pytest.approx(NOW + 47, abs=0.01)


def test_a_decision_ends_at_the_reset_of_the_window_that_excluded_an_account() -> None:
    snapshot = pool(turn("team-vigilio", 0.95, week_resets=130.0), turn("team-ludo", 0.3, week_resets=DAY))
    decision = decide(POLICY, snapshot)
    assert decision.provider == "team-ludo"
    assert holds_until(POLICY, snapshot, decision, anybody) == NOW + 130.0


def test_a_decision_ends_when_the_check_that_it_rests_on_gets_too_old() -> None:
    snapshot = pool(
        turn("team-vigilio", 0.2, age=2 * DAY), check("team-ludo", age=2 * HOUR - 100), turn("team-ludo", 0.5)
    )
    decision = decide(POLICY, snapshot)
    assert decision.provider == "team-ludo"
    assert NOW + 100 <= holds_until(POLICY, snapshot, decision, anybody) <= NOW + 101


def test_looking_far_is_bounded_by_the_number_of_accounts() -> None:
    lines = [turn(name) for name in POLICY.accounts]
    assert holds_until(POLICY, pool(*lines), decide(POLICY, pool(*lines)), anybody) == NOW + LONGEST_S
    many = replace(POLICY, chain=tuple(f"seat-{number}" for number in range(200)))
    known = pool(*(turn(name) for name in many.accounts))
    assert holds_until(many, known, decide(many, known), anybody) == NOW + 2 * STEP_S


def test_a_decision_before_which_a_wake_would_probe_holds_for_no_wake() -> None:
    known = pool(*(turn(name, 0.3) for name in POLICY.accounts[1:]))
    decision = decide(POLICY, known)
    assert providers_to_probe(POLICY, known, NOW, decision.provider)
    assert holds_until(POLICY, known, decision, anybody) == NOW


def test_an_account_that_cannot_be_probed_yet_ends_no_decision_before_its_time() -> None:
    known = pool(*(turn(name, 0.3) for name in POLICY.accounts[1:]))
    decision = decide(POLICY, known)
    first = POLICY.accounts[0]
    until = holds_until(POLICY, known, decision, lambda at: {first} if at >= NOW + 100 else set())
    assert NOW + 100 <= until <= NOW + 100 + STEP_S
    never = holds_until(POLICY, known, decision, lambda _at: set(POLICY.accounts) - {first})
    assert never == NOW + LONGEST_S
