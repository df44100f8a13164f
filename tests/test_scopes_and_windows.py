"""The narrower scope of headers and text, long waits, values just outside, and the windows of some models."""

import json
from typing import Final

import pytest

from tokmon import families
from tokmon.evidence.log_line import evidence_in_line
from tokmon.evidence.model import RawResponse, Reading, Scope, Status
from tokmon.wire.instants import parse_rfc3339, rfc3339

AT: Final = parse_rfc3339("2026-11-29T12:00:00Z")


def read(text: str, **headers: str) -> Reading:
    """The reading of a 429; underscores in the names of headers are hyphens."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return families.read(RawResponse(429, names, AT, text, "newprovider"))


def until(reading: Reading) -> str | None:
    """The end of the block as text."""
    return None if reading.blocked_until is None else rfc3339(reading.blocked_until)


UNIFIED: Final = "anthropic-ratelimit-unified-"


def unified(**fields: str) -> dict[str, str]:
    """Headers of a plan seat: `_5h_status` is the status of the window `5h`."""
    return {UNIFIED + name.strip("_").replace("__", "-"): value for name, value in fields.items()}


SEAT: Final = unified(
    status="rejected",
    _5h__status="allowed",
    _5h__utilization="0.2",
    _7d__status="allowed",
    _7d__utilization="0.3",
    overage__status="rejected",
)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("Extra usage is required for long context requests.", "no_credit"),
        ("Usage credits are required for long context requests.", "no_credit"),
        ("Extra usage is required for 1M context. Enable extra usage or use standard context.", "no_credit"),
        ("The long context beta is not yet available for this subscription.", "policy_rejected"),
    ],
)
@pytest.mark.parametrize("headers", [{}, SEAT, {**SEAT, "retry-after": "198000"}, unified(status="allowed")])
def test_refused_long_context_leaves_the_seat_alone(text: str, status: str, headers: dict[str, str]) -> None:
    body = json.dumps({"type": "error", "error": {"type": "rate_limit_error", "message": text}})
    reading = families.read(RawResponse(429, headers, AT, body, "teams-direct"))
    assert (reading.status, reading.scope, reading.blocked_until) == (status, Scope.REQUEST, None)


def test_missing_credit_for_the_windows_of_one_model_concerns_that_model() -> None:
    headers = {**SEAT, **unified(_7d_oi__status="rejected", _7d_oi__utilization="1.0")}
    reading = families.read(RawResponse(429, headers, AT, "You're out of extra usage.", "teams-direct"))
    assert (reading.status, reading.scope) == (Status.NO_CREDIT, Scope.MODEL)


def test_long_wait_on_a_seat_that_the_headers_allow_concerns_the_model() -> None:
    headers = {**SEAT, **unified(status="allowed"), "retry-after": "198000"}
    reading = families.read(RawResponse(429, headers, AT, None, "teams-direct"))
    assert (reading.scope, until(reading)) == (Scope.MODEL, "2026-12-01T19:00:00Z")


@pytest.mark.parametrize(
    ("wait", "scope"),
    [("6", "request"), ("600", "request"), ("899", "request"), ("901", "account"), ("7200", "account")],
)
def test_only_a_long_wait_makes_a_bare_429_a_refusal_of_the_account(wait: str, scope: str) -> None:
    assert read("429 Too Many Requests", retry_after=wait).scope == scope
    assert read('{"error":{"model":"big-1"}}', retry_after=wait).scope == scope.replace("account", "model")


def test_window_without_an_end_in_the_text_resets_after_the_wait_of_the_headers() -> None:
    reading = read("Weekly usage limit reached", retry_after="10800")
    assert [(window.name, window.resets_at) for window in reading.windows] == [("7d", AT + 10800)]
    assert until(reading) == "2026-11-29T15:00:00Z"


@pytest.mark.parametrize(
    ("claim", "binding"),
    [
        ("five_hour", "5h"),
        ("seven_day", "7d"),
        ("five_hour_overage_included", "5h_oi"),
        ("seven_day_overage_included", "7d_oi"),
        ("seven_day_opus", "7d_opus"),
        ("seven_day_fable", "7d_fable"),
        ("five_hour_fallback", "5h"),
        ("overage", "overage"),
        ("something_new", "something_new"),
    ],
)
def test_claim_names_the_binding_window(claim: str, binding: str) -> None:
    headers = unified(status="allowed", representative__claim=claim)
    reading = families.read(RawResponse(200, headers.copy(), AT))
    assert (reading.claim, reading.binding) == (claim, binding)


def test_unknown_claim_of_a_refusal_leaves_the_binding_to_the_window_that_refuses() -> None:
    headers = {**SEAT, **unified(representative__claim="something_new", _7d__status="rejected")}
    reading = families.read(RawResponse(429, headers, AT))
    assert (reading.claim, reading.binding, reading.scope) == ("something_new", "7d", Scope.ACCOUNT)


@pytest.mark.parametrize(("value", "surpassed"), [("0.75", 0.75), ("90%", 0.9), ("1.0", 1.0), ("true", None)])
def test_threshold_is_read_as_a_fraction_or_a_percentage(value: str, surpassed: float | None) -> None:
    headers = unified(_7d__utilization="0.95", _7d__surpassed_threshold=value)
    headers = {name.replace("_threshold", "-threshold"): value for name, value in headers.items()}
    assert families.read(RawResponse(200, headers, AT)).windows[0].surpassed == surpassed


@pytest.mark.parametrize(
    ("headers", "utilization", "remaining"),
    [
        ({"x-ratelimit-limit-requests": "100", "x-ratelimit-remaining-requests": "-5"}, 1.05, -5),
        ({"x-ratelimit-limit-requests": "-1", "x-ratelimit-remaining-requests": "-1"}, None, None),
        ({"x-ratelimit-remaining-requests": "-1"}, None, None),
        ({"ratelimit-limit": "10", "ratelimit-remaining": "-1"}, 1.1, -1),
        ({"x-quota-snapshot-chat": "ent=300&rem=-0.33"}, 1.0033, -0.99),
        ({"x-quota-snapshot-chat": "ent=-1&rem=100.0"}, 0.0, None),
    ],
)
def test_negative_remaining_is_more_than_all_used(
    headers: dict[str, str], utilization: float | None, remaining: float | None
) -> None:
    window = families.read(RawResponse(200, headers, AT)).windows[0]
    assert [window.utilization, window.remaining] == pytest.approx([utilization, remaining])


SPARK: Final = {"allowed": False, "primary": {"used_percent": 100, "window_minutes": 300, "reset_at": 1796000000}}
SPARK_WINDOWS: Final = {
    "allowed": False,
    "primary_window": {"used_percent": 100, "limit_window_seconds": 18000, "reset_at": 1796000000},
    "secondary_window": None,
}


@pytest.mark.parametrize(
    "additional",
    [
        {"GPT-5.3-Codex-Spark": SPARK},
        {"GPT-5.3-Codex-Spark": {"rate_limit": SPARK_WINDOWS}},
        [{"limit_name": "GPT-5.3-Codex-Spark", "metered_feature": "codex_bengalfox", "rate_limit": SPARK_WINDOWS}],
        [{"limit_name": "GPT-5.3-Codex-Spark", **SPARK}, None, 7, {"limit_name": "other"}],
    ],
)
def test_further_limits_of_a_codex_frame_are_windows_of_their_model(additional: object) -> None:
    own = {"allowed": True, "primary": {"used_percent": 21, "window_minutes": 300, "reset_at": 1796000000}}
    frame = {"type": "codex.rate_limits", "rate_limits": own, "additional_rate_limits": additional}
    reading = families.read(RawResponse(None, {}, AT, frame=frame, account_type="openai-codex"))
    assert (reading.status, reading.scope, reading.binding) == (Status.ALLOWED, None, None)
    assert [(window.name, window.utilization, window.scope) for window in reading.windows] == [
        ("GPT-5.3-Codex-Spark:5h", 1.0, Scope.MODEL),
        ("5h", 0.21, None),
    ]


def test_header_with_the_name_of_a_limit_names_its_windows() -> None:
    slot = "x-codex-bengalfox-primary-"
    headers = {f"{slot}used-percent": "100", f"{slot}window-minutes": "300", f"{slot}reset-at": "1796000000"}
    named = {**headers, "x-codex-bengalfox-limit-name": "GPT-5.3-Codex-Spark"}
    for response, name in ((headers, "codex_bengalfox:5h"), (named, "GPT-5.3-Codex-Spark:5h")):
        window = families.read(RawResponse(200, response, AT)).windows[0]
        assert (window.name, window.scope) == (name, Scope.MODEL)


@pytest.mark.parametrize(
    ("names", "window"),
    [
        ({}, "5h"),
        ({"limit_id": "codex", "limit_name": None}, "5h"),
        ({"limit_id": "codex_bengalfox", "limit_name": "GPT-5.3-Codex-Spark"}, "GPT-5.3-Codex-Spark:5h"),
        ({"limit_id": "codex_bengalfox"}, "codex_bengalfox:5h"),
        ({"metered_limit_name": "codex-bengalfox"}, "codex_bengalfox:5h"),
    ],
)
def test_codex_frame_about_a_further_limit_names_its_windows(names: dict[str, object], window: str) -> None:
    limits = {"allowed": True, "primary": {"used_percent": 2, "window_minutes": 300, "reset_at": 1796000000}}
    frame = {"type": "codex.rate_limits", "rate_limits": limits, **names}
    assert [known.name for known in families.read(RawResponse(None, {}, AT, frame=frame)).windows] == [window]


@pytest.mark.parametrize("additional", [None, 7, "x", [], {}, [[]], {"x": 3}, [{"rate_limit": 3}]])
def test_malformed_further_limits_change_nothing(additional: object) -> None:
    frame = {"type": "codex.rate_limits", "rate_limits": {"allowed": True}, "additional_rate_limits": additional}
    assert families.read(RawResponse(None, {}, AT, frame=frame)).windows == ()


def test_refusal_in_a_codex_frame_is_bound_by_the_windows_of_the_account() -> None:
    own = {"limit_reached": True, "primary": {"used_percent": 100, "window_minutes": 300, "reset_at": 1795964400}}
    frame = {
        "type": "codex.rate_limits",
        "rate_limits": own,
        "additional_rate_limits": {"Spark": {"primary": {"used_percent": 100, "reset_at": 1797000000}}},
    }
    reading = families.read(RawResponse(None, {}, AT, frame=frame))
    assert (reading.scope, reading.binding, until(reading)) == (Scope.ACCOUNT, "5h", "2026-11-29T15:00:00Z")


@pytest.mark.parametrize("status", ["quota_exhausted", "rate_limited"])
def test_status_of_an_older_log_line_is_a_refusal(status: str) -> None:
    line = {"ts": "2026-11-29T12:00:00Z", "provider": "a", "type": "xai", "status": status}
    for wait, end in ((None, None), (10800, AT + 10800)):
        evidence = evidence_in_line({**line, "reset_in_seconds": wait})
        assert evidence is not None
        assert (evidence.status, evidence.blocked_until) == (Status.REJECTED, end)
