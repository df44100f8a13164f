"""The captures of fixtures/headers.json, each with the reading expected of it; and what holds for any input."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokmon import families
from tokmon.headers import parse_rfc3339, rfc3339
from tokmon.model import Evidence, Reading, Scope, Status
from tokmon.snapshot import overage_json, window_json

_FIXTURES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "fixtures" / "headers.json").read_text("utf-8"))[
    "fixtures"
]
_UNREAD = {
    "anthropic_api_200_classic",
    "anthropic_api_429_requests_no_retry_after",
}
"""Fixtures of Anthropic's other family, which is captured and not read yet."""

READ = [
    fixture
    for fixture in _FIXTURES
    if (fixture["provider_kind"] in {"anthropic_oauth", "anthropic_api"} or fixture["name"].startswith("nasty"))
    and fixture["name"] not in _UNREAD
]


def evidence(fixture: dict[str, Any]) -> Evidence:
    return Evidence(
        http_status=fixture["http_status"],
        headers={name.lower(): value for name, value in fixture["headers"].items()},
        at=parse_rfc3339(fixture["captured_at"]),
        text=fixture.get("body_excerpt") or fixture.get("error_message"),
    )


def said(reading: Reading, expected: dict[str, Any]) -> dict[str, Any]:
    """The reading in the fixture's words, as far as the fixture expects anything."""
    blocked = reading.blocked_until
    found: dict[str, Any] = {
        "status": reading.status,
        "windows": sorted((window_json(window) for window in reading.windows), key=lambda entry: str(entry["name"])),
        "binding_window": reading.binding,
        "overage": None if reading.overage is None else {"status": None, **overage_json(reading.overage)},
        "scope": reading.scope,
        "substatus": reading.substatus,
        "retry_after_s": reading.retry_after_s,
        "blocked_until": None if blocked is None else rfc3339(blocked),
        "billing": reading.billing,
    }
    return {name: found[name] for name in expected}


@pytest.mark.parametrize("fixture", READ, ids=[fixture["name"] for fixture in READ])
def test_a_capture_reads_as_expected(fixture: dict[str, Any]) -> None:
    reading = families.read(evidence(fixture))
    expected = {
        name: value for name, value in fixture["expected"].items() if name not in {"note", "warnings", "account_hint"}
    }
    for window in expected["windows"]:
        if window.pop("expired", None):
            found = reading.window(window["name"])
            assert found is not None
            assert found.expired(parse_rfc3339(fixture["captured_at"]))
    expected["windows"] = sorted(expected["windows"], key=lambda window: str(window["name"]))
    found_now = said(reading, expected)
    for told, wanted in zip(found_now["windows"], expected["windows"], strict=True):
        if "surpassed_threshold" not in wanted:
            told.pop("surpassed_threshold", None)  # said by the header, and not every fixture asks for it
    if "overage" in expected:
        found_now["overage"] = {name: found_now["overage"].get(name) for name in expected["overage"]}
    assert found_now == expected
    for warning in fixture["expected"].get("warnings", ()):
        assert any(line.startswith(warning) for line in reading.warnings)


def test_every_family_is_in_the_allow_list_by_its_prefixes() -> None:
    for family in families.FAMILIES:
        assert set(family.PREFIXES) <= set(families.ALLOWED_PREFIXES)


@pytest.mark.parametrize("fixture", _FIXTURES, ids=[fixture["name"] for fixture in _FIXTURES])
def test_every_rate_limit_header_of_the_fixtures_is_on_the_allow_list(fixture: dict[str, Any]) -> None:
    noise = {"content-type", "x-robots-tag", "date", "request-id", "x-request-id", "x-ds-trace-id"}
    dropped = [name for name in fixture["headers"] if not families.allowed(name.lower()) and name.lower() not in noise]
    assert [name for name in dropped if "metrics" not in name] == []


@pytest.mark.parametrize(
    "name", ["set-cookie", "authorization", "x-api-key", "llm_provider-set-cookie", "x-goog-api-key"]
)
def test_what_may_hold_a_credential_is_never_allowed(name: str) -> None:
    assert not families.allowed(name)


