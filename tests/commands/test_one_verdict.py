"""One verdict: every screen shows the assessment that the choice rests on, and none judges anew.

The cases are those in which the screens once contradicted each other.
"""

import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.commands.logbook import HOUR, NOW, Record, configure, write
from tests.commands.screens import Screens, providers, run, screens_of
from tests.configuration import select
from tests.selection.pool import pool
from tests.selection.test_properties import LINES, POLICIES
from tokmon.report.severity import Severity
from tokmon.report.status_json import to_json
from tokmon.report.view import view
from tokmon.selection.assessment import Fitness
from tokmon.selection.choose import choose
from tokmon.selection.default_policy import propose
from tokmon.selection.policy import Policy
from tokmon.wire.instants import rfc3339

MINUTE = 60.0
EXIT_CODES = {"usable": 0, "billed": 0, "excluded": 1, "unknown": 3}


def at(age: float, provider: str, status: str, **fields: Any) -> Record:
    """A line of that age by the clock of now, of a pi turn unless `source` says otherwise."""
    record = {"ts": rfc3339(time.time() - age), "id": f"{provider}-{status}-{age:g}", "provider": provider}
    return {**record, "source": "piggyback", "status": status, "type": "teams-direct", **fields}


def week(used: float, resets_in: float = 23 * HOUR, **fields: Any) -> Record:
    return {"name": "7d", "utilization": used, "resets_at": rfc3339(time.time() + resets_in), **fields}


def valid_key(age: float, provider: str) -> Record:
    return at(age, provider, "allowed", source="probe", substatus="key_valid", http_status=200)


def screens(*lines: Record, chain: tuple[str, ...] = ("team-a", "team-b"), policy: str = "threshold") -> Screens:
    """What the screens say of `team-a`; `team-b` works."""
    select(chain=list(chain), policy=policy, model="claude-sonnet-4-6")
    write("piggyback.jsonl", *lines)
    return screens_of(chain[0])


def agree(shown: Screens, fitness: str, reason: str) -> None:
    """All screens have that verdict and that reason."""
    assert shown.status == (fitness, reason)
    assert shown.select[0] == fitness
    assert shown.select[1].startswith(reason)
    assert shown.guard == EXIT_CODES[fitness]
    if fitness in {"excluded", "unknown"}:
        assert shown.guard_says == f"{'stop' if fitness == 'excluded' else 'unknown'}: team-a: {reason}"
    assert reason in shown.title
    assert fitness.lower() in shown.title.lower()
    marks = {"usable": "✓!", "billed": "!", "excluded": "✗", "unknown": "?"}
    assert shown.wake[0] in marks[fitness]


WORKS = at(5 * MINUTE, "team-b", "allowed", windows=[week(0.3)])


def test_a_valid_key_does_not_end_a_lack_of_credit() -> None:
    shown = screens(at(2 * HOUR, "team-a", "no_credit"), valid_key(60, "team-a"), WORKS)
    agree(shown, "excluded", "no credit")
    assert shown.severity == "CRITICAL"
    assert shown.wake == "✗ no credit (2h ago): top up"
    assert shown.decided_for == "team-b"


def test_a_valid_key_does_not_end_a_used_up_week() -> None:
    used_up = at(2 * HOUR, "team-a", "rejected", windows=[week(1.0, status="rejected")], http_status=429)
    shown = screens(used_up, valid_key(60, "team-a"), WORKS)
    agree(shown, "excluded", "7d used up")
    assert shown.wake == "✗ 7d used up (2h ago), resets in 23h"
    assert ", in 22h 59m" in shown.title
    assert shown.decided_for == "team-b"


def test_one_401_on_a_key_that_worked_makes_the_account_unknown_on_every_screen() -> None:
    worked, refused = at(HOUR, "team-a", "allowed", windows=[week(0.2)]), at(60, "team-a", "invalid_key")
    shown = screens(worked, refused, WORKS)
    agree(shown, "unknown", "one 401 on a key that worked")
    assert shown.severity == "UNKNOWN"
    assert "refused" not in shown.wake
    assert shown.decided_for == "team-a", "it may be tried"


def test_a_key_that_was_refused_again_and_again_is_named_with_what_to_do() -> None:
    refusals = [at(3 * HOUR + age, "team-a", "invalid_key") for age in (0, 90, 180)]
    shown = screens(*refusals, WORKS)
    agree(shown, "excluded", "login or key refused")
    assert shown.wake == "✗ login refused 3h ago: log in again"


