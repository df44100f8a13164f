"""Header values as people send them: numbers, durations, instants. Pure; None is "not said" or "cannot be".

Sources for the forms: the vendors' documentation and captured responses; see docs/families.md.
"""

import math
import re
from datetime import UTC, datetime
from functools import lru_cache

# Values recur from response to response: what is read from them is remembered, within bounds.
# Anything after 2100 or before 2000 is not a reset: a zero, a millisecond count, or a mistake.
_EARLIEST = 946_684_800.0
_LATEST = 4_102_444_800.0
_MILLISECONDS = 100_000_000_000.0

# A merged duplicate is "a, a"; an HTTP date holds a comma of its own, after a day name.
_DAY_NAME = re.compile(r"^(mon|tue|wed|thu|fri|sat|sun)", re.IGNORECASE)
_NUMBER = re.compile(r"^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$", re.IGNORECASE)
_INSTANT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$", re.IGNORECASE)


def single(value: str | None) -> str | None:
    """The value of a header that may arrive merged from duplicates (`a, a`): the first one, stripped."""
    if value is None:
        return None
    if "," in value and not _DAY_NAME.match(value.strip()):
        value = value.split(",", 1)[0]
    return value.strip() or None


def number(value: str | None) -> float | None:
    """A finite decimal number; junk, infinities and the empty string give None."""
    text = single(value)
    if text is None or not _NUMBER.match(text):
        return None
    found = float(text)
    return found if math.isfinite(found) else None


def fraction(value: str | None) -> float | None:
    """A fraction used, `0.42` or `42%`; never negative, and unclamped above 1."""
    text = single(value)
    if text is None:
        return None
    if text.endswith("%"):
        found = number(text[:-1])
        return found / 100 if found is not None and found >= 0 else None
    found = number(text)
    return found if found is not None and found >= 0 else None


def flag(value: str | None) -> bool | None:
    """`true`/`false` in any case, or `1`/`0`."""
    return {"true": True, "1": True, "false": False, "0": False}.get((single(value) or "").lower())


@lru_cache(256)
def instant(value: str | None) -> float | None:
    """An absolute instant: epoch seconds, epoch milliseconds, RFC 3339 or an HTTP date. Zero is "not said"."""
    text = single(value)
    if text is None:
        return None
    found = number(text)
    if found is None:
        found = _dated(text)
    elif found >= _MILLISECONDS:
        found /= 1000
    return found if found is not None and _EARLIEST <= found <= _LATEST else None


def _dated(text: str) -> float | None:
    try:
        if _INSTANT.match(text):
            return datetime.fromisoformat(text.upper()).timestamp()
        if not _DAY_NAME.match(text):
            return None
        # Imported here: rarely needed, and it would cost every sidecar a mebibyte.
        from email.utils import parsedate_to_datetime  # noqa: PLC0415

        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None


def retry_after(value: str | None, at: float) -> float | None:
    """Seconds to wait from `at`: RFC 9110 `retry-after`, a count of seconds or an HTTP date."""
    seconds = number(value)
    if seconds is not None:
        return seconds if 0 <= seconds <= _LATEST else None
    when = instant(value)
    return None if when is None else max(0.0, when - at)


@lru_cache(256)
def rfc3339(when: float) -> str:
    """`2026-04-06T14:23:01Z`, with a fraction only where there is one (to the millisecond)."""
    moment = datetime.fromtimestamp(round(when, 3), UTC)
    return moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds").replace("+00:00", "Z")


def parse_rfc3339(text: str) -> float:
    """Epoch seconds of an RFC 3339 instant with its zone, of this century; ValueError otherwise."""
    if not _INSTANT.match(text):
        raise ValueError(f"`{text[:40]}` is not an RFC 3339 instant")
    try:
        found = datetime.fromisoformat(text.upper()).timestamp()
    except OverflowError as error:
        raise ValueError(f"`{text[:40]}` is no instant") from error
    if not _EARLIEST <= found <= _LATEST:
        raise ValueError(f"`{text[:40]}` is not of this century")
    return found
