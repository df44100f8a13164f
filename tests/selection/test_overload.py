"""An overload lets others go first, and excludes nothing: it never leads to a paid account by itself."""

from dataclasses import replace

import pytest

from tests.commands.logbook import DAY, HOUR, NOW, Record
from tests.selection.pool import POLICY, pool, turn
from tokmon.selection.assessment import Fitness, assess
from tokmon.selection.choose import Decision, choose
from tokmon.selection.policy import Policy

SEATS = ("team-vigilio", "team-ludo")
OVERLOADS = (
    {"status": "overloaded", "http_status": 529, "scope": "provider"},
    {"status": "overloaded", "http_status": 503},
    {"status": "rejected", "http_status": 429, "scope": "provider", "substatus": "shared_capacity"},
)
POLICIES = [replace(POLICY, chain=SEATS, policy=name) for name in ("forecast", "threshold")]


def overload(provider: str, fields: dict[str, object]) -> Record:
    return {**turn(provider, None, None, age=30), **fields}


def decided(policy: Policy, *lines: Record) -> Decision:
    decision = choose(policy, pool(*lines), NOW)
    assert decision is not None
    return decision


@pytest.mark.parametrize("fields", OVERLOADS)
@pytest.mark.parametrize("policy", POLICIES)
def test_an_overload_of_every_seat_leads_to_no_paid_account(policy: Policy, fields: dict[str, object]) -> None:
    for known in ([turn(name, 0.3, age=1200) for name in SEATS], []):
        decision = decided(policy, *known, *(overload(name, fields) for name in SEATS), turn("xai-vigilio"))
        assert decision.provider in SEATS
        assert not decision.emergency


@pytest.mark.parametrize("policy", POLICIES)
def test_an_account_of_a_provider_without_overload_goes_first(policy: Policy) -> None:
    lines = turn("team-vigilio", 0.3, week_resets=HOUR), turn("team-ludo", 0.4, week_resets=6 * DAY)
    assert decided(policy, *lines).provider == "team-vigilio"
    assert decided(policy, *lines, overload("team-vigilio", OVERLOADS[0])).provider == "team-ludo"
    resumed = replace(policy, resume_account="team-vigilio")
    assert decided(resumed, *lines, overload("team-vigilio", OVERLOADS[0])).provider == "team-ludo"
    both = [overload(name, OVERLOADS[0]) for name in SEATS]
    assert decided(resumed, *lines, *both).provider == "team-vigilio"


@pytest.mark.parametrize("policy", POLICIES)
def test_the_only_other_seat_is_too_full_so_the_overloaded_one_is_taken(policy: Policy) -> None:
    lines = turn("team-vigilio", 0.3), overload("team-vigilio", OVERLOADS[0]), turn("team-ludo", 0.99, 0.99)
    assert decided(policy, *lines, turn("xai-vigilio")).provider == "team-vigilio"


@pytest.mark.parametrize("fields", OVERLOADS)
def test_an_overload_is_a_remark_and_ends_with_the_next_response(fields: dict[str, object]) -> None:
    def shown(*lines: Record, at: float = NOW) -> tuple[Fitness, str]:
        assessment = assess("team-ludo", pool(*lines).accounts["team-ludo"], POLICY, at)
        return assessment.fitness, assessment.reason

    before, event = turn("team-ludo", age=1200), overload("team-ludo", fields)
    assert shown(before, event) == (Fitness.USABLE, "works; provider overloaded")
    assert shown(before, event, at=NOW + 600) == (Fitness.USABLE, "works")
    assert shown(before, event, turn("team-ludo", age=5)) == (Fitness.USABLE, "works")
    assert shown(event)[0] is Fitness.UNKNOWN
    limit = turn("team-ludo", 1.0, age=1200, status="rejected")
    assert shown(limit, event)[0] is Fitness.EXCLUDED


def test_an_overload_of_one_model_is_a_remark_for_that_model() -> None:
    event = {**overload("team-ludo", OVERLOADS[1]), "scope": "model", "model": "other"}
    account = pool(turn("team-ludo", age=1200), event).accounts["team-ludo"]
    assert not assess("team-ludo", account, POLICY, NOW).overloaded
    assert assess("team-ludo", account, replace(POLICY, model="other"), NOW).overloaded
