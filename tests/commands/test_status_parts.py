"""What `tokmon status` says beside status and windows: the plan, credits, money, single models; and of hostile logs."""

import json
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.commands import hostile
from tests.commands.logbook import DAY, HOUR, NOW, Record, line, snapshot, window
from tokmon.evidence.model import Credits, Window
from tokmon.report.status import credits_words, status_text
from tokmon.report.status_json import to_json
from tokmon.report.view import Provider, view
from tokmon.report.words import Style, count, left, money, percent, visible

SERVED = line("a", "allowed", window("5h", 0.1, 2 * HOUR), model="sonnet", age=90, claim="five_hour")
REFUSED = line("a", "rejected", scope="model", model="opus", blocked_until="2026-11-22T08:00:00Z", http_status=429)


def only(*lines: Record, now: float = NOW) -> Provider:
    (provider,) = view(snapshot(*lines), {}, now).providers
    return provider


def text(*lines: Record, width: int = 80) -> str:
    return "\n".join(status_text(view(snapshot(*lines), {}, NOW), width, Style(zone=UTC)))


def as_json(*lines: Record, now: float = NOW) -> dict[str, Any]:
    (provider,) = json.loads(json.dumps(to_json(view(snapshot(*lines), {}, now))))["providers"]
    found: dict[str, Any] = provider
    return found


def test_a_model_that_is_refused_stands_beside_the_account() -> None:
    assert text(SERVED, REFUSED) == (
        "WARN      a  opus refused\n"
        "  allowed; 1m ago, header; claim 5h; sonnet\n"
        "  5h       #...............  10%  resets in 2h, 09:00Z            1m ago, header\n"
        "  refused  opus: rejected, until 08:00Z, in 1h                    1m ago, header\n"
        "\n"
        "Overall: 1 WARN"
    )


def test_the_refusal_of_a_model_ends_with_its_block_or_with_an_answer() -> None:
    assert only(SERVED, REFUSED, now=NOW + 2 * HOUR).severity == "OK"
    answered = line("a", "allowed", model="opus", age=5)
    assert only(SERVED, REFUSED, answered).refused == ()
    assert "refused" not in text(SERVED, REFUSED, answered)


def test_a_model_that_was_not_named_is_said_to_be_refused_as_well() -> None:
    unnamed = line("a", "no_credit", scope="model")
    assert "a model that was not named: no credit" in text(unnamed)
    assert only(unnamed).severity == "WARN"


def test_a_refusal_of_one_model_alone_is_all_that_is_known() -> None:
    provider = only(REFUSED)
    assert (provider.last, provider.severity, provider.reasons) == (None, "WARN", ("opus refused",))
    assert only(REFUSED, now=NOW + DAY).severity == "UNKNOWN"


def test_the_window_of_one_model_does_not_prolong_the_rejection_of_the_account() -> None:
    windows = (window("5h", 1.0, -60, status="rejected"), window("7d_opus", 1.0, DAY, status="rejected", scope="model"))
    assert only(line("a", "rejected", *windows, age=HOUR)).ended == "its window has reset since"


def test_a_used_up_window_ends_a_rejection_of_the_older_log() -> None:
    old = {"ts": "2026-11-22T05:00:00Z", "provider": "a", "type": "teams-direct", "status": "rejected"}
    rejected = {**old, "utilization_5h": 1.0, "utilization_7d": 0.4, "reset_in_seconds": 3600}
    assert only(rejected).ended == "its window has reset since"
    assert "expired, was 100% 2h ago" in text(rejected)
    assert "40%  reset unknown" in text(rejected)


def test_the_plan_and_the_credits_are_said_with_their_age() -> None:
    told = line("a", "allowed", plan="pro_lite", credits={"has_credits": True, "balance": "12.5"})
    said = text(told, line("a", "network_error", age=5))
    assert "  plan     pro lite                                               1m ago, header" in said
    assert "  credits  12.5 left                                              1m ago, header" in said


@pytest.mark.parametrize(
    ("credit", "words"),
    [
        (Credits(), "unknown"),
        (Credits(has_credits=False, unlimited=False, balance="0"), "none"),
        (Credits(has_credits=True), "some, how much is unknown"),
        (Credits(has_credits=True, unlimited=True, balance="0"), "unlimited"),
        (Credits(balance="3"), "3 left"),
    ],
)
def test_credits_that_were_not_said_are_unknown(credit: Credits, words: str) -> None:
    assert credits_words(credit) == words


@pytest.mark.parametrize(
    ("counted", "words"),
    [
        (Window("a"), []),
        (Window("a", remaining=120, limit=1000), ["120 of 1k left"]),
        (Window("a", remaining=0), ["0 left"]),
        (Window("a", limit=1000), ["limit 1k"]),
        (Window("a", used_usd=1.2, limit_usd=5), ["$1.20 of $5.00 used"]),
        (Window("a", used_usd=0.0), ["$0.00 used"]),
        (Window("a", limit_usd=5), ["limit $5.00"]),
    ],
)
def test_counts_and_money_are_said_as_far_as_they_are_known(counted: Window, words: list[str]) -> None:
    assert left(counted) == words


