"""When the assessment of an account changes without new evidence: a block ends, evidence gets too old. Pure."""

import math
from collections.abc import Iterable, Iterator
from typing import Final

from tokmon.evidence.log_line import CHECK
from tokmon.evidence.snapshot import Account
from tokmon.selection.current import CHECK_S, PROBE_S, TURN_S, counts_until, passes_at
from tokmon.selection.refused_keys import KEY_REFUSED_OVER_S

_AFTER_S: Final = 0.001
"""Some limits include their last instant, so both it and the moment after it are instants of change."""


def next_change(account: Account | None, now: float) -> float:
    """The next instant (epoch seconds) at which evidence of the account ceases to count; infinity where none does.

    Without the resets of its windows, and without its burn rate, which changes all the time.
    """
    return math.inf if account is None else next_after(_ends(account), now)


def next_after(ends: Iterable[float], now: float) -> float:
    """The first of these instants that is still to come, or the moment after it; infinity where there is none."""
    return min((at for end in ends for at in (end, end + _AFTER_S) if at > now), default=math.inf)


def _ends(account: Account) -> Iterator[float]:
    history = account.history
    for newest in (history.by_source, history.key_refusals, history.overloads, *account.models.values()):
        yield from (counts_until(account, evidence) for evidence in newest.values())
    yield from _ends_of_key_refusals(account)
    yield from (passes_at(failure) for failure in (history.network_error, history.throttled) if failure is not None)
    if history.last_failed_check is not None:
        yield history.last_failed_check.ts + CHECK_S
    if history.last_served is not None:
        yield history.last_served.ts + PROBE_S
    if account.overage_evidence is not None:
        yield account.overage_evidence.stamp.ts + TURN_S
    for known in account.windows.values():
        yield known.expires_at if known.window.resets_at is None else known.window.resets_at + TURN_S


def _ends_of_key_refusals(account: Account) -> Iterator[float]:
    for source, refusal in account.history.key_refusals.items():
        yield refusal.stamp.ts + PROBE_S
        if source in {CHECK, "probe"}:
            yield refusal.stamp.ts + KEY_REFUSED_OVER_S
