"""Instants: epoch seconds in Python, RFC 3339 in UTC on the wire and on disk. Pure."""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

# A number outside of these years is not an instant: it is a zero, a millisecond count or a mistake.
EARLIEST: Final = 946_684_800.0
LATEST: Final = 4_102_444_800.0
RFC3339: Final = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$", re.IGNORECASE | re.ASCII)


@lru_cache(256)
def rfc3339(when: float) -> str:
    """`2026-04-06T14:23:01Z`, with a fraction only where there is one (to the millisecond)."""
    moment = datetime.fromtimestamp(round(when, 3), UTC)
    return moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds").replace("+00:00", "Z")


def parse_rfc3339(text: str) -> float:
    """Epoch seconds of an RFC 3339 instant with its zone, of this century; ValueError otherwise."""
    if not RFC3339.match(text):
        raise ValueError(f"`{text[:40]}` is not an RFC 3339 instant")
    try:
        seconds = datetime.fromisoformat(text.upper()).timestamp()
    except OverflowError as error:
        raise ValueError(f"`{text[:40]}` is out of range") from error
    if not EARLIEST <= seconds <= LATEST:
        raise ValueError(f"`{text[:40]}` is not between the years 2000 and 2100")
    return seconds
