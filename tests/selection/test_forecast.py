"""The policy that anticipates: who lasts for the session, and whose week is lost first."""

from dataclasses import replace

import pytest

from tests.commands.logbook import Record
from tests.selection.pool import DAY, HOUR, NOW, POLICY, SEATS, check, pool, turn
from tokmon.evidence.model import Window
from tokmon.selection import demand
from tokmon.selection.choose import Decision, choose
from tokmon.selection.demand import Burn, project
from tokmon.wire.instants import rfc3339

FORECAST = replace(POLICY, policy="forecast")
ONE_HOUR = Burn({}, {"5h": 0.1, "7d": 0.012})


def decide(*lines: Record, current: str | None = None) -> Decision:
    decision = choose(FORECAST, pool(*lines), NOW, current)
    assert decision is not None
    return decision


def burning(provider: str, *, five: tuple[float, float], week: float = 0.3, resets: float = 2 * DAY) -> list[Record]:
    """An account whose 5h window went from one figure to the other in the last hour."""
    return [
        turn(provider, week, five[0], age=HOUR + 60, five_resets=3 * HOUR, week_resets=resets),
        turn(provider, week, five[1], age=60, five_resets=3 * HOUR, week_resets=resets),
    ]


def test_the_quota_that_dies_first_is_used_first() -> None:
    """Ludo loses 60 % of a week in twelve hours, Vigilio the same in five days: 0.05 against 0.005 an hour."""
    decision = decide(
        turn("team-vigilio", 0.4, week_resets=5 * DAY),
        turn("team-ludo", 0.4, week_resets=DAY / 2),
        turn("team-buio", 0.9, week_resets=DAY / 2),
    )
    assert (decision.provider, decision.emergency) == ("team-ludo", False)
    assert "expires soonest unused" in decision.reason


def test_where_a_check_started_no_session_others_go_first_whatever_is_left_there() -> None:
    """A seat at 0 % that times out in pi, as it has happened; once nobody else is left, it is tried."""
    hung = check("team-vigilio", "error", age=600) | {"reason": "no answer within 60 s"}
    idle = turn("team-vigilio", 0.0, age=DAY - HOUR, week_resets=HOUR)
    pair = [idle, turn("team-ludo", 0.9), *(turn(name, status="policy_rejected") for name in SEATS[2:])]
    decision = decide(*pair, hung, current="team-vigilio")
    assert decision.provider == "team-ludo"
    assert decision.candidates[0].assessment.reason == "works; the last pi check started no session"
    assert decide(*pair, hung, turn("team-vigilio", 0.0, age=60, week_resets=HOUR)).provider == "team-vigilio"
    assert decide(*pair, hung | {"ts": rfc3339(NOW - 7300)}).provider == "team-vigilio"
    assert decide(*pair, hung, turn("team-ludo", status="policy_rejected", age=1)).provider == "team-vigilio"


@pytest.mark.parametrize(
    "said",
    [
        {"account_status": "network_error"},
        {"account_status": "rejected", "scope": "account"},
        {"account_status": "rejected", "scope": "model", "model": "another"},
    ],
)
def test_what_a_check_knows_the_reason_of_counts_for_that_alone(said: Record) -> None:
    failed = check("team-vigilio", "error", age=600) | said
    idle = turn("team-vigilio", 0.0, age=HOUR, week_resets=HOUR)
    assert decide(idle, turn("team-ludo", 0.9), failed).provider == "team-vigilio"


def test_the_order_of_the_chain_decides_between_equals() -> None:
    assert decide(*(turn(name, 0.4) for name in SEATS[::-1])).provider == "team-vigilio"


@pytest.mark.parametrize(("before", "after", "chosen"), [(0.40, 0.75, "team-ludo"), (0.40, 0.50, "team-vigilio")])
def test_no_session_starts_where_the_five_hours_would_end_within_it(before: float, after: float, chosen: str) -> None:
    """At 0.35 an hour, 0.75 is 1.10 at the end; at 0.1 an hour, 0.50 is 0.60."""
    decision = decide(*burning("team-vigilio", five=(before, after), resets=DAY), turn("team-ludo", 0.4))
    assert decision.provider == chosen


