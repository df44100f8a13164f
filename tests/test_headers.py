import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokmon import headers


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.42", 0.42), ("1.13", 1.13), ("42%", 0.42), ("0", 0.0), ("0.25, 0.25", 0.25), (" .5 ", 0.5)],
)
def test_fractions(text: str, value: float) -> None:
    assert headers.fraction(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "???", "-0.1", "nan", "inf", "1e999", "0x10", "1_000", None, "%", ","])
def test_what_is_no_fraction_is_none_and_never_zero(text: str | None) -> None:
    assert headers.fraction(text) is None


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
def test_instants_in_every_form(text: str) -> None:
    assert headers.instant(text) == 1795334400


@pytest.mark.parametrize(
    "text", ["0", "", "soon", "17953344", "2026-13-40T00:00:00Z", "Mon, 99 Foo 2026", "99999999999"]
)
def test_what_is_no_instant_is_none(text: str) -> None:
    assert headers.instant(text) is None


@pytest.mark.parametrize(
    ("text", "seconds"), [("30", 30), ("0", 0), ("Sun, 22 Nov 2026 08:00:30 GMT", 30), ("-5", None), ("x", None)]
)
def test_waiting_times(text: str, seconds: float | None) -> None:
    assert headers.retry_after(text, 1795334400) == seconds


@given(st.text(max_size=60))
def test_no_text_raises(text: str) -> None:
    for read in (headers.number, headers.fraction, headers.instant, headers.flag, headers.single):
        value = read(text)
        assert not isinstance(value, float) or math.isfinite(value)


@given(st.integers(946_684_800_000, 4_102_444_800_000))
def test_an_instant_written_reads_as_itself(milliseconds: int) -> None:
    assert headers.parse_rfc3339(headers.rfc3339(milliseconds / 1000)) == pytest.approx(milliseconds / 1000, abs=1e-6)