def test_an_account_whose_only_model_is_refused_is_excluded_on_every_screen() -> None:
    select(chain=["team-a", "team-b"], models={"team-a": "gemini-2.5-pro"}, policy="threshold")
    refused = at(60, "team-a", "rejected", scope="model", model="gemini-2.5-pro", http_status=429, type="gemini")
    write("piggyback.jsonl", refused, WORKS)
    shown = screens_of("team-a")
    agree(shown, "excluded", "gemini-2.5-pro refused (rejected)")
    assert shown.wake == "✗ gemini-2.5-pro refused (rejected)"
    assert shown.decided_for == "team-b"


def test_a_model_proposed_from_models_json_is_the_one_that_is_assessed() -> None:
    configure(gem={"baseUrl": "https://generativelanguage.googleapis.com", "models": [{"id": "gemini-2.5-pro"}]})
    write("piggyback.jsonl", at(60, "gem", "rejected", scope="model", model="gemini-2.5-pro", type="gemini"))
    shown = screens_of("gem")
    assert shown.status == ("excluded", "gemini-2.5-pro refused (rejected)")
    assert shown.guard == 1
    select(chain=["team-b"], model="claude-sonnet-4-6")
    write("piggyback.jsonl", WORKS)
    known = providers()["gem"]
    assert (known["fitness"], known["reason"]) == ("excluded", "gemini-2.5-pro refused (rejected)"), (
        "outside the policy"
    )
    assert run("guard", "gem").returncode == 1


def test_a_429_without_details_lets_other_accounts_go_first_and_every_screen_names_it() -> None:
    worked = at(HOUR, "team-a", "allowed", windows=[week(0.2)])
    throttled = at(60, "team-a", "rejected", scope="request", substatus="throttled_no_window", http_status=429)
    shown = screens(worked, throttled, WORKS)
    agree(shown, "usable", "works; last response was a 429 without details")
    assert shown.severity == "WARN"
    assert shown.wake.startswith("! works; last response was a 429 without details")
    assert shown.decided_for == "team-b"


def test_probes_of_three_hours_ago_count_on_no_screen() -> None:
    old = [
        at(3 * HOUR, name, status, source="probe") for name, status in (("team-a", "rejected"), ("team-b", "allowed"))
    ]
    shown = screens(*old)
    agree(shown, "unknown", "no current data")
    assert shown.severity == "UNKNOWN"
    assert "last known: rejected (probe, 3h ago; too old to use)" in shown.block
    assert shown.wake == "? no current data, last known: rejected (3h ago)"
    other = screens_of("team-b")
    assert (other.status, other.guard) == (("unknown", "no current data"), 3)
    assert "last known: allowed (probe, 3h ago; too old to use)" in other.block


def test_a_chain_of_refused_keys_is_doubted_on_every_screen() -> None:
    refused = [at(300 + age, name, "invalid_key") for name in ("team-a", "team-b") for age in (0, 90, 180)]
    agree(screens(*refused), "unknown", "every key of the chain was refused: not believed without a new probe")


@pytest.mark.parametrize(
    ("overage", "used"), [({"in_use": True}, 1.02), ({"in_use": True}, 0.4), ({"status": "allowed"}, 1.0)]
)
def test_credit_that_pays_is_named_on_every_screen(overage: Record, used: float) -> None:
    status = "rejected" if "status" in overage else "allowed"
    paid = at(60, "team-a", status, windows=[week(used)], overage=overage)
    shown = screens(paid, WORKS)
    assert shown.status[0] == shown.select[0] == "billed"
    agree(shown, *shown.status)
    assert shown.wake.startswith("! paid from credit")
    assert shown.severity == "WARN"


@given(POLICIES, LINES)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_status_shows_of_every_account_what_the_choice_takes_it_for(policy: Policy, lines: list[Record]) -> None:
    snapshot = pool(*lines)
    shown = view(snapshot, {"team-ludo": None}, policy, propose({}, policy), NOW)
    decision = choose(policy, snapshot, NOW)
    assert decision is not None
    chosen_from = {
        candidate.provider: (candidate.assessment.fitness, candidate.assessment.reason, candidate.assessment.until)
        for candidate in decision.candidates
    }
    on_screen = {
        account.name: (account.assessment.fitness, account.assessment.reason, account.assessment.until)
        for account in shown.accounts
    }
    assert {name: on_screen[name] for name in policy.accounts} == chosen_from
    as_json = {entry["provider"]: entry for entry in to_json(shown)["providers"]}
    for account in shown.accounts:
        entry = as_json[account.name]
        assert (entry["fitness"], entry["reason"]) == (account.assessment.fitness, account.assessment.reason)
        if account.severity is Severity.OK:
            assert account.assessment.fitness is Fitness.USABLE
        if account.assessment.fitness is Fitness.EXCLUDED:
            assert account.severity in {Severity.WARN, Severity.CRITICAL}