def test_no_session_starts_past_the_guard_of_the_five_hours() -> None:
    assert decide(turn("team-vigilio", 0.2, 0.86), turn("team-ludo", 0.5)).provider == "team-ludo"
    assert decide(turn("team-vigilio", 0.2, 0.80), turn("team-ludo", 0.5)).provider == "team-vigilio"


def test_a_window_that_starts_afresh_within_the_session_does_not_end_it() -> None:
    soon = turn("team-vigilio", 0.2, 0.84, five_resets=HOUR / 6, week_resets=DAY)
    assert decide(soon, turn("team-ludo", 0.5)).provider == "team-vigilio"


def test_a_week_at_its_end_is_ridden_and_not_left() -> None:
    """95 % with an hour to go: what is left would be lost, and a session of an hour fits."""
    assert decide(turn("team-vigilio", 0.95, week_resets=HOUR), turn("team-ludo", 0.1)).provider == "team-vigilio"


def test_a_session_stays_where_it_is_unless_another_is_much_more_urgent() -> None:
    near = (turn("team-vigilio", 0.4, week_resets=2 * DAY), turn("team-ludo", 0.4, week_resets=2.4 * DAY))
    assert decide(*near).provider == "team-vigilio"
    assert decide(*near, current="team-ludo").provider == "team-ludo"
    far = (turn("team-vigilio", 0.4, week_resets=DAY / 2), turn("team-ludo", 0.4, week_resets=5 * DAY))
    assert decide(*far, current="team-ludo").provider == "team-vigilio"


def test_a_session_leaves_an_account_that_would_not_last() -> None:
    assert (
        decide(turn("team-vigilio", 0.4), turn("team-ludo", 0.4, 0.95), current="team-ludo").provider == "team-vigilio"
    )


def test_when_no_seat_lasts_the_fallback_does() -> None:
    spent = [turn(name, 0.4, 0.97) for name in SEATS]
    decision = decide(*spent, turn("xai-vigilio", None, None))
    assert (decision.provider, decision.emergency) == ("xai-vigilio", False)
    assert "has enough quota for a session" in decision.reason


def test_when_nothing_lasts_it_is_the_one_that_lasts_longest() -> None:
    worse = [turn(name, 0.4, 0.99) for name in SEATS if name != "team-molto"]
    decision = decide(*worse, turn("team-molto", 0.4, 0.93), turn("xai-vigilio", None, None, status="no_credit"))
    assert (decision.provider, decision.emergency) == ("team-molto", False)
    assert "lasts longest (5h used up in 42 min)" in decision.reason


def test_the_burn_of_others_counts() -> None:
    """What sessions burn is learnt from the accounts that burn: 0.5 an hour leaves no room at 0.6."""
    lines = [*burning("team-nadja", five=(0.1, 0.6)), turn("team-vigilio", 0.1, 0.6), turn("team-ludo", 0.1, 0.3)]
    assert decide(*lines).provider == "team-ludo"


def test_an_account_of_which_nothing_is_known_is_assumed_to_be_fresh_and_said_so() -> None:
    decision = decide()
    assert decision.provider == "team-vigilio"
    assert all(each.assumed for each in decision.candidates[0].projections)


@pytest.mark.parametrize(
    ("window", "then", "hits"),
    [
        (Window("5h", 0.5, NOW + 3 * HOUR), 0.6, None),
        (Window("5h", 0.95, NOW + 3 * HOUR), 1.05, 0.5 * HOUR),
        (Window("5h", 0.95, NOW + HOUR / 4), 0.075, None),
        (Window("5h", 1.2, NOW + 3 * HOUR), 1.3, 0.0),
        (None, 0.1, None),
    ],
)
def test_a_window_is_projected_to_the_end_of_the_session(
    window: Window | None, then: float, hits: float | None
) -> None:
    found = project("5h", window, ONE_HOUR, 1.0, NOW)
    assert found.end == pytest.approx(then)
    assert found.hits_in_s == (None if hits is None else pytest.approx(hits))
    assert found.assumed == (window is None)


