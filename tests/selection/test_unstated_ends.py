"""A usage limit that names neither an end nor a window ends with the first reset of a window of the account."""

from typing import Any

import pytest

from tests.commands.logbook import DAY, HOUR, NOW, Record, line, window
from tests.selection.pool import POLICY, pool, probe, turn
from tokmon.selection.assessment import Assessment, Fitness, assess
from tokmon.selection.expiry import next_change

NAME = "team-vigilio"


def refused(age: float, **fields: Any) -> Record:
    return line(NAME, "rejected", age=age, http_status=429, **fields)


def assessed(*lines: Record, at: float = NOW) -> Assessment:
    return assess(NAME, pool(*lines).accounts[NAME], POLICY, at)


@pytest.mark.parametrize(
    ("lines", "end"),
    [
        ((), HOUR),
        ((line(NAME, "allowed", window("requests_minute", 0.1, 30), age=60),), HOUR),
        ((line(NAME, "allowed", window("7d_opus", 0.9, DAY, scope="model"), age=60),), HOUR),
        ((turn(NAME, age=600),), 3 * HOUR),
        ((turn(NAME, week_resets=HOUR, age=600),), HOUR),
        ((turn(NAME, five=None, age=600),), 2 * DAY),
        ((line(NAME, "allowed", window("1d", 0.5, None), age=60),), DAY),
        # The 5h window that is known has reset since; the next one ends within its length.
        ((turn(NAME, five_resets=-HOUR, age=6 * HOUR),), 4 * HOUR),
    ],
)
def test_unnamed_limit_ends_with_the_first_reset_of_a_window(lines: tuple[Record, ...], end: float) -> None:
    known = (*lines, refused(age=0))
    assert assessed(*known, at=NOW + end - 1).fitness is Fitness.EXCLUDED
    assert assessed(*known, at=NOW + end).fitness is Fitness.UNKNOWN
    assert any(NOW < next_change(pool(*known).accounts[NAME], at) <= NOW + end for at in (NOW, NOW + end - 1))


def test_figures_of_a_window_that_began_since_do_not_revive_the_refusal() -> None:
    later = probe(NAME, week=None, five=0.1, five_resets=4 * HOUR)
    assert assessed(turn(NAME, age=4 * HOUR, five_resets=-HOUR), refused(age=3 * HOUR), later).fitness is Fitness.USABLE


def test_limit_lasts_as_long_as_the_window_that_was_full() -> None:
    known = (turn(NAME, week=1.0, age=60), refused(age=0))
    assert assessed(*known, at=NOW + 1.9 * DAY).fitness is Fitness.EXCLUDED
    assert assessed(*known, at=NOW + 2 * DAY).fitness is not Fitness.EXCLUDED


def test_missing_credit_counts_for_a_day_whatever_the_windows() -> None:
    known = (turn(NAME, age=60), line(NAME, "no_credit", age=0, http_status=402))
    assert assessed(*known, at=NOW + DAY - 1).fitness is Fitness.EXCLUDED
