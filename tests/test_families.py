"""Every family against its captures, and properties of any input."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.captures import FIXTURES, differences, every_capture, expected_of, response_of
from tokmon import families
from tokmon.evidence.model import RawResponse, Scope, Status, replace
from tokmon.evidence.reading import reading_json
from tokmon.wire.instants import parse_rfc3339


@every_capture
def test_capture_is_read_as_its_fixture_expects(fixture: dict[str, Any]) -> None:
    reading = families.read(response_of(fixture))
    assert differences(reading_json(reading), expected_of(fixture)) == {}
    for warning in fixture["expected"].get("warnings", ()):
        assert any(line.startswith(warning) for line in reading.warnings)
    for window in fixture["expected"]["windows"]:
        if window.get("expired"):
            expired = reading.window(window["name"])
            assert expired is not None
            assert expired.expired(parse_rfc3339(fixture["captured_at"]))


def test_exception_in_one_family_keeps_the_readings_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_response: RawResponse) -> None:
        raise KeyError("x")

    monkeypatch.setattr(families.FAMILIES[0], "parse", fail)
    fail.__module__ = "tokmon.families.unlucky"
    headers = {"anthropic-ratelimit-unified-status": "allowed", "x-ratelimit-remaining-requests": "0"}
    reading = families.read(RawResponse(200, headers, 1_795_327_200.0))
    assert [window.name for window in reading.windows] == ["requests"]
    assert reading.warnings == ("unlucky failed: KeyError",)


def test_allow_list_contains_the_prefixes_of_every_family() -> None:
    for family in families.FAMILIES:
        assert set(family.PREFIXES) <= set(families.ALLOWED_PREFIXES)


@every_capture
def test_every_rate_limit_header_of_the_fixtures_is_on_the_allow_list(fixture: dict[str, Any]) -> None:
    noise = {"content-type", "x-robots-tag", "date", "request-id", "x-request-id", "x-ds-trace-id"}
    dropped = [name for name in fixture["headers"] if not families.allowed(name.lower()) and name.lower() not in noise]
    assert [name for name in dropped if "metrics" not in name] == []


@pytest.mark.parametrize(
    "name", ["set-cookie", "authorization", "x-api-key", "llm_provider-set-cookie", "x-goog-api-key"]
)
def test_headers_that_may_hold_a_credential_are_never_allowed(name: str) -> None:
    assert not families.allowed(name)


def _unified(**fields: str) -> dict[str, str]:
    return {f"anthropic-ratelimit-unified-{name.replace('_', '-')}": value for name, value in fields.items()}


def test_window_with_an_unknown_name_is_read() -> None:
    headers = _unified(status="allowed") | {
        "anthropic-ratelimit-unified-30d-utilization": "0.5",
        "anthropic-ratelimit-unified-7d_next-utilization": "0.25",
    }
    reading = families.read(RawResponse(200, headers, 0.0))
    assert [(window.name, window.utilization, window.scope) for window in reading.windows] == [
        ("30d", 0.5, None),
        ("7d_next", 0.25, Scope.MODEL),
    ]


@pytest.mark.parametrize("apostrophe", ["'", "\N{RIGHT SINGLE QUOTATION MARK}"])
def test_error_text_matches_with_straight_and_curly_apostrophes(apostrophe: str) -> None:
    text = f"400 You{apostrophe}re out of extra usage. Add more at claude.ai/settings/usage and keep going."
    assert families.read(RawResponse(None, {}, 0.0, text)).status is Status.NO_CREDIT


@pytest.mark.parametrize(
    ("text", "status", "scope", "wait"),
    [
        ("429 Rate limit reached. Please try again in 6.35s. Need more?", "rejected", "request", 6.35),
        ('429: {"message":"TPD: Please try again in 10m4.8s. Need","code":"x"}', "rejected", "request", 604.8),
        ("429 Please try again in 250ms.", "rejected", "request", 0.25),
        ("429 Please try again in 5 minutes", "rejected", "request", 300),
        ("429 Please try again in 5 somethings", "rejected", "request", None),
        ("Server requested 7835s retry delay (max: 60s). 429 {}", "rejected", "account", 7835),
        (
            '403 "Your team f-1 has either used all available credits or reached its limit."',
            "no_credit",
            "account",
            None,
        ),
        ('429 "You\'ve used all the included free usage for model m."', "rejected", "account", None),
        ('team-a API error (401): {"message":"no"}', "invalid_key", "account", None),
        ("seat2 API error (503): {}", "overloaded", "provider", None),
        ('{"error":{"code":403,"message":"x","status":"PERMISSION_DENIED"}}', "unknown", "account", None),
        (
            '{"error":{"message":"{\\n \\"error\\": {\\n \\"status\\": \\"RESOURCE_EXHAUSTED\\"}}"}}',
            "rejected",
            "request",
            None,
        ),
        ("Too Many Requests", "rejected", "request", None),
        ("Request was aborted", "unknown", "request", None),
        ("Overloaded", "overloaded", "provider", None),
        ("429 The engine is currently overloaded, please try again later", "overloaded", "provider", None),
        ("429 Please retry after 86 seconds.", "rejected", "request", 86),
        ("429 max RPM: 3, please try again after 1 seconds", "rejected", "request", 1),
        ("429 5-hour usage limit reached. Resets in 7min.", "rejected", "account", 420),
        ("429 Monthly usage limit reached. Resets in 12 days.", "rejected", "account", 1_036_800),
    ],
)
def test_error_text_as_pi_shows_it_gives_status_scope_and_wait(
    text: str, status: str, scope: str, wait: float | None
) -> None:
    reading = families.read(RawResponse(None, {}, 1_795_327_200.0, text))
    assert (reading.status, reading.scope, reading.retry_after_s) == (status, scope, wait)
    assert (reading.blocked_until is None) == (wait is None)


_QUOTED = "overloaded_error: authentication_error, rate_limit_exceeded (1002) (1008), exceeded your weekly goal [1302]"


@pytest.mark.parametrize("code", [400, 404, 405, 413, 415, 422])
@pytest.mark.parametrize("form", ["{}", '{{"error":{{"type":"invalid_request_error","message":"{}"}}}}'])
def test_words_quoted_in_a_bad_request_do_not_set_the_status(code: int, form: str) -> None:
    text = form.format(_QUOTED)
    for response in (RawResponse(code, {}, 0.0, text), RawResponse(None, {}, 0.0, f"{code} {text}")):
        reading = families.read(response)
        assert (reading.status, reading.substatus) == (Status.ALLOWED, "request_error")


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"message","content":[{"type":"text","text":"overloaded_error, insufficient_quota"}]}',
        'event: content_block_delta\ndata: {"delta":{"text":"{\\"type\\":\\"error\\"}: credit balance is too low"}}',
        '{"id":"resp_1","error":null,"output":[{"text":"You exceeded your current quota"}]}',
        '{"base_resp":{"status_code":0,"status_msg":"success"}}',
    ],
)
def test_served_answer_that_quotes_an_error_is_allowed(text: str) -> None:
    assert families.read(RawResponse(200, {}, 0.0, text)).status is Status.ALLOWED


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ('event: error\ndata: {"type":"error","error":{"type":"rate_limit_error","message":"x"}}', "rejected"),
        ('event: error\ndata: {"type":"error","error":{"type":"authentication_error"}}', "invalid_key"),
        ('data: {"choices":[]}\n\ndata: {"error":{"code":429,"message":"Provider returned error"}}', "rejected"),
        ('{"type":"response.failed","response":{"error":{"code":"rate_limit_exceeded"}}}', "rejected"),
        ('{"base_resp":{"status_code":1002,"status_msg":"rate limit"}}', "rejected"),
        ("Overloaded", "overloaded"),
        ("terminated", "network_error"),
        ("Request was aborted", "allowed"),
    ],
)
def test_error_inside_a_stream_sets_the_status(text: str, status: str) -> None:
    assert families.read(RawResponse(200, {}, 0.0, text)).status == status


@pytest.mark.parametrize("text", ["terminated", "other side closed", "WebSocket closed 1006", "upstream connect error"])
def test_broken_connection_is_a_network_error(text: str) -> None:
    assert families.read(RawResponse(None, {}, 0.0, text)).status is Status.NETWORK_ERROR


def test_429_with_headers_that_allow_concerns_only_the_request() -> None:
    reading = families.read(RawResponse(429, _unified(status="allowed", **{"5h_utilization": "0.2"}), 0.0))
    assert (reading.status, reading.scope) == (Status.REJECTED, Scope.REQUEST)


def test_conflicting_duplicate_values_give_the_worst_one_and_a_warning() -> None:
    reading = families.read(
        RawResponse(200, _unified(status="allowed, allowed_warning", **{"5h_utilization": "0.2, 0.7"}), 0.0)
    )
    assert reading.status is Status.ALLOWED_WARNING
    assert reading.windows[0].utilization == 0.7
    assert [warning.partition(":")[0] for warning in reading.warnings] == [
        "conflicting utilization",
        "conflicting unified status",
    ]


@pytest.mark.parametrize(
    ("headers", "warning"),
    [
        ({"retry-after": "soon"}, "unparseable retry-after: response = soon"),
        (_unified(overage_utilization="much"), "unparseable utilization: overage = much"),
        (_unified(overage_reset="never"), "unparseable reset: overage = never"),
        ({"x-quota-snapshot-chat": "garbage"}, "unparseable quota: chat = garbage"),
        ({"x-codex-primary-used-percent": "x"}, "unparseable used-percent: primary = x"),
    ],
)
def test_unparseable_value_gives_a_warning_with_the_raw_value(headers: dict[str, str], warning: str) -> None:
    assert families.read(RawResponse(200, headers, 0.0)).warnings == (warning,)


def test_status_words_are_read_in_any_case() -> None:
    reading = families.read(RawResponse(200, _unified(status="Allowed", **{"5h_status": "ALLOWED"}), 0.0))
    assert (reading.status, reading.windows[0].status) == (Status.ALLOWED, "allowed")


def test_copilot_reset_with_a_utc_offset_is_read() -> None:
    headers = {"x-quota-snapshot-chat": "ent=300&rem=50.0&rst=2026-10-01T00:00:00+00:00"}
    assert families.read(RawResponse(200, headers, 0.0)).windows[0].resets_at == parse_rfc3339("2026-10-01T00:00:00Z")


def test_binding_window_behind_a_proxy_has_its_upstream_name() -> None:
    headers = _unified(status="rejected", representative_claim="five_hour", **{"5h_status": "rejected"})
    upstream = {f"llm_provider-{name}": value for name, value in headers.items()}
    reading = families.read(RawResponse(429, upstream, 0.0))
    assert reading.binding == reading.windows[0].name == "upstream:5h"


def test_served_response_with_a_full_window_names_it_as_binding() -> None:
    headers = _unified(**{"5h_status": "allowed", "7d_status": "rejected", "7d_utilization": "1.02"})
    reading = families.read(RawResponse(200, headers, 0.0))
    assert (reading.status, reading.binding) == (Status.ALLOWED_WARNING, "7d")


def test_anthropic_spend_limit_text_gives_the_end_of_the_block() -> None:
    text = "You have reached your specified API usage limits. You will regain access on 2026-08-01 at 00:00 UTC."
    reading = families.read(RawResponse(400, {}, 0.0, text))
    assert (reading.status, reading.blocked_until) == (Status.NO_CREDIT, parse_rfc3339("2026-08-01T00:00:00Z"))


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (200, Status.ALLOWED),
        (400, Status.UNKNOWN),
        (401, Status.INVALID_KEY),
        (402, Status.NO_CREDIT),
        (403, Status.UNKNOWN),
        (429, Status.REJECTED),
        (500, Status.UNKNOWN),
        (529, Status.OVERLOADED),
    ],
)
def test_bare_status_code_sets_a_status_only_where_it_is_certain(code: int, status: Status) -> None:
    assert families.read(RawResponse(code, {}, 0.0)).status is status


_NAMES = st.one_of(
    st.sampled_from([name.lower() for fixture in FIXTURES for name in fixture["headers"]]),
    st.builds("anthropic-ratelimit-unified-{}-{}".format, st.text(max_size=8), st.sampled_from(["reset", "status"])),
    st.text(max_size=30),
)
_VALUES = st.one_of(
    st.sampled_from([value for fixture in FIXTURES for value in fixture["headers"].values()]), st.text(max_size=40)
)
_HEADERS = st.dictionaries(_NAMES, _VALUES, max_size=12)


@given(_HEADERS, st.one_of(st.none(), st.integers(100, 599)), st.one_of(st.none(), st.text(max_size=200)))
def test_arbitrary_headers_and_texts_raise_nothing(headers: dict[str, str], code: int | None, text: str | None) -> None:
    families.read(RawResponse(code, headers, 1_795_327_200.0, text))


@given(st.sampled_from(FIXTURES), st.randoms())
def test_the_order_of_headers_does_not_matter(fixture: dict[str, Any], random: Any) -> None:
    response = response_of(fixture)
    shuffled = list(response.headers.items())
    random.shuffle(shuffled)
    assert families.read(replace(response, headers=dict(shuffled))) == families.read(response)


@given(st.sampled_from(FIXTURES), _HEADERS)
def test_unknown_headers_do_not_change_the_reading(fixture: dict[str, Any], others: dict[str, str]) -> None:
    response = response_of(fixture)
    noise = {f"x-noise-{name}": value for name, value in others.items()}
    assert families.read(replace(response, headers={**noise, **response.headers})) == families.read(response)


@given(st.sampled_from(FIXTURES), st.data())
def test_removing_a_header_never_adds_or_changes_a_figure(fixture: dict[str, Any], data: st.DataObject) -> None:
    response = response_of(fixture)
    if not response.headers:
        return
    removed = data.draw(st.sampled_from(sorted(response.headers)))
    fewer = {name: value for name, value in response.headers.items() if name != removed}
    full = families.read(response)
    for window in families.read(replace(response, headers=fewer)).windows:
        # A slot without its length is named after the slot.
        before = full.window(window.name) or next(
            other for other in full.windows if other.slot and (other.slot, other.scope) == (window.slot, window.scope)
        )
        assert window.utilization in {None, before.utilization}
        # If a reset is sent as an instant and as a wait, only the wait is left, which differs by some seconds.
        assert window.resets_at is None or window.resets_at == pytest.approx(before.resets_at, abs=120)
        assert window.limit in {None, before.limit}
        assert window.remaining in {None, before.remaining}


@given(st.sampled_from(FIXTURES), st.floats(-1e6, 1e6))
def test_relative_resets_move_with_the_capture_and_absolute_resets_do_not(
    fixture: dict[str, Any], shift: float
) -> None:
    response = response_of(fixture)
    moved = families.read(replace(response, at=response.at + shift))
    for before, after in zip(families.read(response).windows, moved.windows, strict=True):
        assert before.utilization == after.utilization
        if before.resets_at is None or after.resets_at is None:
            assert before.resets_at == after.resets_at
        else:
            assert after.resets_at - before.resets_at == pytest.approx(0, abs=1e-3) or (
                after.resets_at - before.resets_at == pytest.approx(shift, abs=1e-3)
            )


@given(st.sampled_from(FIXTURES))
def test_header_names_are_read_in_any_case(fixture: dict[str, Any]) -> None:
    upper_case = {**fixture, "headers": {name.upper(): value for name, value in fixture["headers"].items()}}
    assert families.read(response_of(upper_case)) == families.read(response_of(fixture))
