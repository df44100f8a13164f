"""What `tokmon status` shows beside status and windows (models, plan, credits, money), and of hostile logs."""

import json
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.commands import hostile
from tests.commands.logbook import DAY, HOUR, NOW, Record, line, shown, window
from tests.commands.test_status import only, text, verdict
from tokmon.evidence.model import Credits
from tokmon.report.status import credits_words, status_text
from tokmon.report.status_json import to_json
from tokmon.report.words import Style, visible

SERVED = line("a", "allowed", window("5h", 0.1, 2 * HOUR), model="sonnet", age=90, claim="five_hour")
REFUSED = line("a", "rejected", scope="model", model="opus", blocked_until="2026-11-22T08:00:00Z", http_status=429)


def as_json(*lines: Record, now: float = NOW) -> dict[str, Any]:
    (account,) = json.loads(json.dumps(to_json(shown(*lines, at=now))))["providers"]
    known: dict[str, Any] = account
    return known


def test_refused_models_are_listed_under_their_account() -> None:
    assert text(SERVED, REFUSED) == (
        "WARN      a  usable  opus refused\n"
        "  allowed; 1m ago (pi); limited by 5h; sonnet\n"
        "  5h       #...............  10%  resets in 2h, 09:00Z               1m ago (pi)\n"
        "  refused  opus: rejected HTTP 429, until 08:00Z, in 1h              1m ago (pi)\n"
        "\n"
        "Overall: 1 WARN"
    )


def test_the_refusal_of_a_model_ends_with_its_block_or_with_an_answer() -> None:
    assert only(SERVED, REFUSED, now=NOW + 2 * HOUR).severity == "OK"
    answered = line("a", "allowed", model="opus", age=5)
    assert only(SERVED, REFUSED, answered).refused == {}
    assert "refused" not in text(SERVED, REFUSED, answered)


def test_a_refused_model_without_a_name_is_listed_too() -> None:
    unnamed = line("a", "no_credit", scope="model")
    assert "a model that was not named: no credit" in text(unnamed)
    assert only(unnamed).severity == "WARN"


def test_an_account_known_by_a_refused_model_alone_stays_unknown() -> None:
    account = only(REFUSED)
    assert (account.assessment.evidence, account.severity) == (None, "WARN")
    assert verdict(REFUSED) == ("unknown", "no current data")
    assert only(REFUSED, now=NOW + DAY).severity == "UNKNOWN"


def test_the_window_of_one_model_does_not_prolong_the_rejection_of_the_account() -> None:
    windows = (window("5h", 1.0, -60, status="rejected"), window("7d_opus", 1.0, DAY, status="rejected", scope="model"))
    assert verdict(line("a", "rejected", *windows, age=HOUR)) == ("unknown", "no current data")


def test_a_used_up_window_of_the_older_log_ends_its_rejection() -> None:
    old = {"ts": "2026-11-22T06:50:00Z", "provider": "a", "type": "teams-direct", "status": "rejected"}
    rejected = {**old, "utilization_5h": 1.0, "utilization_7d": 0.4, "reset_in_seconds": 300}
    assert "last known: rejected (probe, 10m ago; reset since)" in text(rejected)
    assert "reset since, was 100%" in text(rejected)
    assert "40%  reset unknown" in text(rejected)


def test_the_plan_and_the_credits_are_shown_with_their_age() -> None:
    planned = line("a", "allowed", plan="pro_lite", credits={"has_credits": True, "balance": "12.5"})
    report = text(planned, line("a", "network_error", age=5))
    assert "  plan     pro lite                                                  1m ago (pi)" in report
    assert "  credits  12.5 left                                                 1m ago (pi)" in report


@pytest.mark.parametrize(
    ("credit", "words"),
    [
        (Credits(), "unknown"),
        (Credits(has_credits=False, unlimited=False, balance="0"), "none"),
        (Credits(has_credits=True), "some, amount unknown"),
        (Credits(has_credits=True, unlimited=True, balance="0"), "unlimited"),
        (Credits(balance="3"), "3 left"),
    ],
)
def test_missing_credits_are_shown_as_unknown(credit: Credits, words: str) -> None:
    assert credits_words(credit) == words


def test_a_window_with_a_percentage_shows_its_counts_and_its_money_too() -> None:
    counted = line("a", "allowed", window("requests_day", 0.88, HOUR, limit=1000, remaining=120))
    assert " 88%\n    120 of 1k left; resets in 1h, 08:00Z; 1m ago (pi)" in text(counted, width=60)
    assert "$1.20 of $5.00 used" in text(line("a", "allowed", window("budget", 0.24, limit_usd=5, used_usd=1.2)))
    expired = text(line("a", "allowed", window("requests_day", 0.88, -5, limit=1000, remaining=120)))
    assert "left" not in expired


