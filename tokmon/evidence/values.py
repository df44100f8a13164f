"""Parsers for header values: numbers, fractions, durations, instants. They return None for missing or wrong values.

Sources of the forms: the vendors' documentation and captured responses; see docs/families.md.
"""

import math
import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache

from tokmon.evidence.model import Window
from tokmon.wire.instants import EARLIEST, LATEST, RFC3339

NO_WINDOW = "no_window"
"""The substatus of a usage endpoint's answer without a window of the account that has a figure."""

_EXACT_DIGITS = 15
"""A number of so many digits is exact as a float."""

_MAX_DIGITS = 300
"""A number with more digits is not finite as a float."""

_MAX_FRACTION = 20.0
"""A fraction used may exceed 1. A value of this size is something else."""

_DAY_MINUTES = 1440

_MILLISECONDS = 100_000_000_000.0

# A merged duplicate is "a, a"; an HTTP date has a comma of its own, after the name of the day.
_DAY_NAME = re.compile(r"^(mon|tue|wed|thu|fri|sat|sun)", re.IGNORECASE)
_NUMBER = re.compile(r"^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$", re.IGNORECASE | re.ASCII)
_PLAIN_FRACTION = re.compile(r"^[01]\.\d{1,17}\Z", re.ASCII)
_THOUSANDS = re.compile(r"^\d{1,3}(,\d{3})+(, +\d{1,3}(,\d{3})+)*$", re.ASCII)
_DURATION = re.compile(r"^(\d+(\.\d+)?(h|ms|m|s|us|µs|ns))+$", re.ASCII)
_PARTS = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|us|µs|ns)", re.ASCII)
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_DURATION_ENDS = frozenset("smh ")


def first_value(value: str | None) -> str | None:
    """The first value of a header that proxies may have merged from duplicates (`a, a`), stripped."""
    if value is None:
        return None
    if "," in value and not _DAY_NAME.match(value.strip()):
        first, *others = (part.strip() for part in value.split(","))
        # `0,42` is not a duplicate: it may be a decimal comma.
        if ", " in value or all(part == first for part in others):
            return first or None
    return value.strip() or None


def number(value: str | None) -> float | None:
    """A finite decimal number."""
    if value is None or (len(value) < _MAX_DIGITS and value.isdigit() and value.isascii()):
        return None if value is None else float(value)
    text = first_value(value)
    if text is None or not _NUMBER.match(text):
        return None
    parsed = float(text)
    return parsed if math.isfinite(parsed) else None


def fraction(value: str | None) -> float | None:
    """A fraction used, `0.42` or `42%`: not negative, unclamped above 1."""
    if value is not None and _PLAIN_FRACTION.match(value):
        return float(value)
    text = first_value(value)
    if text is None:
        return None
    if text.endswith("%"):
        return percent(text)
    parsed = number(text)
    return parsed if parsed is not None and 0 <= parsed < _MAX_FRACTION else None


def count(value: str | None) -> float | None:
    """A count of requests or tokens, not negative, with or without thousands separators (`30,000`)."""
    if value is None:
        return None
    if len(value) <= _EXACT_DIGITS and value.isdigit() and value.isascii():
        return int(value)
    if "," in value and _THOUSANDS.match(value.strip()):
        value = value.strip().split(", ", 1)[0].replace(",", "")
    parsed = number(value)
    if parsed is None or parsed < 0:
        return None
    return int(parsed) if parsed.is_integer() else parsed


def percent(value: str | None) -> float | None:
    """A percentage as a fraction, not negative: `12.5` gives 0.125."""
    parsed = percent_left(value)
    return parsed if parsed is not None and parsed >= 0 else None


def percent_left(value: str | None) -> float | None:
    """The percentage that remains as a fraction, negative once more than all is used: `-0.33` gives -0.0033."""
    parsed = number((first_value(value) or "").removesuffix("%"))
    return None if parsed is None else round(parsed / 100, 9)


def count_left(value: str | None, limit: float | None) -> float | None:
    """A count that remains: negative once more than the limit is used. Without a limit, -1 means unlimited."""
    parsed = count(value)
    if parsed is not None:
        return parsed
    parsed = number(value)
    if parsed is None:
        return None
    return (int(parsed) if parsed.is_integer() else parsed) if limit else None


