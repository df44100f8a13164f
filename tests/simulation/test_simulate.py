"""The simulated fleet, and the policies at work on it."""

import pytest

from tokmon.evidence.model import Status
from tokmon.evidence.snapshot import Snapshot
from tokmon.selection.choose import Decision, choose
from tokmon.simulation.chance import Chance
from tokmon.simulation.fleet import FIVE_S, PaidAccount, Seat
from tokmon.simulation.outcome import PolicyOutcome
from tokmon.simulation.simulate import simulate
from tokmon.simulation.world import DAY, HOUR, START, WEEK, SeatSchedule, world

FATE = SeatSchedule(
    "seat", START + DAY, policy_outages=((START + 20 * DAY, START + 21 * DAY),), key_outages=((START, START + 60),)
)
END = START + 4 * WEEK
T = START + 2 * DAY


def seat() -> Seat:
    return Seat(FATE, END)


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in (2, 3))])
def test_forecast_meets_fewer_429s_and_wastes_less_quota_than_threshold(seed: int) -> None:
    fleet = world(seed, 12)
    threshold, forecast = simulate(fleet, "threshold"), simulate(fleet, "forecast")
    assert threshold.sessions == forecast.sessions > 12 * 100
    assert forecast.met_429 * 3 < threshold.met_429
    assert forecast.unused is not None
    assert threshold.unused is not None
    assert forecast.unused < threshold.unused - 0.01
    assert forecast.emergencies <= threshold.emergencies
    assert forecast.on_fallback <= threshold.on_fallback
    assert forecast.switches < threshold.switches


def test_same_seed_gives_the_same_world_and_figures() -> None:
    assert world(7, 2) == world(7, 2) != world(8, 2)
    assert simulate(world(7, 2), "forecast") == simulate(world(7, 2), "forecast")


def test_policy_does_not_change_the_world() -> None:
    fleet = world(7, 2)
    simulate(fleet, "threshold")
    assert fleet == world(7, 2)


def test_policy_gets_only_evidence_from_before_its_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    unseen: list[int] = []

    def watched(*arguments: object) -> Decision | None:
        _, snapshot, now, _ = arguments
        assert isinstance(snapshot, Snapshot)
        assert isinstance(now, float)
        newest = [account.last for account in snapshot.accounts.values() if account.last is not None]
        assert all(evidence.stamp.ts <= round(now, 3) for evidence in newest)
        unseen.append(5 - len([name for name in snapshot.accounts if name.startswith("seat-")]))
        return choose(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("tokmon.simulation.simulate.choose", watched)
    simulate(world(1, 1), "threshold")
    assert unseen[0] == 5


def test_5h_window_of_a_seat_opens_at_first_use() -> None:
    one = seat()
    evidence = one.serve(0.1, T, "a")
    assert [(window.name, window.resets_at) for window in evidence.windows] == [
        ("5h", T + FIVE_S),
        ("7d", START + DAY + WEEK),
    ]
    again = one.serve(0.1, T + 6 * HOUR, "b")
    assert [window.utilization for window in again.windows] == pytest.approx([0.1, 0.03])


def test_full_seat_refuses_until_its_reset() -> None:
    one = seat()
    one.serve(1.0, T, "a")
    evidence = one.serve(0.1, T + HOUR, "b")
    assert (evidence.status, evidence.http_status, evidence.blocked_until) == (Status.REJECTED, 429, T + FIVE_S)
    assert one.serve(0.1, T + FIVE_S, "c").status is Status.ALLOWED


def test_unused_part_of_a_week_is_counted_at_its_end() -> None:
    one = seat()
    one.serve(0.0, START + DAY / 2, "a")
    one.use(2.0, T)
    one.roll(END)
    assert one.unused_weeks == pytest.approx([0.7, 1.0, 1.0])


def test_seat_is_refused_during_policy_and_key_outages() -> None:
    one = seat()
    assert one.serve(0.1, START + 30, "a").status is Status.INVALID_KEY
    assert one.serve(0.1, START + 90, "b").status is Status.ALLOWED
    assert one.serve(0.1, START + 20.5 * DAY, "c").status is Status.POLICY_REJECTED


def test_probe_uses_no_quota_and_opens_no_window() -> None:
    one = seat()
    evidence = one.probe(T, "a")
    assert (evidence.stamp.source, one.used_5h, [window.name for window in evidence.windows]) == ("probe", 0.0, ["7d"])


def test_paid_account_has_credit_for_a_week() -> None:
    paid = PaidAccount()
    assert paid.serve(9.0, T, "a").status is Status.ALLOWED
    assert paid.serve(0.1, T, "b").status is Status.NO_CREDIT
    assert paid.serve(0.1, T + WEEK, "c").status is Status.ALLOWED


def test_random_numbers_of_a_seed_are_the_same_on_every_python() -> None:
    chance = Chance(1)
    assert [chance.below(1000) for _ in range(5)] == [748, 828, 814, 285, 211]
    assert [Chance(1, 5).below(1000), Chance(2).below(1000)] != [Chance(1, 6).below(1000), Chance(3).below(1000)]
    drawn = [chance.unit() for _ in range(2000)]
    assert 0 <= min(drawn) < 0.01
    assert 0.99 < max(drawn) < 1
    assert sum(drawn) / 2000 == pytest.approx(0.5, abs=0.03)


def test_unknown_figure_of_an_outcome_is_null() -> None:
    assert PolicyOutcome("x").to_json()["unused_7d"] is None
