"""Header values as people send them: numbers, durations, instants. Pure; None is "not said" or "cannot be".

Sources for the forms: the vendors' documentation and captured responses; see docs/families.md.
"""

import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from functools import lru_cache

from tokmon.evidence.model import Window
from tokmon.wire.instants import EARLIEST, LATEST, RFC3339

# Values recur from response to response: what is read from them is remembered, within bounds.
_LONG = 300
"""Digits beyond which a number is no finite one."""

_NO_FRACTION = 20.0
"""A fraction used may exceed 1; beyond this it is something else."""

_MILLISECONDS = 100_000_000_000.0

# A merged duplicate is "a, a"; an HTTP date holds a comma of its own, after a day name.
_DAY_NAME = re.compile(r"^(mon|tue|wed|thu|fri|sat|sun)", re.IGNORECASE)
_NUMBER = re.compile(r"^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$", re.IGNORECASE | re.ASCII)
_PLAIN_FRACTION = re.compile(r"^[01]\.\d{1,17}\Z", re.ASCII)
_THOUSANDS = re.compile(r"^\d{1,3}(,\d{3})+(, +\d{1,3}(,\d{3})+)*$", re.ASCII)
_DURATION = re.compile(r"^(\d+(\.\d+)?(h|ms|m|s|us|µs|ns))+$", re.ASCII)
_PARTS = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|us|µs|ns)", re.ASCII)
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_DURATION_ENDS = frozenset("smh ")


def first_value(value: str | None) -> str | None:
    """The value of a header that may arrive merged from duplicates (`a, a`): the first one, stripped."""
    if value is None:
        return None
    if "," in value and not _DAY_NAME.match(value.strip()):
        first, *others = (part.strip() for part in value.split(","))
        # `0,42` is no duplicate, and nobody knows what it is.
        if ", " in value or all(part == first for part in others):
            return first or None
    return value.strip() or None


def number(value: str | None) -> float | None:
    """A finite decimal number; junk, infinities and the empty string give None."""
    if value is None or (len(value) < _LONG and value.isdigit() and value.isascii()):
        return None if value is None else float(value)
    text = first_value(value)
    if text is None or not _NUMBER.match(text):
        return None
    found = float(text)
    return found if math.isfinite(found) else None


def fraction(value: str | None) -> float | None:
    """A fraction used, `0.42` or `42%`; never negative, and unclamped above 1."""
    if value is not None and _PLAIN_FRACTION.match(value):
        return float(value)
    text = first_value(value)
    if text is None:
        return None
    if text.endswith("%"):
        return percent(text)
    found = number(text)
    return found if found is not None and 0 <= found < _NO_FRACTION else None


def count(value: str | None) -> float | None:
    """A count of requests or tokens, never negative; with thousands separators or without (`30,000`)."""
    if value is not None and "," in value and _THOUSANDS.match(value.strip()):
        value = value.strip().split(", ", 1)[0].replace(",", "")
    found = number(value)
    if found is None or found < 0:
        return None
    return int(found) if found.is_integer() else found


def percent(value: str | None) -> float | None:
    """A percentage as a fraction, never negative: `12.5` is 0.125."""
    found = number((first_value(value) or "").removesuffix("%"))
    return round(found / 100, 9) if found is not None and found >= 0 else None


def unparseable(what: str, said: Mapping[str, str], read: Mapping[str, float | None]) -> list[str]:
    """A warning with the raw value for each field of `what` that was said and could not be read. Empty is not said."""
    return [
        f"unparseable {field}: {what} = {said[field][:40]}"
        for field, value in read.items()
        if value is None and (said.get(field) or "").strip()
    ]


def counted_window(name: str, said: Mapping[str, str], at: float) -> tuple[Window, list[str]]:
    """A window that is told in counts (`limit`, `remaining`, `reset`), and what of it could not be understood."""
    limit, remaining = count(said.get("limit")), count(said.get("remaining"))
    resets_at = reset(said.get("reset"), at)
    window = Window(name, used_fraction(limit, remaining), resets_at, limit=limit, remaining=remaining)
    if limit is not None and remaining is not None and resets_at is not None:
        return window, []
    return window, unparseable(name, said, {"limit": limit, "remaining": remaining, "reset": resets_at})


def plausible(when: float) -> float | None:
    """The instant, or None if it cannot be one of a reset."""
    return when if EARLIEST <= when <= LATEST else None


def used_fraction(limit: float | None, remaining: float | None) -> float | None:
    """The fraction used, from counts: None where it cannot be told, 1 where nothing remains of whatever there is."""
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
    """An absolute instant: epoch seconds, epoch milliseconds, RFC 3339 or an HTTP date. Zero is "not said"."""
    text = first_value(value)
    if text is None:
        return None
    found = None if text[4:5] == "-" else number(text)
    if found is None:
        found = _dated(text)
    elif found >= _MILLISECONDS:
        found /= 1000
    return found if found is not None and EARLIEST <= found <= LATEST else None


def _dated(text: str) -> float | None:
    try:
        if RFC3339.match(text):
            return datetime.fromisoformat(text.upper()).timestamp()
        if not _DAY_NAME.match(text):
            return None
        # Imported here: rarely needed, and it would cost every sidecar a mebibyte.
        from email.utils import parsedate_to_datetime  # noqa: PLC0415

        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None


def duration(value: str | None) -> float | None:
    """Seconds of a Go duration (`1h2m3s`, `2m59.56s`, `285ms`, `0s`)."""
    text = first_value(value)
    if text is None or not _DURATION.match(text):
        return None
    found = sum(float(amount) * _UNITS[unit] for amount, unit in _PARTS.findall(text))
    return found if found <= LATEST else None


def reset(value: str | None, at: float) -> float | None:
    """An absolute instant of any form: an `instant`, or a duration or a count of seconds from `at` on."""
    if value is None:
        return None
    wait = duration(value) if value[-1:] in _DURATION_ENDS else None
    if wait is None:
        seconds = None if value[4:5] == "-" else number(value)
        if seconds is None or seconds >= EARLIEST:
            return instant(value)
        wait = seconds if seconds >= 0 else None
    return None if wait is None else plausible(at + wait)


def local_instant(text: str, utc_offset_h: float) -> float | None:
    """The instant of a local time without zone (`2026-08-22 11:16:11`), where the zone is known otherwise."""
    try:
        moment = datetime.fromisoformat(text).replace(tzinfo=timezone(timedelta(hours=utc_offset_h)))
    except ValueError:
        return None
    return plausible(moment.timestamp())


def retry_after(value: str | None, at: float) -> float | None:
    """Seconds to wait from `at`: RFC 9110 `retry-after`, a count of seconds or an HTTP date."""
    seconds = number(value)
    if seconds is not None:
        return seconds if 0 <= seconds <= LATEST else None
    when = instant(value)
    return None if when is None else max(0.0, when - at)
