"""Accounts about as good for a new session, and which of them sessions go to when others run there already."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.commands.logbook import Record
from tests.selection.pool import DAY, HOUR, NOW, POLICY, SEATS, anybody, pool, turn
from tests.selection.test_properties import CURRENT, LINES, POLICIES
from tokmon.evidence.snapshot import Snapshot
from tokmon.selection.choose import Decision, choose
from tokmon.selection.choose_again import choose_again
from tokmon.selection.decision_json import decision_json
from tokmon.selection.horizon import LONGEST_S, holds_until
from tokmon.selection.policy import Policy
from tokmon.selection.probe_choice import providers_to_probe
from tokmon.selection.reservations import NONE, Reservations

FORECAST = replace(POLICY, policy="forecast")
ALIKE = [turn(name, 0.4) for name in SEATS]
RESERVATIONS = st.builds(
    Reservations, st.dictionaries(st.sampled_from([*SEATS, "xai-vigilio"]), st.integers(0, 3)), st.integers(0, 7)
)


def decide(
    *lines: Record, current: str | None = None, sessions: dict[str, int] | None = None, place: int = 0
) -> Decision:
    return decision_of(FORECAST, pool(*lines), current, Reservations(sessions or {}, place))


def decision_of(policy: Policy, snapshot: Snapshot, current: str | None, reservations: Reservations) -> Decision:
    decision = choose(policy, snapshot, NOW, current, reservations)
    assert decision is not None
    return decision


def test_accounts_within_ten_percent_of_the_choice_are_equal_in_the_order_of_the_chain() -> None:
    decision = decide(
        turn("team-vigilio", 0.4, week_resets=2 * DAY),
        turn("team-ludo", 0.4, week_resets=2.1 * DAY),
        turn("team-buio", 0.4, week_resets=1.9 * DAY),
        turn("team-molto", 0.4, week_resets=2.3 * DAY),
        turn("team-nadja", 0.4, 0.95),
    )
    assert (decision.provider, decision.equal) == ("team-vigilio", ("team-ludo", "team-buio"))
    assert decision_json(decision)["equal"] == ["team-ludo", "team-buio"]


def test_an_account_whose_week_is_unknown_is_equal_only_to_another_such() -> None:
    known = turn("team-vigilio", 0.0, week_resets=7 * DAY)
    assert decide(known).equal == ()
    assert decide().equal == SEATS[1:]


def test_an_account_after_a_network_failure_is_not_equal() -> None:
    failed = turn("team-ludo", None, None, status="network_error", age=1)
    decision = decide(*ALIKE, failed)
    assert (decision.provider, decision.equal) == ("team-vigilio", ("team-buio", "team-molto", "team-nadja"))


@pytest.mark.parametrize(
    ("policy", "lines"),
    [
        (replace(FORECAST, policy="threshold"), ALIKE),
        (replace(FORECAST, pin="team-ludo"), ALIKE),
        (replace(FORECAST, resume_account="team-ludo"), ALIKE),
        (FORECAST, [turn(name, 0.4, 0.97) for name in SEATS]),
        (FORECAST, [turn(name, status="policy_rejected") for name in (*SEATS, "xai-vigilio")]),
    ],
    ids=["threshold", "pin", "resume", "fallback", "emergency"],
)
def test_other_choices_have_no_equal_accounts(policy: Policy, lines: list[Record]) -> None:
    assert decision_of(policy, pool(*lines), None, NONE).equal == ()
    sessions = Reservations({name: number for number, name in enumerate(reversed(SEATS))}, 3)
    assert (
        decision_of(policy, pool(*lines), None, sessions).provider
        == decision_of(policy, pool(*lines), None, NONE).provider
    )


def test_the_account_with_the_fewest_sessions_is_taken_of_those_about_as_good() -> None:
    sessions = {"team-vigilio": 2, "team-ludo": 1, "team-buio": 0, "team-molto": 3, "team-nadja": 1}
    decision = decide(*ALIKE, sessions=sessions)
    assert decision.provider == "team-buio"
    assert decision.reason == "enough quota for a session, and fewer sessions than on accounts about as good"
    assert {*decision.equal} == {*SEATS} - {"team-buio"}
    urgent = [*ALIKE, turn("team-vigilio", 0.1, age=30)]
    assert decide(*urgent, sessions=sessions).provider == "team-vigilio", "the others are less urgent"


def test_the_next_session_stays_on_its_account_unless_an_equal_one_has_fewer_sessions() -> None:
    even = dict.fromkeys(SEATS, 2)
    staying = decide(*ALIKE, current="team-molto", sessions=even, place=3)
    assert (staying.provider, staying.reason[:8]) == ("team-molto", "staying:")
    assert decide(*ALIKE, current="team-molto", sessions=even | {"team-molto": 1}).provider == "team-molto"
    assert decide(*ALIKE, current="team-molto", sessions=even | {"team-buio": 1}).provider == "team-buio"
    less_urgent = [*ALIKE, turn("team-buio", 0.5, age=30)]
    assert decide(*less_urgent, current="team-molto", sessions=even | {"team-buio": 0}).provider == "team-molto"


def test_each_member_begins_at_another_of_the_equal_accounts() -> None:
    decisions = [decide(*ALIKE, place=place) for place in range(7)]
    assert [decision.provider for decision in decisions] == [*SEATS, *SEATS[:2]]
    assert all({decision.provider, *decision.equal} == {*SEATS} for decision in decisions)
    moved = [decide(*ALIKE, current=SEATS[0], sessions={SEATS[0]: 1}, place=place).provider for place in range(5)]
    assert moved == [SEATS[1], *SEATS[1:]], "and so where an account is left"


def test_sessions_that_are_sent_one_after_the_other_spread_evenly() -> None:
    sent: Counter[str] = Counter()
    current = None
    for _ in range(20):
        current = decide(*ALIKE, current=current, sessions=dict(sent)).provider
        sent[current] += 1
    assert sent == dict.fromkeys(SEATS, 4)


def test_accounts_that_differ_by_little_each_are_left_at_most_for_one_two_thirds_as_urgent() -> None:
    """Each is within ten percent of the one before, and the last at half the urgency of the first."""
    chain = tuple(f"seat-{number}" for number in range(9))
    lines = [turn(name, 0.4, week_resets=2 * DAY * 1.09**number) for number, name in enumerate(chain)]
    sessions = Reservations({name: 9 - number for number, name in enumerate(chain)})
    decision = decision_of(replace(FORECAST, chain=chain), pool(*lines), None, sessions)
    assert decision.provider == "seat-4"


@given(POLICIES, LINES, CURRENT, RESERVATIONS)
def test_a_wake_on_the_account_decided_for_decides_for_it_again_with_the_same_reservations(
    policy: Any, lines: list[Record], current: str | None, reservations: Reservations
) -> None:
    snapshot = pool(*lines)
    first = decision_of(policy, snapshot, current, reservations)
    again = decision_of(policy, snapshot, first.provider, reservations)
    assert (again.provider, again.equal) == (first.provider, first.equal)
    if not providers_to_probe(policy, snapshot, NOW, first.provider, reservations=reservations):
        assert holds_until(policy, snapshot, first, anybody) > NOW


@given(LINES, CURRENT, RESERVATIONS)
def test_reservations_choose_among_accounts_that_can_be_taken_alone(
    lines: list[Record], current: str | None, reservations: Reservations
) -> None:
    snapshot = pool(*lines)
    before = decision_of(FORECAST, snapshot, current, NONE)
    after = decision_of(FORECAST, snapshot, current, reservations)
    assert (after.emergency, after.spends) == (before.emergency, before.spends)
    if after.provider != before.provider:
        urgency = {candidate.provider: candidate.urgency for candidate in after.candidates}
        assert urgency[after.provider] * 1.5 >= urgency[before.provider]
        assert {before.provider, after.provider} <= {*FORECAST.chain}


def test_a_decision_ends_when_an_account_is_no_longer_about_as_good() -> None:
    lines = turn("team-vigilio", 0.4, week_resets=10 * HOUR), turn("team-ludo", 0.4, week_resets=10.95 * HOUR)
    excluded = [turn(name, status="policy_rejected") for name in SEATS[2:]]
    snapshot = pool(*lines, *excluded)
    decision = decision_of(FORECAST, snapshot, None, NONE)
    assert (decision.provider, decision.equal) == ("team-vigilio", ("team-ludo",))
    until = holds_until(FORECAST, snapshot, decision, anybody)
    assert NOW < until < NOW + LONGEST_S
    later = choose(FORECAST, snapshot, until, "team-vigilio")
    assert later is not None
    assert (later.provider, later.equal) == ("team-vigilio", ())


def test_a_decision_holds_with_the_reservations_that_it_was_made_with() -> None:
    sessions = Reservations({"team-vigilio": 1})
    decision = decision_of(FORECAST, pool(*ALIKE), "team-vigilio", sessions)
    assert decision.provider == "team-ludo"
    assert holds_until(FORECAST, pool(*ALIKE), decision, anybody) == NOW + LONGEST_S


def test_a_decision_gives_way_to_sessions_that_were_sent_meanwhile() -> None:
    decision = decision_of(FORECAST, pool(*ALIKE), None, NONE)
    assert decision.provider == "team-vigilio"
    later = Reservations({"team-vigilio": 2, "team-ludo": 1, "team-molto": 1, "team-nadja": 1})
    again = choose_again(decision, replace(FORECAST, models=(("team-buio", "another"),)), later)
    assert (again.provider, again.model, again.reservations) == ("team-buio", "another", later)
    assert (again.valid_until, {*again.equal}) == (decision.valid_until, {*SEATS} - {"team-buio"})
    even = Reservations(dict.fromkeys(SEATS, 1))
    assert choose_again(decision, FORECAST, even) == replace(decision, reservations=even)
    pinned = decision_of(replace(FORECAST, pin="somebody"), pool(*ALIKE), None, NONE)
    assert choose_again(pinned, FORECAST, later).provider == "somebody"
