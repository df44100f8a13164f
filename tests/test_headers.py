import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokmon.evidence import values
from tokmon.wire.instants import parse_rfc3339, rfc3339


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.42", 0.42), ("1.13", 1.13), ("1.0", 1.0), ("42%", 0.42), ("0", 0.0), ("0.25, 0.25", 0.25), (" .5 ", 0.5)],
)
def test_fraction_is_parsed_in_every_form(text: str, value: float) -> None:
    assert values.fraction(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "???", "-0.1", "nan", "inf", "1e999", "0x10", "1_000", None, "%", ","])
def test_invalid_fraction_is_none_and_not_zero(text: str | None) -> None:
    assert values.fraction(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "1795334400",
        "1795334400000",
        "2026-11-22T08:00:00Z",
        "2026-11-22t08:00:00z",
        "2026-11-22T10:00:00+02:00",
        "2026-11-22T08:00:00.000000+00:00",
        "Sun, 22 Nov 2026 08:00:00 GMT",
        "1795334400, 1795334400",
    ],
)
def test_instant_is_parsed_in_every_form(text: str) -> None:
    assert values.instant(text) == 1795334400


@pytest.mark.parametrize(
    "text", ["0", "", "soon", "17953344", "2026-13-40T00:00:00Z", "Mon, 99 Foo 2026", "99999999999"]
)
def test_invalid_instant_is_none(text: str) -> None:
    assert values.instant(text) is None


@pytest.mark.parametrize(
    ("text", "seconds"), [("30", 30), ("0", 0), ("Sun, 22 Nov 2026 08:00:30 GMT", 30), ("-5", None), ("x", None)]
)
def test_retry_after_is_parsed_in_every_form(text: str, seconds: float | None) -> None:
    assert values.retry_after(text, 1795334400) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("4ms", 0.004),
        ("0s", 0),
        ("6m0s", 360),
        ("1m30s", 90),
        ("1h2m3s", 3723),
        ("2m59.56s", 179.56),
        ("285ms", 0.285),
        ("1.56152477s", 1.56152477),
        ("250ms, 250ms", 0.25),
    ],
)
def test_go_duration_is_parsed(text: str, seconds: float) -> None:
    assert values.duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "6", "m", "6m 0s", "-6s", "6 s", "1d", "soon", "9" * 400 + "h", None])
def test_invalid_duration_is_none(text: str | None) -> None:
    assert values.duration(text) is None


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("26.5", 26.5),
        ("33011.382867", 33011.382867),
        ("1", 1),
        ("0", 0),
        ("1m30s", 90),
        ("1795334430", 30),
        ("1795334430000", 30),
        ("2026-11-22T08:00:30Z", 30),
        ("Sun, 22 Nov 2026 08:00:30 GMT", 30),
    ],
)
def test_reset_is_relative_or_absolute_depending_on_its_form(text: str, at: float) -> None:
    assert values.reset(text, 1795334400) == pytest.approx(1795334400 + at)


@pytest.mark.parametrize("text", ["", "-5", "never", "1e99", "nan", None])
def test_invalid_reset_is_none(text: str | None) -> None:
    assert values.reset(text, 1795334400) is None


@pytest.mark.parametrize(
    ("text", "count"),
    [("1000", 1000), ("30,000", 30000), ("1,234,567", 1234567), ("30,000, 30,000", 30000), ("5, 5", 5), ("2.5", 2.5)],
)
def test_count_is_parsed_in_every_form(text: str, count: float) -> None:
    assert values.count(text) == count


@pytest.mark.parametrize("text", ["-1", "", "many", "3,00", "1,2345", "٣", None])
def test_invalid_count_is_none(text: str | None) -> None:
    assert values.count(text) is None


@pytest.mark.parametrize(("text", "fraction"), [("22", 0.22), ("12.5", 0.125), ("100.0", 1.0), ("31.3%", 0.313)])
def test_percentage_is_parsed_as_a_fraction(text: str, fraction: float) -> None:
    assert values.percent(text) == pytest.approx(fraction)


@pytest.mark.parametrize("text", ["0,42", "42", "1e3"])
def test_text_that_only_resembles_a_fraction_is_none(text: str) -> None:
    assert values.fraction(text) is None


@pytest.mark.parametrize(
    ("limit", "remaining", "used"),
    [(100, 25, 0.75), (100, 0, 1.0), (None, 0, 1.0), (None, 5, None), (0, None, None), (30, 40, 0.0), (0, 5, None)],
)
def test_used_fraction_is_computed_from_limit_and_remaining(
    limit: float | None, remaining: float | None, used: float | None
) -> None:
    assert values.used_fraction(limit, remaining) == used


@given(st.text(max_size=60))
def test_no_header_value_raises(text: str) -> None:
    for read in (
        values.number,
        values.fraction,
        values.instant,
        values.flag,
        values.first_value,
        values.count,
        values.duration,
    ):
        value = read(text)
        assert not isinstance(value, float) or math.isfinite(value)


@given(st.integers(946_684_800_000, 4_102_444_800_000))
def test_formatted_instant_parses_to_itself(milliseconds: int) -> None:
    assert parse_rfc3339(rfc3339(milliseconds / 1000)) == pytest.approx(milliseconds / 1000, abs=1e-6)