def _unified(**fields: str) -> dict[str, str]:
    return {f"anthropic-ratelimit-unified-{name.replace('_', '-')}": value for name, value in fields.items()}


def test_a_window_of_a_name_never_seen_is_read_like_any_other() -> None:
    headers = _unified(status="allowed") | {
        "anthropic-ratelimit-unified-30d-utilization": "0.5",
        "anthropic-ratelimit-unified-7d_next-utilization": "0.25",
    }
    reading = families.read(Evidence(200, headers, 0.0))
    assert [(window.name, window.utilization, window.scope) for window in reading.windows] == [
        ("30d", 0.5, None),
        ("7d_next", 0.25, Scope.MODEL),
    ]


@pytest.mark.parametrize("apostrophe", ["'", "\N{RIGHT SINGLE QUOTATION MARK}"])
def test_apostrophes_come_straight_and_curly(apostrophe: str) -> None:
    text = f"400 You{apostrophe}re out of extra usage. Add more at claude.ai/settings/usage and keep going."
    assert families.read(Evidence(None, {}, 0.0, text)).status is Status.NO_CREDIT


def test_a_spend_limit_says_when_access_comes_back() -> None:
    text = "You have reached your specified API usage limits. You will regain access on 2026-08-01 at 00:00 UTC."
    reading = families.read(Evidence(400, {}, 0.0, text))
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
def test_a_status_code_without_text_claims_no_more_than_it_knows(code: int, status: Status) -> None:
    assert families.read(Evidence(code, {}, 0.0)).status is status


_NAMES = st.one_of(
    st.sampled_from([name.lower() for fixture in _FIXTURES for name in fixture["headers"]]),
    st.builds("anthropic-ratelimit-unified-{}-{}".format, st.text(max_size=8), st.sampled_from(["reset", "status"])),
    st.text(max_size=30),
)
_VALUES = st.one_of(
    st.sampled_from([value for fixture in _FIXTURES for value in fixture["headers"].values()]), st.text(max_size=40)
)
_HEADERS = st.dictionaries(_NAMES, _VALUES, max_size=12)


@given(_HEADERS, st.one_of(st.none(), st.integers(100, 599)), st.one_of(st.none(), st.text(max_size=200)))
def test_arbitrary_headers_and_texts_raise_nothing(headers: dict[str, str], code: int | None, text: str | None) -> None:
    families.read(Evidence(code, headers, 1_795_327_200.0, text))


@given(st.sampled_from(READ), st.randoms())
def test_the_order_of_headers_does_not_matter(fixture: dict[str, Any], random: Any) -> None:
    seen = evidence(fixture)
    shuffled = list(seen.headers.items())
    random.shuffle(shuffled)
    assert families.read(Evidence(seen.http_status, dict(shuffled), seen.at, seen.text)) == families.read(seen)


@given(st.sampled_from(READ), _HEADERS)
def test_headers_of_nobody_change_nothing(fixture: dict[str, Any], others: dict[str, str]) -> None:
    seen = evidence(fixture)
    noise = {f"x-noise-{name}": value for name, value in others.items()}
    assert families.read(Evidence(seen.http_status, {**noise, **seen.headers}, seen.at, seen.text)) == families.read(
        seen
    )


@given(st.sampled_from(READ), st.data())
def test_removing_a_header_only_ever_removes_figures(fixture: dict[str, Any], data: st.DataObject) -> None:
    seen = evidence(fixture)
    if not seen.headers:
        return
    gone = data.draw(st.sampled_from(sorted(seen.headers)))
    fewer = {name: value for name, value in seen.headers.items() if name != gone}
    full = families.read(seen)
    for window in families.read(Evidence(seen.http_status, fewer, seen.at, seen.text)).windows:
        before = full.window(window.name)
        assert before is not None
        assert window.utilization in {None, before.utilization}
        assert window.resets_at in {None, before.resets_at}