def test_a_rate_needs_two_samples_of_one_window() -> None:
    one = pool(turn("a", 0.3, age=60)).accounts["a"].history.samples("7d")
    assert demand.rate(one, NOW) is None
    two = pool(turn("a", 0.3, age=2 * HOUR), turn("a", 0.34, age=60)).accounts["a"].history.samples("7d")
    assert demand.rate(two, NOW) == pytest.approx(0.04 / (2 * HOUR - 60) * HOUR)
    reset = pool(turn("a", 0.9, age=2 * HOUR, week_resets=-HOUR), turn("a", 0.1, age=60, week_resets=7 * DAY))
    assert demand.rate(reset.accounts["a"].history.samples("7d"), NOW) is None


def test_a_decrease_in_the_middle_of_a_window_is_no_burn() -> None:
    down = pool(turn("a", 0.5, age=2 * HOUR), turn("a", 0.3, age=60)).accounts["a"].history.samples("7d")
    assert demand.rate(down, NOW) == 0


def test_what_others_burn_goes_on_beside_the_session() -> None:
    """Somebody on it burns 0.3 an hour, and so do sessions: 0.5 is 1.1 at the end, and not 0.8."""
    lines = [*burning("team-vigilio", five=(0.2, 0.5), resets=DAY), turn("team-ludo", 0.4)]
    decision = decide(*lines)
    assert decision.candidates[0].projections[0].end == pytest.approx(0.5 + 2 * 0.3, abs=0.02)
    assert decision.provider == "team-ludo"


def test_who_has_been_silent_for_half_an_hour_is_on_it_no_more() -> None:
    lines = [turn("team-vigilio", 0.3, used, age=age) for used, age in ((0.2, 1.5 * HOUR), (0.4, 0.6 * HOUR))]
    projected = decide(*lines).candidates[0].projections[0]
    assert projected.end == pytest.approx(0.4 + 0.2 / 0.9, abs=0.02)


def test_between_weeks_that_are_lost_alike_room_in_five_hours_decides() -> None:
    """0.70 an hour of room left to the fourth is 0.91, 0.15 is 0.62: a quarter more urgent does not make up for it."""
    assert decide(turn("team-vigilio", 0.3, 0.75), turn("team-ludo", 0.4, 0.1)).provider == "team-ludo"
    assert decide(turn("team-vigilio", 0.3, 0.20), turn("team-ludo", 0.4, 0.1)).provider == "team-vigilio"


def test_a_dormant_account_whose_week_ends_soon_is_woken() -> None:
    """Its last known week ended 13 days ago; the present one, of which nothing is known, ends in a day."""
    known = [turn(name, 0.5, week_resets=5 * DAY) for name in SEATS[:4]]
    dormant = turn("team-nadja", 0.1, five_resets=-12 * DAY, week_resets=-13 * DAY, age=14 * DAY)
    decision = decide(*known, dormant)
    assert decision.provider == "team-nadja"
    assert "assumed unused" in decision.reason
    again = choose(replace(FORECAST, chain=(decision.provider,)), pool(), NOW, decision.provider)
    assert again is not None
    assert again.reason.startswith("staying: weekly usage unknown, assumed unused")


def test_a_seat_that_nobody_has_seen_is_not_left_to_lie_for_ever() -> None:
    known = [turn(name, 0.6, week_resets=6 * DAY) for name in SEATS if name != "team-buio"]
    assert decide(*known).provider == "team-buio"
    assert decide(*(turn(name, 0.4, week_resets=2 * DAY) for name in SEATS[1:])).provider == "team-ludo"
