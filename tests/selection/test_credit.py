"""When a session would be paid from credit, and when it would not even be that."""

from dataclasses import replace
from typing import Any

import pytest

from tests.commands.logbook import DAY, HOUR, NOW, Record
from tests.selection.pool import POLICY, pool, turn
from tests.selection.test_threshold import CREDIT, SPENT
from tokmon.selection.assessment import Fitness
from tokmon.selection.candidates import Candidate
from tokmon.selection.choose import choose


def first(*lines: Record, **policy: Any) -> Candidate:
    """The first of the chain, as it is looked at."""
    found = choose(replace(POLICY, **policy), pool(*lines), NOW)
    assert found is not None
    return found.candidates[0]


BILLED = turn("team-vigilio", 0.3, **CREDIT)


@pytest.mark.parametrize("spending", ["after-plan", "first"])
def test_who_is_billed_although_the_plan_is_not_used_up_spends(spending: str) -> None:
    assessed = first(BILLED, spend_credit=spending).assessment
    assert (assessed.fitness, assessed.reason) == (Fitness.BILLED, "answers are billed: paid from credit")


def test_who_is_billed_is_not_taken_where_nothing_may_be_spent() -> None:
    assert first(BILLED, spend_credit="never").assessment.fitness is Fitness.EXCLUDED


@pytest.mark.parametrize(
    "lines",
    [
        (turn("team-vigilio", 0.3, 1.0, age=HOUR, five_resets=-60.0, **CREDIT),),
        (BILLED, turn("team-vigilio", 0.31, age=30)),
        (turn("team-vigilio", 0.3, model="claude-opus-4-6", **CREDIT),),
        (turn("team-vigilio", 0.3, age=DAY + HOUR, **CREDIT), turn("team-vigilio", None, None)),
    ],
    ids=["the window that was used up is over", "a later turn says nothing of it", "another model", "long ago"],
)
def test_who_was_billed_once_is_not_billed_for_ever(lines: tuple[Record, ...]) -> None:
    assert first(*lines, spend_credit="never").assessment.fitness is Fitness.USABLE


@pytest.mark.parametrize("spending", ["after-plan", "first"])
def test_credit_does_not_pay_where_it_has_not_paid_since(spending: str) -> None:
    """The last answer on credit is of five hours ago, and a refusal of now says nothing of credit."""
    assessed = first(
        turn("team-vigilio", 1.0, age=5 * HOUR, **CREDIT), turn("team-vigilio", 1.0, **SPENT), spend_credit=spending
    )
    assert (assessed.assessment.fitness, assessed.assessment.reason) == (Fitness.EXCLUDED, "7d used up")
