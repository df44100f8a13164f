"""Policies over recorded readings: session starts, the outcome of a choice, and what stays unknown."""

from dataclasses import replace
from typing import Any

from tests.commands.logbook import DAY, HOUR, NOW, Record, line, window
from tokmon.selection.policy import Policy
from tokmon.simulation.outcome import PolicyOutcome, table
from tokmon.simulation.recorded import read_recording, replay

FORECAST = Policy(chain=("a", "b"), fallback=("paid",), emergency="gate")
THRESHOLD = replace(FORECAST, policy="threshold")


def turn(provider: str, age: float, week: float = 0.3, five: float = 0.2, **fields: Any) -> Record:
    windows = [window("5h", five, 3 * HOUR), window("7d", week, fields.pop("resets", 2 * DAY))]
    return line(provider, fields.pop("status", "allowed"), *windows, age=age, member="m", **fields)


def outcomes(*lines: Record) -> dict[str, PolicyOutcome]:
    return {outcome.policy: outcome for outcome in replay(read_recording(lines), [THRESHOLD, FORECAST])}


SPENT: dict[str, Any] = {"status": "rejected", "http_status": 429}


def test_first_line_of_a_session_is_its_start() -> None:
    recording = read_recording(
        [turn("b", 60, session="s1"), turn("a", 120, session="s1"), turn("a", 90), turn("a", 30, session="")]
    )
    assert [(start.provider, start.at) for start in recording.starts] == [("a", NOW - 120)]


def test_429_of_the_account_that_was_used_is_counted() -> None:
    figures = outcomes(turn("a", 600, five=0.95, session="s"), turn("a", 300, five=1.0, session="s", **SPENT))
    assert (figures["as used"].sessions, figures["as used"].met_429, figures["as used"].unknown) == (1, 1, 0)


def test_outcome_of_another_choice_is_that_of_other_sessions_on_that_account() -> None:
    """Evidence from before: `a` is at 95 % of 5h. The forecast chooses `b`, on which another session was served."""
    figures = outcomes(
        turn("a", 4000, five=0.95),
        turn("b", 4000),
        turn("a", 600, five=0.97, session="s"),
        turn("b", 500),
        turn("a", 300, five=1.0, session="s", **SPENT),
    )
    assert (figures["threshold"].met_429, figures["threshold"].agreed) == (1, 1)
    assert (figures["forecast"].met_429, figures["forecast"].unknown, figures["forecast"].agreed) == (0, 0, 0)


def test_choice_of_an_account_that_nobody_used_is_unknown() -> None:
    figures = outcomes(turn("a", 4000, five=0.95), turn("b", 4000), turn("a", 600, five=0.97, session="s"))
    assert (figures["forecast"].met_429, figures["forecast"].unknown) == (0, 1)


def test_choice_uses_no_evidence_from_after_the_start() -> None:
    """The refusal is the session's own first line, which no choice could know."""
    figures = outcomes(turn("a", 600, five=1.0, session="s", **SPENT), turn("b", 500))
    assert (figures["threshold"].met_429, figures["threshold"].agreed) == (1, 1)


def test_429_of_one_model_or_after_the_session_is_not_counted() -> None:
    late = turn("a", 60, **SPENT)
    figures = outcomes(turn("a", 4000, session="s"), turn("a", 3000, scope="model", **SPENT), late)
    assert figures["as used"].met_429 == 0


def test_switches_fallback_and_emergencies_are_counted_by_lane() -> None:
    used = outcomes(
        turn("a", 500, session="1"),
        turn("paid", 400, session="2"),
        turn("gate", 300, session="3"),
        turn("gate", 200, session="4"),
    )["as used"]
    assert (used.sessions, used.switches, used.on_fallback, used.emergencies) == (4, 2, 1, 2)


def test_unused_quota_is_taken_from_the_last_evidence_of_an_ended_week() -> None:
    used = outcomes(
        turn("a", 2 * DAY, week=0.5, resets=-DAY, session="s"),
        turn("a", 1.5 * DAY, week=0.75, resets=-DAY),
        turn("a", 60, week=0.1, resets=6 * DAY),
    )["as used"]
    assert (used.unused, used.weeks) == (0.25, 1)


def test_table_shows_what_is_unknown() -> None:
    head, _, used, *policies = table(replay(read_recording([turn("a", 60, session="s")]), [THRESHOLD]))
    assert "unknown" in head
    assert "as used" in used
    assert "unknown" in policies[0]
    assert len({len(head), len(used), *map(len, policies)}) == 1
