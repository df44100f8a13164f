"""What a session would do to an account: each window projected to the end of the session, from measured burn.

A burn rate is a fraction of a window an hour, measured between samples of one and the same window (its reset tells
them apart). What an account burns without us goes on; a session of ours adds what sessions have been seen to burn.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from tokmon.history import Sample
from tokmon.model import Window
from tokmon.snapshot import Account

HOUR: Final = 3600.0
_RECENT_S: Final = 6 * HOUR
_SAME_S: Final = 900.0
"""Resets that differ by less are of one window."""

_PERIOD: Final = re.compile(r"^(\d+)([hd])$")
_UNITS: Final = {"h": HOUR, "d": 24 * HOUR}
TYPICAL: Final = {"5h": 0.10, "7d": 0.012}
"""What a session burns an hour where none has been seen yet: a tenth of 5 h, an eightieth of a week."""

WATCHED: Final = ("5h", "7d")


class Burn(msgspec.Struct, frozen=True):
    """Fractions of a window an hour: of the account as it is used now, and of one session."""

    account: Mapping[str, float]
    session: Mapping[str, float]


class Projection(msgspec.Struct, frozen=True):
    """A window at the end of the session. `hits_in_s` is when it would be used up, None if not within the session."""

    name: str
    now: float
    then: float
    hits_in_s: float | None
    assumed: bool
    """Whether nothing is known of it now, so that it is taken to be fresh."""


def burn_of(account: Account | None, session: Mapping[str, float], now: float) -> Burn:
    """The burn of an account of late; 0 where no two samples of one window are recent enough."""
    rates = {name: rate(account.history.samples(name) if account else (), now) or 0.0 for name in WATCHED}
    return Burn(rates, session)


def typical_session(accounts: Iterable[Account], now: float) -> dict[str, float]:
    """What a session burns an hour: the mean over the accounts that are burning, else the default."""
    found: dict[str, float] = {}
    known = list(accounts)
    for name in WATCHED:
        rates = [burned for account in known if (burned := rate(account.history.samples(name), now))]
        found[name] = sum(rates) / len(rates) if rates else TYPICAL[name]
    return found


def rate(samples: Sequence[Sample], now: float) -> float | None:
    """Fraction an hour over the recent samples of the newest window; None where there are not two.

    A decrease is legal (a provider corrects itself): what counts is first and last.
    """
    recent = [sample for sample in samples if now - sample.ts <= _RECENT_S]
    if len(recent) < 2:  # noqa: PLR2004 - a rate needs two
        return None
    last = recent[-1]
    same = [sample for sample in recent if _same(sample.resets_at, last.resets_at)]
    span = last.ts - same[0].ts
    if span < _SAME_S:
        return None
    return max(0.0, (last.utilization - same[0].utilization) / span * HOUR)


def _same(one: float | None, other: float | None) -> bool:
    return one is None or other is None or abs(one - other) < _SAME_S


def project(name: str, window: Window | None, burn: Burn, hours: float, now: float) -> Projection:
    """The window at the end of a session of so many hours that starts now.

    A window that starts afresh within the session counts up to its reset, and then anew.
    """
    used = None if window is None else window.utilization
    assumed = used is None
    used = used or 0.0
    an_hour = max(burn.account.get(name, 0.0), burn.session.get(name, 0.0))
    left = None if window is None or window.resets_at is None else (window.resets_at - now) / HOUR
    counted = hours if left is None or left >= hours else max(0.0, left)
    at_reset = used + an_hour * counted
    hits = None if an_hour <= 0 or at_reset < 1 else max(0.0, (1 - used) / an_hour) * HOUR
    if used >= 1:
        hits = 0.0
    then = at_reset if counted == hours else an_hour * (hours - counted)
    period = _period(name)
    if hits is None and counted < hours and period is not None and an_hour * (hours - counted) >= 1:
        hits = (counted + 1 / an_hour) * HOUR
    return Projection(name, used, then, hits, assumed)


def _period(name: str) -> float | None:
    found = _PERIOD.match(name)
    return None if found is None else float(found[1]) * _UNITS[found[2]]


def dying(window: Window | None, now: float) -> float:
    """How urgent it is to use the window: what remains of it over the hours until that is lost; 0 where unknown."""
    if window is None or window.utilization is None or window.resets_at is None:
        return 0.0
    hours = max(0.25, (window.resets_at - now) / HOUR)
    return max(0.0, 1 - window.utilization) / hours
