"""The rule that people know, decision by decision: what happened to whom, and what is chosen now."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.commands.logbook import Record
from tests.selection.pool import HOUR, NOW, POLICY, SEATS, check, pool, probe, turn
from tokmon.selection.choose import Decision, choose

SPENT: dict[str, Any] = {"status": "rejected", "http_status": 429, "blocked_until": None}
CREDIT: dict[str, Any] = {
    "overage": {"status": "allowed", "in_use": True},
    "billing": "overage",
    "status": "allowed_warning",
}


@dataclass(frozen=True)
class Case:
    """One row: the lines of the log, the account that is chosen, and a part of the reason."""

    name: str
    lines: tuple[Record, ...]
    chosen: str
    reason: str
    policy: dict[str, Any] = field(default_factory=dict)
    emergency: bool = False


def every(*lines: Record, but: str = "") -> tuple[Record, ...]:
    """Those lines, and an unusable seat for each one that they do not tell of."""
    told = {each["provider"] for each in lines}
    return (*lines, *(turn(name, 1.0, **SPENT) for name in SEATS if name not in told and name != but))


CASES = (
    Case("65 percent stays", (turn("team-vigilio", 0.65),), "team-vigilio", "under 90%: 7d at 65%"),
    Case("76 percent stays by default", (turn("team-vigilio", 0.76),), "team-vigilio", "7d at 76%"),
    Case(
        "76 percent moves on at a threshold of 75",
        (turn("team-vigilio", 0.76), turn("team-ludo", 0.10)),
        "team-ludo",
        "under 75%: 7d at 10%",
        {"threshold": 0.75},
    ),
    Case("89 percent stays", (turn("team-vigilio", 0.89),), "team-vigilio", "7d at 89%"),
    Case("90 percent moves on", (turn("team-vigilio", 0.90), turn("team-ludo", 0.5)), "team-ludo", "7d at 50%"),
    Case(
        "all over: the lowest",
        tuple(turn(name, used) for name, used in zip(SEATS, (0.97, 0.95, 0.91, 0.99, 0.93), strict=True)),
        "team-buio",
        "all are over 90%; the lowest 7d, at 91%",
    ),
    Case(
        "a warning at 79 percent beats the emergency",
        every(turn("team-buio", 0.79, status="allowed_warning")),
        "team-buio",
        "7d at 79%",
    ),
    Case(
        "refused by policy through pi although the bare API says 200",
        (turn("team-vigilio", status="policy_rejected", age=HOUR), probe("team-vigilio"), turn("team-ludo", 0.4)),
        "team-ludo",
        "7d at 40%",
    ),
    Case(
        "a session starts at 100 percent",
        every(probe("team-molto", week=1.0, status="rejected"), check("team-molto")),
        "team-molto",
        "the lowest 7d, at 100%",
    ),
    Case(
        "a 401 of the bare API on a key that works through pi",
        (turn("team-vigilio", 0.2, age=HOUR), probe("team-vigilio", "invalid_key", week=None, five=None)),
        "team-vigilio",
        "7d at 20%",
    ),
    Case(
        "one 401 in pi on a key that worked is no refusal yet",
        (turn("team-vigilio", 0.2, age=HOUR), turn("team-vigilio", None, None, status="invalid_key", age=30)),
        "team-vigilio",
        "7d at 20%",
    ),
    Case(
        "three 401s over two minutes are",
        (
            turn("team-vigilio", 0.2, age=HOUR),
            *(turn("team-vigilio", None, None, status="invalid_key", age=age) for age in (400, 250, 30)),
            turn("team-ludo", 0.5),
        ),
        "team-ludo",
        "7d at 50%",
    ),
    Case(
        "three 401s of one second are not",
        (
            turn("team-vigilio", 0.2, age=HOUR),
            *(turn("team-vigilio", None, None, status="invalid_key", age=age) for age in (30.2, 30.1, 30)),
        ),
        "team-vigilio",
        "7d at 20%",
    ),
    Case(
        "a second try that says so too is",
        (
            turn("team-vigilio", 0.2, age=HOUR),
            turn("team-vigilio", None, None, status="invalid_key", age=90),
            probe("team-vigilio", "invalid_key", age=60, week=None, five=None),
            turn("team-ludo", 0.5),
        ),
        "team-ludo",
        "7d at 50%",
    ),
    Case(
        "a later answer ends the refusals of a key",
        (
            *(turn("team-vigilio", None, None, status="invalid_key", age=age) for age in (900, 600, 300)),
            turn("team-vigilio", 0.3, age=60),
        ),
        "team-vigilio",
        "7d at 30%",
    ),
    Case(
        "when every key of the chain is refused, that is not believed",
        tuple(turn(name, None, None, status="invalid_key", age=age) for name in SEATS for age in (900, 600, 300)),
        "team-vigilio",
        "weekly usage unknown",
    ),
    Case("nothing known: the first", (), "team-vigilio", "weekly usage unknown"),
    Case(
        "a window past its reset is unknown, not full",
        (turn("team-vigilio", 1.0, week_resets=-HOUR, age=5 * HOUR, **SPENT),),
        "team-vigilio",
        "weekly usage unknown",
    ),
    Case(
        "no credit moves on",
        (turn("team-vigilio", status="no_credit"), turn("team-ludo", 0.4)),
        "team-ludo",
        "7d at 40%",
    ),
    Case(
        "a refusal of another model excludes nothing",
        (
            turn("team-vigilio", 0.4, age=90),
            turn("team-vigilio", None, None, scope="model", model="claude-fable-5", **SPENT),
        ),
        "team-vigilio",
        "7d at 40%",
    ),
    Case(
        "a refusal of our model does",
        (
            turn("team-vigilio", 0.4, age=90),
            turn("team-vigilio", None, None, scope="model", model="claude-sonnet-4-6", **SPENT),
            turn("team-ludo", 0.5),
        ),
        "team-ludo",
        "7d at 50%",
    ),
    Case(
        "past 100 percent on credit is usable, and said so",
        every(turn("team-nadja", 1.02, **CREDIT)),
        "team-nadja",
        "plan used up: paid from credit",
    ),
    Case(
        "credit comes after every plan",
        (turn("team-vigilio", 1.02, **CREDIT), turn("team-nadja", 0.95), *every(but="team-nadja")[1:4]),
        "team-nadja",
        "the lowest 7d, at 95%",
    ),
    Case(
        "credit is never spent where it may not be",
        every(turn("team-vigilio", 1.02, **CREDIT)),
        "xai-vigilio",
        "no account of the chain is usable",
        {"spend_credit": "never"},
    ),
    Case(
        "credit that expires is burnt first",
        (turn("team-vigilio", 0.1), turn("team-molto", 1.3, **CREDIT)),
        "team-molto",
        "plan used up: paid from credit",
        {"spend_credit": "first"},
    ),
    Case("the fallback", every(), "xai-vigilio", "no account of the chain is usable"),
    Case(
        "the emergency, said to be one",
        (*every(), turn("xai-vigilio", status="no_credit")),
        "shelley-proxy",
        "no other account is usable",
        emergency=True,
    ),
    Case(
        "a broken network excludes nothing and breaks ties",
        (*(turn(name, 0.3, age=600) for name in SEATS), turn("team-vigilio", None, None, status="network_error")),
        "team-ludo",
        "7d at 30%",
    ),
    Case(
        "a network that is broken for all decides nothing",
        tuple(turn(name, None, None, status="network_error") for name in SEATS),
        "team-vigilio",
        "weekly usage unknown",
    ),
    Case(
        "an overload passes",
        (turn("team-vigilio", status="overloaded", age=700), turn("team-ludo", 0.4)),
        "team-vigilio",
        "first of the chain",
    ),
    Case(
        "an overload of now moves on",
        (turn("team-vigilio", status="overloaded", age=60), turn("team-ludo", 0.4)),
        "team-ludo",
        "7d at 40%",
    ),
    Case(
        "of fresh checks only what passed",
        (turn("team-vigilio", 0.2), turn("team-ludo", 0.3), check("team-ludo")),
        "team-ludo",
        "7d at 30%",
    ),
    Case(
        "old checks do not count",
        (turn("team-vigilio", 0.2), turn("team-ludo", 0.3), check("team-ludo", age=3 * HOUR)),
        "team-vigilio",
        "7d at 20%",
    ),
    Case(
        "where what passed the checks cannot be taken, the others can",
        (turn("team-vigilio", 0.2), check("team-ludo"), turn("team-ludo", status="policy_rejected", age=60)),
        "team-vigilio",
        "7d at 20%",
    ),
    Case(
        "a check that failed since takes the pass away, whatever it was",
        (turn("team-vigilio", 0.2), check("team-ludo"), check("team-ludo", "error", age=300)),
        "team-vigilio",
        "7d at 20%",
    ),
    Case(
        "a check that passed since counts again",
        (turn("team-vigilio", 0.2), check("team-ludo", "error"), check("team-ludo", "ok", age=300)),
        "team-ludo",
        "weekly usage unknown",
    ),
    Case(
        "a check that failed outranks a probe of the bare API",
        (
            probe("team-vigilio"),
            check("team-vigilio", "error", age=600) | {"account_status": "no_credit", "scope": "account"},
            turn("team-ludo", 0.4),
        ),
        "team-ludo",
        "7d at 40%",
    ),
    Case(
        "a turn outranks a check that failed",
        (
            turn("team-vigilio", 0.2, age=HOUR),
            check("team-vigilio", "error", age=60) | {"account_status": "rejected", "scope": "account"},
        ),
        "team-vigilio",
        "7d at 20%",
    ),
    Case(
        "a network that fails a check says nothing of the account",
        (check("team-vigilio", "error", age=900) | {"account_status": "network_error"}, turn("team-ludo", 0.4)),
        "team-vigilio",
        "weekly usage unknown",
    ),
    Case(
        "a key that a check has tried twice is refused",
        (
            check("team-vigilio", "ok"),
            check("team-vigilio", "error", age=60) | {"account_status": "invalid_key", "substatus": "confirmed"},
            turn("team-ludo", 0.4),
        ),
        "team-ludo",
        "7d at 40%",
    ),
    Case("a person's word", (turn("team-vigilio", 0.2),), "google-gemini", "pinned", {"pin": "google-gemini"}),
)


def decided(case: Case) -> Iterator[Decision]:
    """What is decided with the lines in either order, which is as the case says."""
    policy = replace(POLICY, **case.policy)
    for lines in (case.lines, case.lines[::-1]):
        decision = choose(policy, pool(*lines), NOW)
        assert decision is not None
        assert decision.provider == case.chosen, decision.reason
        assert case.reason in decision.reason
        yield decision


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_table_of_decisions(case: Case) -> None:
    for decision in decided(case):
        assert decision.emergency == case.emergency, decision.reason
        assert decision.spends == ("paid from credit" in case.reason)
