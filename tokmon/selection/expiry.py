"""When what is known of an account changes by itself: by its age, or by what it said of its end. Pure."""

import math
from collections.abc import Iterable, Iterator
from typing import Final

from tokmon.evidence.log_line import CHECK
from tokmon.evidence.snapshot import Account
from tokmon.selection.assessment import CHECK_S, DENIED_OVER_S, PASSING_S, PROBE_S, TURN_S, over_at

_AFTER_S: Final = 0.001
"""Of some things the last instant counts, so that both it and the moment after it are looked at."""


def changes_at(account: Account | None, now: float) -> float:
    """The next instant at which something of it ceases to count; infinity where nothing does.

    Without the resets of its windows, and without the burn, which changes all the time.
    """
    return math.inf if account is None else next_of(_ends(account), now)


def next_of(ends: Iterable[float], now: float) -> float:
    """The first of these ends that is still to come, or the moment after it; infinity where there is none."""
    return min((at for end in ends for at in (end, end + _AFTER_S) if at > now), default=math.inf)


def _ends(account: Account) -> Iterator[float]:
    past = account.history
    for said in (past.by_source, past.key_refusals, past.overloads, account.models):
        yield from map(over_at, said.values())
    for source, seen in past.key_refusals.items():
        yield seen.stamp.ts + PROBE_S
        if source in {CHECK, "probe"}:
            yield seen.stamp.ts + DENIED_OVER_S
    if past.network_error is not None:
        yield past.network_error.stamp.ts + PASSING_S
    if past.last_failed_check is not None:
        yield past.last_failed_check.ts + CHECK_S
    if past.last_served is not None:
        yield past.last_served.ts + PROBE_S
    if account.overage_evidence is not None:
        yield account.overage_evidence.stamp.ts + TURN_S
    for each in account.windows.values():
        if each.window.resets_at is not None:
            yield each.window.resets_at + TURN_S