def test_a_window_with_a_share_shows_its_counts_and_its_money_too() -> None:
    counted = line("a", "allowed", window("requests_day", 0.88, HOUR, limit=1000, remaining=120))
    assert " 88%\n    120 of 1k left; resets in 1h, 08:00Z; 1m ago, header" in text(counted, width=60)
    assert "$1.20 of $5.00 used" in text(line("a", "allowed", window("budget", 0.24, limit_usd=5, used_usd=1.2)))
    passed = text(line("a", "allowed", window("requests_day", 0.88, -5, limit=1000, remaining=120)))
    assert "left" not in passed


def test_an_overage_that_counts_is_said_in_its_counts() -> None:
    used = line("a", "allowed", overage={"in_use": False, "used": 12, "permitted": False})
    assert "not permitted, 12 used" in text(used)


def test_the_claim_outlives_an_error_and_not_the_news_about_its_window() -> None:
    error = line("a", "network_error", age=5)
    assert [gauge.claim for gauge in only(SERVED, error).gauges] == [True]
    assert "network error; 5s ago, header; claim 5h" in text(SERVED, {**error, "http_status": None})
    assert [gauge.claim for gauge in only(SERVED, line("a", "allowed", window("5h", 0.2, HOUR))).gauges] == [False]


def test_the_json_form_has_all_of_it() -> None:
    credit = {"has_credits": True, "unlimited": False, "balance": "12.5"}
    more = line("a", "allowed", window("budget", 0.24, limit_usd=5, used_usd=1.2), plan="pro", credits=credit, age=30)
    found = as_json(SERVED, REFUSED, more)
    assert found["binding_window"] == "5h"
    assert (found["plan"]["plan"], found["plan"]["age_s"], found["plan"]["source"]) == ("pro", 30, "header")
    assert (found["credits"]["balance"], found["credits"]["has_credits"]) == ("12.5", True)
    assert [(each["limit_usd"], each["used_usd"]) for each in found["windows"]] == [(None, None), (5, 1.2)]
    (refused,) = found["refused_models"]
    assert (refused["model"], refused["status"], refused["expired"]) == ("opus", "rejected", False)
    assert refused["blocked_until"] == "2026-11-22T08:00:00Z"
    (later,) = as_json(SERVED, REFUSED, now=NOW + 2 * HOUR)["refused_models"]
    assert (later["status"], later["last_status"], later["expired"]) == ("unknown", "rejected", True)


@pytest.mark.parametrize(("fraction", "words"), [(1e300, ">999%"), (9.996, ">999%"), (-1.0, "?"), (9.99, "999%")])
def test_a_share_that_cannot_be_is_no_reason_to_fail(fraction: float, words: str) -> None:
    assert percent(fraction) == words


@pytest.mark.parametrize(
    ("fraction", "words"),
    [
        (0.0, "0%"),
        (-0.0, "0%"),
        (1e-9, "<1%"),
        (0.005, "<1%"),
        (0.006, "1%"),
        (0.996, "99%"),
        (1, "100%"),
        (1.2, "120%"),
    ],
)
def test_only_nothing_is_none_and_only_all_is_all(fraction: float, words: str) -> None:
    assert percent(fraction) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1k"),
        (12_345, "12.3k"),
        (999_499, "999k"),
        (999_999, "1M"),
        (2.5e9, "2.5G"),
        (1e15, "1e+15"),
        (-5, "-5"),
    ],
)
def test_counts_have_three_figures_and_never_an_exponent_before_their_unit(number: float, words: str) -> None:
    assert count(number) == words


@pytest.mark.parametrize(("usd", "words"), [(0, "$0.00"), (0.00001, "<$0.0001"), (-5, "$-5.00"), (1e300, "$1e+300")])
def test_money_that_cannot_be_is_neither_little_nor_long(usd: float, words: str) -> None:
    assert money(usd) == words


def test_credit_is_not_being_spent_where_a_refusal_came_after_it() -> None:
    paid = line("a", "allowed", window("7d", 1.0, DAY), overage={"in_use": True}, age=90)
    refused = only(paid, line("a", "no_credit", scope="account"))
    assert (refused.spending, refused.severity) == (False, "CRITICAL")
    assert only(paid, line("a", "network_error")).spending


def test_an_answer_ends_with_its_day_whatever_else_its_line_says() -> None:
    assert only(line("a", "allowed", blocked_until="2099-01-01T00:00:00Z", age=2 * DAY)).severity == "UNKNOWN"
    assert only(line("a", "allowed", blocked_until="2026-11-22T06:59:59Z")).severity == "OK"


def test_what_a_provider_refuses_to_everybody_passes_like_an_overload() -> None:
    shared = line("a", "rejected", window("7d", 1.0, DAY), scope="provider", age=700)
    assert only(shared).ended == "too long ago to count"


def test_a_minute_is_never_critical() -> None:
    minute = line("a", "allowed", window("requests_minute", 1.0, 30), window("7d", 0.1, DAY))
    assert (only(minute).severity, only(minute).reasons) == ("WARN", ("requests_minute at 100%",))


@given(lines=st.lists(hostile.LINES, max_size=5), width=st.sampled_from([20, 40, 80, 120]), colour=st.booleans())
def test_no_log_can_break_the_report(*, lines: list[dict[str, Any]], width: int, colour: bool) -> None:
    shown = view(snapshot(*lines), {}, NOW)
    for row in status_text(shown, width, Style(colour=colour, blocks=colour, zone=UTC)):
        assert visible(row) <= width
        assert all(character.isprintable() for character in row.replace("\x1b[", "["))
    json.dumps(to_json(shown))
