"""Newer official figures end a refusal by a usage limit, and nothing else does before its end."""

from dataclasses import replace
from typing import Any

import pytest

from tests.commands.logbook import DAY, HOUR, NOW, Record, line, window
from tests.selection.pool import POLICY, pool, probe, turn, valid
from tokmon.evidence.snapshot import Snapshot
from tokmon.selection.assessment import Assessment, Fitness, assess
from tokmon.wire.instants import rfc3339

LATER = rfc3339(NOW + 3 * DAY)


def refused(*windows: Record, age: float = HOUR, **fields: Any) -> Record:
    return line("team-vigilio", "rejected", *windows, age=age, http_status=429, **fields)


def figures(*windows: Record, age: float = 60.0, status: str = "allowed", **fields: Any) -> Record:
    """An answer of the usage endpoint."""
    return {**probe("team-vigilio", status, week=None, five=None, age=age), "windows": list(windows), **fields}


def assessed(*lines: Record) -> Assessment:
    return assess("team-vigilio", pool(*lines).accounts["team-vigilio"], POLICY, NOW)


FULL_5H = window("5h", 1.0, 3 * HOUR, status="rejected")
FULL_7D = window("7d", 1.0, 3 * DAY)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("lower", (refused(FULL_5H, blocked_until=LATER), figures(window("5h", 0.2, 3 * HOUR)))),
        ("lower, moved anchor", (refused(FULL_5H, blocked_until=LATER), figures(window("5h", 0.99, 4 * HOUR)))),
        ("no end", (refused(FULL_7D), figures(window("7d", 0.02, 3 * DAY)))),
        ("with a bare key check", (refused(FULL_7D), figures(window("7d", 0.02, 3 * DAY), substatus="key_valid"))),
        (
            "key check long after",
            (refused(FULL_7D), figures(window("7d", 0.02, 3 * DAY), age=1700), valid("team-vigilio")),
        ),
        (
            "both windows",
            (refused(FULL_5H, FULL_7D, blocked_until=LATER), figures(window("5h", 0, 9), window("7d", 0, 9))),
        ),
        (
            "one expired, one lower",
            (refused(window("5h", 1.0, -60), FULL_7D, age=2 * HOUR), figures(window("7d", 0.1, DAY))),
        ),
        (
            "named by the claim alone",
            (refused(blocked_until=LATER, claim="five_hour", binding_window="5h"), figures(window("5h", 0.4, HOUR))),
        ),
        (
            "names no window, and 7d was full",
            (turn("team-vigilio", 1.0, age=2 * HOUR), refused(blocked_until=LATER), figures(window("7d", 0.1, DAY))),
        ),
        (
            "names no window, and 7d was read as full later",
            (refused(), figures(FULL_7D, age=1800, status="rejected"), figures(window("7d", 0.1, DAY))),
        ),
        (
            "counts left",
            (
                refused(window("requests_day", 1.0, DAY, remaining=0)),
                figures(window("requests_day", None, DAY, remaining=9)),
            ),
        ),
        ("no credit, by a window", ({**refused(FULL_7D), "status": "no_credit"}, figures(window("7d", 0.1, DAY)))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_newer_figures_end_a_refusal(name: str, lines: tuple[Record, ...]) -> None:
    assert assessed(*lines).fitness is Fitness.USABLE, name
    again = pool(*reversed(lines)).to_json()
    reloaded = Snapshot.from_json(again).accounts["team-vigilio"]
    saved = assess("team-vigilio", reloaded, POLICY, NOW)
    assert replace(saved, evidence=None) == replace(assessed(*lines), evidence=None)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("no figures", (refused(FULL_5H), valid("team-vigilio"), probe("team-vigilio", week=None, five=None, age=5))),
        ("older figures", (refused(FULL_5H), figures(window("5h", 0.2, 3 * HOUR), age=2 * HOUR))),
        ("figures of another window", (refused(FULL_7D), figures(window("5h", 0.2, 3 * HOUR)))),
        (
            "still full",
            (refused(FULL_5H, blocked_until=LATER), figures(window("5h", 1.0, 3 * HOUR), status="rejected")),
        ),
        (
            "a month with a later reset, still full",
            (
                refused(window("30d", 1.0, DAY), type="openai-codex"),
                figures(window("30d", 1.0, 5 * DAY), type="openai-codex"),
            ),
        ),
        (
            "a key's limit with a later reset, still full",
            (refused(window("requests_day", 1.0, HOUR)), figures(window("requests_day", None, DAY, remaining=0))),
        ),
        ("one of two", (refused(FULL_5H, FULL_7D), figures(window("5h", 0.1, 3 * HOUR)))),
        ("not lower", (refused(window("5h", 0.97, HOUR), binding_window="5h"), figures(window("5h", 0.98, HOUR)))),
        ("of another tool", (refused(FULL_5H), figures(window("5h", 0.2, 3 * HOUR), source="estimate"))),
        ("policy", (line("team-vigilio", "policy_rejected", FULL_5H, age=HOUR), figures(window("5h", 0.2, HOUR)))),
        (
            "credit",
            (line("team-vigilio", "no_credit", binding_window="5h", age=HOUR), figures(window("5h", 0.2, HOUR))),
        ),
        (
            "a key that never worked",
            (line("team-vigilio", "invalid_key", age=HOUR), figures(window("5h", 0.2, HOUR), status="unknown")),
        ),
        (
            "names no window, and none was full",
            (turn("team-vigilio", 0.4, age=2 * HOUR), refused(blocked_until=LATER), figures(window("7d", 0.1, DAY))),
        ),
        (
            "names no window, and 5h was full long before",
            (
                turn("team-vigilio", 0.4, 1.0, five_resets=-20 * HOUR, age=22 * HOUR),
                refused(blocked_until=LATER),
                figures(window("5h", 0.1, HOUR)),
            ),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_nothing_else_ends_a_refusal(name: str, lines: tuple[Record, ...]) -> None:
    assert assessed(*lines).fitness is Fitness.EXCLUDED, name


def test_a_limit_that_newer_figures_ended_says_so() -> None:
    assessment = assessed(refused(FULL_7D), figures(window("7d", 0.02, 3 * DAY), age=1500))
    assert (assessment.fitness, assessment.reason) == (Fitness.USABLE, "newer figures ended the limit")


def test_a_later_reset_that_is_full_again_excludes_until_then() -> None:
    assessment = assessed(
        refused(FULL_5H, blocked_until=LATER), figures(window("5h", 1.0, 4 * HOUR), status="rejected")
    )
    assert (assessment.reason, assessment.until) == ("5h used up", NOW + 4 * HOUR)


def test_newer_figures_that_are_full_exclude_an_account_that_was_served_before() -> None:
    assessment = assessed(turn("team-vigilio", age=HOUR), figures(FULL_7D, age=5, status="rejected"))
    assert (assessment.fitness, assessment.reason) == (Fitness.EXCLUDED, "7d used up")


def test_a_refused_model_is_served_again_by_newer_figures_of_its_window() -> None:
    full = window("7d_sonnet", 1.0, 3 * DAY, scope="model", status="rejected")
    refusal = refused(full, blocked_until=LATER, scope="model", model=POLICY.model)
    assert assessed(turn("team-vigilio", age=2 * HOUR), refusal).fitness is Fitness.EXCLUDED
    lower = figures(window("7d_sonnet", 0.1, 3 * DAY, scope="model"))
    assert assessed(turn("team-vigilio", age=2 * HOUR), refusal, lower).fitness is Fitness.USABLE


def test_an_answer_of_the_bare_api_does_not_end_the_refusal_of_a_model_in_a_session() -> None:
    refusal = refused(scope="model", model=POLICY.model)
    for answer in (valid("team-vigilio"), probe("team-vigilio", week=None, five=None, age=5)):
        bare = {**answer, "model": POLICY.model}
        assert assessed(turn("team-vigilio", age=2 * HOUR), refusal, bare).fitness is Fitness.EXCLUDED
    served = turn("team-vigilio", age=5, model=POLICY.model)
    assert assessed(refusal, served).fitness is Fitness.USABLE
