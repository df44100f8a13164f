"""When a wake asks, and whom: only where the choice depends on the answer."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.commands.logbook import Record
from tests.selection.pool import DAY, HOUR, NOW, POLICY, SEATS, check, pool, probe, turn, valid
from tests.selection.test_properties import CURRENT, LINES, POLICIES
from tokmon.selection.assessment import Fitness
from tokmon.selection.choose import choose
from tokmon.selection.policy import Policy
from tokmon.selection.probe_choice import is_uncertain, providers_to_probe

MINUTE = 60.0
SPENT: dict[str, Any] = {"status": "rejected", "http_status": 429}


def refused(name: str, *ages: float, source: str = "turn") -> tuple[Record, ...]:
    """Refusals of its key, so many seconds ago."""
    make = turn if source == "turn" else probe
    return tuple(make(name, status="invalid_key", week=None, five=None, age=age) for age in ages)


@dataclass(frozen=True)
class Case:
    """One row: the lines of the log, and who is asked."""

    name: str
    lines: tuple[Record, ...]
    asked: tuple[str, ...]
    policy: dict[str, Any] = field(default_factory=dict)


CASES = (
    Case("nothing is known: the chain, and not yet the fallback", (), SEATS),
    Case("the first answers", (turn("team-vigilio"),), ()),
    Case("who comes behind the first cannot win", (turn("team-vigilio", 0.89), turn("team-buio", 0.1)), ()),
    Case("who comes before the first that answers", (turn("team-buio", 0.4),), SEATS[:2]),
    Case(
        "the first is over the threshold: those that might be under it",
        (turn("team-vigilio", 0.95), turn("team-buio", 0.4)),
        ("team-ludo",),
    ),
    Case("a pin", (), (), {"pin": "team-ludo"}),
    Case("nobody is configured", (), (), {"chain": (), "fallback": (), "emergency": None}),
    Case("there is nobody else", (), (), {"chain": ("team-a",), "fallback": (), "emergency": None}),
    Case("the emergency is taken whatever it says", (), (), {"chain": (), "fallback": ()}),
    Case(
        "the chain is dead: the fallback",
        tuple(turn(name, status="policy_rejected") for name in SEATS),
        ("xai-vigilio",),
    ),
    Case(
        "the fallback answers",
        (*(turn(name, status="policy_rejected") for name in SEATS), turn("xai-vigilio", None, None)),
        (),
    ),
    Case("a turn of yesterday stands no more, its week does", (turn("team-vigilio", age=1.5 * DAY),), ()),
    Case("nor does a probe of an hour ago, its windows do", (probe("team-vigilio", age=HOUR),), ()),
    Case(
        "a window that has merely passed its reset",
        (turn("team-vigilio", 1.0, five_resets=-3 * DAY, week_resets=-HOUR, age=3 * DAY, **SPENT),),
        (),
    ),
    Case(
        "all that was known is of last week",
        (turn("team-vigilio", 0.5, five_resets=-8 * DAY, week_resets=-2 * DAY, age=8 * DAY), turn("team-ludo")),
        ("team-vigilio",),
    ),
    Case(
        "its windows stand, and the last that it said was that it has no credit",
        (
            probe("team-vigilio", age=2 * HOUR),
            probe("team-vigilio", "no_credit", week=None, five=None, age=HOUR),
            turn("team-ludo"),
        ),
        ("team-vigilio",),
    ),
    Case("refused within its time", (probe("team-vigilio", "no_credit", age=5 * MINUTE), turn("team-ludo")), ()),
    Case("its key is valid, as far as is known", (valid("team-vigilio", 19 * MINUTE), turn("team-ludo")), ()),
    Case("was valid", (valid("team-vigilio", 21 * MINUTE), turn("team-ludo")), ("team-vigilio",)),
    Case(
        "one 401 on a key that worked: a second try decides",
        (turn("team-vigilio", 0.2, age=HOUR), *refused("team-vigilio", 30), turn("team-ludo")),
        ("team-vigilio",),
    ),
    Case(
        "a key that was refused long enough ago to have come back",
        (turn("team-vigilio", 0.2, age=DAY / 2), *refused("team-vigilio", 2000, 1800, 1500), turn("team-ludo")),
        ("team-vigilio",),
    ),
    Case(
        "a key that was refused just now",
        (turn("team-vigilio", 0.2, age=DAY / 2), *refused("team-vigilio", 900, 600, 300), turn("team-ludo")),
        (),
    ),
    Case(
        "a key that was refused long ago, and again when it was asked",
        (
            *refused("team-vigilio", DAY / 3, DAY / 4),
            *refused("team-vigilio", 600, source="probe"),
            turn("team-ludo"),
        ),
        (),
    ),
    Case(
        "a refused key behind the one that is taken",
        (turn("team-vigilio"), *refused("team-ludo", 3000, 2700, 2400)),
        (),
    ),
    Case(
        "a refused key whose week is used up would not be taken if it were valid",
        (turn("team-vigilio", 1.0, age=DAY), *refused("team-vigilio", 3000, 2700, 2400), turn("team-ludo")),
        (),
    ),
    Case(
        "every key of the chain is refused: all, however new that is",
        tuple(line for name in SEATS for line in refused(name, 400, 250, 30)),
        SEATS,
    ),
    Case(
        "every key is refused, and some have just said so when they were asked: the others",
        (
            *(line for name in SEATS[2:] for line in refused(name, 400, 250, 30)),
            *(line for name in SEATS[:2] for line in refused(name, 10, source="probe")),
        ),
        SEATS[2:],
    ),
    Case(
        "of fresh checks only what passed is considered",
        (turn("team-buio", 0.3), check("team-buio")),
        (),
    ),
    Case(
        "by forecast, a seat that is taken to be fresh and is not the most urgent",
        tuple(turn(name, 0.3) for name in SEATS[1:]),
        (),
        {"policy": "forecast"},
    ),
    Case(
        "by forecast, the one that would be taken",
        tuple(turn(name, 0.3, 0.9) for name in SEATS[1:]),
        ("team-vigilio",),
        {"policy": "forecast"},
    ),
    Case(
        "by forecast, a fallback where no seat lasts",
        tuple(turn(name, 0.3, 0.9) for name in SEATS),
        ("xai-vigilio",),
        {"policy": "forecast"},
    ),
)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_table_of_askings(case: Case) -> None:
    policy = replace(POLICY, **case.policy)
    for lines in (case.lines, case.lines[::-1]):
        assert providers_to_probe(policy, pool(*lines), NOW) == case.asked


def test_a_key_that_has_come_back_heals_with_the_answer() -> None:
    denied = (turn("team-vigilio", 0.2, age=DAY / 2), *refused("team-vigilio", 3000, 2700, 2400), turn("team-ludo"))
    assert providers_to_probe(POLICY, pool(*denied), NOW) == ("team-vigilio",)
    answers = ((valid("team-vigilio"), "team-vigilio"), (refused("team-vigilio", 0, source="probe")[0], "team-ludo"))
    for said, chosen in answers:
        decision = choose(POLICY, pool(*denied, said), NOW)
        assert decision is not None
        assert decision.provider == chosen
        assert providers_to_probe(POLICY, pool(*denied, said), NOW) == ()


def test_what_shows_a_key_to_be_valid_says_nothing_else() -> None:
    decision = choose(POLICY, pool(valid("team-vigilio", 60)), NOW)
    assert decision is not None
    assessed = decision.candidates[0].assessment
    assert (assessed.fitness, assessed.reason) == (Fitness.UNKNOWN, "key valid; no other current data")
    failed = turn("team-vigilio", None, None, status="network_error", age=300)
    for lines, unreachable in (((failed,), True), ((failed, valid("team-vigilio", 60)), False)):
        decision = choose(POLICY, pool(*lines), NOW)
        assert decision is not None
        assert decision.candidates[0].assessment.unreachable is unreachable


def test_who_cannot_be_asked_is_taken_as_it_is() -> None:
    assert providers_to_probe(POLICY, pool(), NOW, probeable={"team-buio", "xai-vigilio"}) == ()
    known = pool(turn("team-nadja", status="no_credit"), *(turn(name, status="no_credit") for name in SEATS[:2]))
    assert providers_to_probe(POLICY, known, NOW, probeable={"team-buio"}) == ("team-buio",)
    assert providers_to_probe(POLICY, known, NOW, probeable=()) == ()


def test_a_session_that_stays_where_it_is_asks_nobody() -> None:
    forecast = replace(POLICY, policy="forecast")
    known = pool(turn("team-ludo", 0.4, week_resets=3.8 * DAY), *(turn(name, 0.9) for name in SEATS[2:]))
    assert providers_to_probe(forecast, known, NOW, current="team-ludo") == ()
    assert providers_to_probe(forecast, known, NOW, current="team-vigilio") == ("team-vigilio",)


ANSWERS = st.sampled_from(["key_valid", "allowed", *(str(s) for s in ("policy_rejected", "no_credit", "invalid_key"))])


def answer(name: str, said: str) -> Record:
    return valid(name) if said == "key_valid" else probe(name, said, week=None, five=None, age=0)


@given(POLICIES, LINES, CURRENT, st.data())
def test_where_nobody_is_asked_no_answer_would_have_changed_the_choice(
    policy: Policy, lines: list[Record], current: str | None, data: st.DataObject
) -> None:
    known = pool(*lines)
    before = choose(policy, known, NOW, current)
    assert before is not None
    askable = set(policy.accounts)
    while asked := providers_to_probe(policy, known, NOW, current, probeable=askable):
        askable -= set(asked)
    in_doubt = [name for name in policy.accounts if name in askable and is_uncertain(name, known, policy, NOW)]
    answers = [answer(name, data.draw(ANSWERS)) for name in in_doubt if data.draw(st.booleans())]
    after = choose(policy, pool(*lines, *answers), NOW, current)
    assert after is not None
    assert after.provider == before.provider


@given(POLICIES, LINES, CURRENT)
def test_those_that_are_asked_are_of_the_policy_and_in_its_order_and_nothing_stands_of_them(
    policy: Policy, lines: list[Record], current: str | None
) -> None:
    asked = providers_to_probe(policy, pool(*lines), NOW, current)
    assert list(asked) == [name for name in policy.accounts if name in asked]
    decision = choose(policy, pool(*lines), NOW, current)
    assert decision is not None
    assessed = {each.assessment.provider: each.assessment.fitness for each in decision.candidates}
    assert {assessed[name] for name in asked} <= {Fitness.UNKNOWN, Fitness.EXCLUDED}
    assert policy.emergency not in asked
