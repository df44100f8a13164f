"""What passes by itself, an overload or a 401 of a key that flaps, hides nothing that was said before it."""

import pytest

from tests.commands.logbook import Record
from tests.selection.pool import HOUR, NOW, POLICY, check, pool, probe, turn
from tests.selection.test_threshold import SPENT, Case, decided
from tokmon.selection.assessment import Fitness
from tokmon.selection.choose import choose


def said(status: str, age: float) -> Record:
    return turn("team-vigilio", None, None, status=status, age=age)


WORKED = turn("team-vigilio", 0.2, age=12 * HOUR)
OTHER = turn("team-ludo", 0.5)
CASES = (
    Case(
        "a 401 hides no policy that pi itself was told of",
        (WORKED, said("policy_rejected", 600), said("invalid_key", 60), OTHER),
        "team-ludo",
        "7d at 50%",
    ),
    Case(
        "nor credit that is used up",
        (WORKED, said("no_credit", 600), said("invalid_key", 60), OTHER),
        "team-ludo",
        "7d at 50%",
    ),
    Case(
        "a check that started a session since ends that, 401 or not",
        (WORKED, said("policy_rejected", 2 * HOUR), check("team-vigilio"), said("invalid_key", 60), OTHER),
        "team-vigilio",
        "7d at 20%",
    ),
    Case(
        "an overload that is over hides no policy",
        (WORKED, said("policy_rejected", HOUR), said("overloaded", 700), probe("team-vigilio"), OTHER),
        "team-ludo",
        "7d at 50%",
    ),
    Case(
        "nor a limit that is not yet over",
        (
            turn("team-vigilio", 0.3, None, age=HOUR, **{**SPENT, "blocked_until": "2026-11-22T09:00:00Z"}),
            said("overloaded", 700),
            OTHER,
        ),
        "team-ludo",
        "7d at 50%",
    ),
    Case(
        "a 401 of another source that is too old to count confirms none",
        (
            WORKED,
            probe("team-vigilio", "invalid_key", age=10 * HOUR, week=None, five=None),
            said("invalid_key", 60),
            OTHER,
        ),
        "team-vigilio",
        "7d at 20%",
    ),
    Case(
        "three 401s two minutes apart are, whatever minutes of the clock they are in",
        (WORKED, *(said("invalid_key", age) for age in (181.5, 121.5, 61.5)), OTHER),
        "team-ludo",
        "7d at 50%",
    ),
    Case(
        "three 401s within two minutes are not over two minutes, whatever minutes of the clock they are in",
        (WORKED, *(said("invalid_key", age) for age in (61, 30, -1)), OTHER),
        "team-vigilio",
        "7d at 20%",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_what_passes_hides_nothing(case: Case) -> None:
    assert len(list(decided(case))) == 2


def test_an_account_is_after_an_overload_what_it_was_before() -> None:
    decision = choose(POLICY, pool(turn("team-vigilio", 0.2, age=HOUR), said("overloaded", 700)), NOW)
    assert decision is not None
    assessed = decision.candidates[0].assessment
    assert (assessed.fitness, assessed.status, assessed.age_s) == (Fitness.USABLE, "allowed", HOUR)