def unparseable(name: str, raw: Mapping[str, str], parsed: Mapping[str, float | None]) -> list[str]:
    """A warning with the raw value for each field of window `name` that has a value and could not be parsed."""
    return [
        f"unparseable {field}: {name} = {raw[field][:40]}"
        for field, value in parsed.items()
        if value is None and (raw.get(field) or "").strip()
    ]


def counted_window(name: str, raw: Mapping[str, str], at: float) -> tuple[Window, list[str]]:
    """A window from the header values `limit`, `remaining` and `reset`, and a warning for each unparseable one.

    `at` is the instant of the capture (epoch seconds), from which a relative reset counts.
    """
    limit = count(raw.get("limit"))
    remaining = count_left(raw.get("remaining"), limit)
    resets_at = reset(raw.get("reset"), at)
    window = Window(name, used_fraction(limit, remaining), resets_at, limit=limit, remaining=remaining)
    if limit is not None and remaining is not None and resets_at is not None:
        return window, []
    return window, unparseable(name, raw, {"limit": limit, "remaining": remaining, "reset": resets_at})


def plausible(seconds: float) -> float | None:
    """The epoch seconds if they lie between the years 2000 and 2100, else None."""
    return seconds if EARLIEST <= seconds <= LATEST else None


def used_fraction(limit: float | None, remaining: float | None) -> float | None:
    """The fraction used, from counts: 1 if nothing remains (also without a limit), None if it is not known."""
    if remaining == 0:
        return 1.0
    if remaining is None or not limit:
        return None
    return round(max(0.0, (limit - remaining) / limit), 9)


def flag(value: str | None) -> bool | None:
    """`true`/`false` in any case, or `1`/`0`."""
    return {"true": True, "1": True, "false": False, "0": False}.get((first_value(value) or "").lower())


@lru_cache(256)
def instant(value: str | None) -> float | None:
    """An absolute instant: epoch seconds, epoch milliseconds, RFC 3339 or an HTTP date. Zero gives None."""
    text = first_value(value)
    if text is None:
        return None
    seconds = None if text[4:5] == "-" else number(text)
    if seconds is None:
        seconds = _from_date(text)
    elif seconds >= _MILLISECONDS:
        seconds /= 1000
    return None if seconds is None else plausible(seconds)


def _from_date(text: str) -> float | None:
    try:
        if RFC3339.match(text):
            return datetime.fromisoformat(text.upper()).timestamp()
        if not _DAY_NAME.match(text):
            return None
        # Rarely needed, and the import costs a sidecar 1 MiB.
        from email.utils import parsedate_to_datetime  # noqa: PLC0415

        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None


def period(minutes: float | None) -> str | None:
    """The name of a window of that length: `5h` for 300 minutes, `7d` for 10080, `30d` for a month of 43800.

    None if the length is not known.
    """
    if not minutes or minutes < 0:
        return None
    if minutes >= _DAY_MINUTES:
        return f"{round(minutes / _DAY_MINUTES)}d"
    return f"{round(minutes / 60)}h" if minutes % 60 == 0 else f"{round(minutes)}m"


def duration(value: str | None) -> float | None:
    """Seconds of a Go duration (`1h2m3s`, `2m59.56s`, `285ms`, `0s`)."""
    text = first_value(value)
    if text is None or not _DURATION.match(text):
        return None
    seconds = sum(float(amount) * _UNITS[unit] for amount, unit in _PARTS.findall(text))
    return seconds if seconds <= LATEST else None


def reset(value: str | None, at: float) -> float | None:
    """A reset as epoch seconds: an `instant`, or a duration or a number of seconds after `at` (epoch seconds)."""
    if value is None:
        return None
    wait = duration(value) if value[-1:] in _DURATION_ENDS else None
    if wait is None:
        seconds = None if value[4:5] == "-" else number(value)
        if seconds is None or seconds >= EARLIEST:
            return instant(value)
        wait = seconds if seconds >= 0 else None
    return None if wait is None else plausible(at + wait)


def retry_after(value: str | None, at: float) -> float | None:
    """Seconds to wait after `at`: RFC 9110 `retry-after`, a number of seconds or an HTTP date."""
    seconds = number(value)
    if seconds is not None:
        return seconds if 0 <= seconds <= LATEST else None
    end = instant(value)
    return None if end is None else max(0.0, end - at)
