"""When a session would be paid from credit, and when it would not even be that."""

import msgspec
import pytest

from tests.commands.logbook import DAY, HOUR, NOW, Record
from tests.selection.pool import POLICY, pool, turn
from tests.selection.test_threshold import CREDIT, SPENT
from tokmon.selection.assessment import Verdict
from tokmon.selection.candidates import Alternative
from tokmon.selection.choose import choose


def first(*lines: Record, **policy: str) -> Alternative:
    """The first of the chain, as it is looked at."""
    found = choose(msgspec.structs.replace(POLICY, **policy), pool(*lines), NOW)
    assert found is not None
    return found.alternatives[0]


BILLED = turn("team-vigilio", 0.3, **CREDIT)


@pytest.mark.parametrize("spending", ["after-plan", "first"])
def test_who_is_billed_although_the_plan_is_not_used_up_spends(spending: str) -> None:
    told = first(BILLED, spend_credit=spending).standing
    assert (told.verdict, told.why) == (Verdict.SPENDS, "its answers are billed, credit pays")


def test_who_is_billed_is_not_taken_where_nothing_may_be_spent() -> None:
    assert first(BILLED, spend_credit="never").standing.verdict is Verdict.EXCLUDED


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
    assert first(*lines, spend_credit="never").standing.verdict is Verdict.USABLE


@pytest.mark.parametrize("spending", ["after-plan", "first"])
def test_credit_does_not_pay_where_it_has_not_paid_since(spending: str) -> None:
    """The last answer on credit is of five hours ago, and a refusal of now says nothing of credit."""
    told = first(
        turn("team-vigilio", 1.0, age=5 * HOUR, **CREDIT), turn("team-vigilio", 1.0, **SPENT), spend_credit=spending
    )
    assert (told.standing.verdict, told.standing.why) == (Verdict.EXCLUDED, "7d is used up")