def test_extra_usage_in_counts_is_shown_in_counts() -> None:
    used = line("a", "allowed", overage={"in_use": False, "used": 12, "permitted": False})
    assert "not permitted, 12 used" in text(used)


def test_the_limiting_window_outlives_an_error_but_not_newer_evidence_of_it() -> None:
    error = line("a", "network_error", age=5)
    assert [gauge.limiting for gauge in only(SERVED, error).gauges] == [True]
    assert "usable  works; last attempt failed (network)\n  allowed; 1m ago (pi); limited by 5h" in text(SERVED, error)
    assert [gauge.limiting for gauge in only(SERVED, line("a", "allowed", window("5h", 0.2, HOUR))).gauges] == [False]


def test_json_has_all_of_an_account() -> None:
    credit = {"has_credits": True, "unlimited": False, "balance": "12.5"}
    more = line("a", "allowed", window("budget", 0.24, limit_usd=5, used_usd=1.2), plan="pro", credits=credit, age=30)
    known = as_json(SERVED, REFUSED, more)
    assert known["limited_by"] == "5h"
    assert (known["plan"]["plan"], known["plan"]["age_s"], known["plan"]["source"]) == ("pro", 30, "piggyback")
    assert (known["credits"]["balance"], known["credits"]["has_credits"]) == ("12.5", True)
    assert [(gauge["limit_usd"], gauge["used_usd"]) for gauge in known["windows"]] == [(None, None), (5, 1.2)]
    (refused,) = known["refused_models"]
    assert (refused["model"], refused["status"]) == ("opus", "rejected")
    assert refused["blocked_until"] == "2026-11-22T08:00:00Z"
    assert as_json(SERVED, REFUSED, now=NOW + 2 * HOUR)["refused_models"] == []


def test_json_shows_the_last_known_status_apart_from_the_one_that_counts() -> None:
    old = as_json(line("a", "allowed", age=2 * DAY))
    assert (old["fitness"], old["reason"], old["status"]) == ("unknown", "no current data", None)
    assert (old["last_known"]["status"], old["last_known"]["why_unused"]) == ("allowed", "too old to use")
    current = as_json(line("a", "allowed"))
    assert (current["status"]["status"], current["last_known"]) == ("allowed", None)


def test_credit_does_not_pay_where_a_refusal_came_after_it() -> None:
    paid = line("a", "allowed", window("7d", 1.0, DAY), overage={"in_use": True}, age=90)
    refused = only(paid, line("a", "no_credit", scope="account"))
    assert (refused.billed, refused.severity) == (False, "CRITICAL")
    assert only(paid, line("a", "network_error")).billed


def test_an_answer_counts_for_a_day_whatever_end_its_line_names() -> None:
    assert only(line("a", "allowed", blocked_until="2099-01-01T00:00:00Z", age=2 * DAY)).severity == "UNKNOWN"
    assert only(line("a", "allowed", blocked_until="2026-11-22T06:59:59Z")).severity == "OK"


def test_a_refusal_that_concerns_every_account_passes_like_an_overload() -> None:
    shared = line("a", "rejected", scope="provider", substatus="shared_capacity")
    assert verdict(shared) == ("unknown", "no current data; provider overloaded")
    old = only({**shared, "ts": "2026-11-22T06:48:20Z"})
    assert old.last_known is not None
    assert (old.assessment.reason, old.last_known.why_unused) == ("no current data", "too old to use")


def test_a_full_minute_is_no_more_than_a_warning() -> None:
    minute = line("a", "allowed", window("requests_minute", 1.0, 30), window("7d", 0.1, DAY))
    assert only(minute).severity == "WARN"
    assert "usable  requests_minute at 100%" in text(minute)


@given(lines=st.lists(hostile.LINES, max_size=5), width=st.sampled_from([20, 40, 80, 120]), colour=st.booleans())
def test_no_log_can_break_the_report(*, lines: list[dict[str, Any]], width: int, colour: bool) -> None:
    hostile_view = shown(*lines)
    for row in status_text(hostile_view, width, Style(colour=colour, blocks=colour, zone=UTC)):
        assert visible(row) <= width
        assert all(character.isprintable() for character in row.replace("\x1b[", "["))
    json.dumps(to_json(hostile_view))
