"""What a session would do to an account: each window projected to the end of the session, from measured burn.

A burn rate is a fraction of a window an hour, measured between samples of one and the same window (its reset tells
them apart). What an account burns without us goes on; a session of ours adds what sessions have been seen to burn.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from tokmon.evidence.history import Sample
from tokmon.evidence.model import Window
from tokmon.evidence.snapshot import Account
from tokmon.selection.expiry import next_of

HOUR: Final = 3600.0
_WEEK_S: Final = 7 * 24 * HOUR
_RECENT_S: Final = 6 * HOUR
_LATE_S: Final = 1.25 * HOUR
_HEARD_S: Final = HOUR / 2
"""Who is on an account is heard of: after so long a silence nobody is."""

_SAME_S: Final = 900.0
"""Resets that differ by less are of one window."""

_ROOM: Final = 0.25
"""A root, so that room decides between weeks that are lost at about the same rate, and where there is hardly any."""

TYPICAL: Final = {"5h": 0.10, "7d": 0.012}
"""What a session burns an hour where none has been seen yet: a tenth of 5 h, an eightieth of a week."""

WATCHED: Final = ("5h", "7d")


class Burn(msgspec.Struct, frozen=True):
    """Fractions of a window an hour: of the account as it is used now, and of one session."""

    account: Mapping[str, float]
    session: Mapping[str, float]


class Rates(msgspec.Struct, frozen=True):
    """Of one window, in fractions an hour: over the last hours (None if not known), and of late by who is on it now."""

    mean: float | None
    late: float


class Projection(msgspec.Struct, frozen=True):
    """A window at the end of the session. `hits_in_s` is when it would be used up, None if not within the session."""

    name: str
    now: float
    then: float
    hits_in_s: float | None
    assumed: bool
    """Whether nothing is known of it now, so that it is taken to be fresh."""


def measured(account: Account | None, now: float) -> dict[str, Rates]:
    """How fast each watched window of an account burns; what cannot be measured is left out."""
    found = {}
    for name in WATCHED:
        samples = account.history.samples(name, now - _RECENT_S) if account else ()
        of_late = [sample for sample in samples if now - sample.ts <= _LATE_S]
        heard = bool(of_late) and now - of_late[-1].ts <= _HEARD_S
        found[name] = Rates(rate(samples, now), (rate(of_late, now) if heard else None) or 0.0)
    return found


def changes_at(account: Account | None, now: float) -> float:
    """The next instant (epoch seconds) at which a sample of it comes of age, so that its rates change by themselves."""
    samples = [] if account is None else [each for name in WATCHED for each in account.history.samples(name)]
    return next_of((each.ts + age for each in samples for age in (_HEARD_S, _LATE_S, _RECENT_S)), now)


def typical_session(rates: Iterable[Mapping[str, Rates]]) -> dict[str, float]:
    """What a session burns an hour: the mean over the accounts that are burning, else the default."""
    known = list(rates)
    found: dict[str, float] = {}
    for name in WATCHED:
        burning = [burned for each in known if (burned := each[name].mean)]
        found[name] = sum(burning) / len(burning) if burning else TYPICAL[name]
    return found


def rate(samples: Sequence[Sample], now: float) -> float | None:
    """Fraction an hour over the recent samples of the newest window; None where there are not two.

    A decrease is legal (a provider corrects itself): what counts is first and last.
    """
    recent = [sample for sample in samples if now - sample.ts <= _RECENT_S]
    if len(recent) < 2:  # noqa: PLR2004 - a rate needs two
        return None
    last = recent[-1]
    first = next(sample for sample in recent if _same(sample.resets_at, last.resets_at))
    span = last.ts - first.ts
    if span < _SAME_S:
        return None
    return max(0.0, (last.utilization - first.utilization) / span * HOUR)


def _same(one: float | None, other: float | None) -> bool:
    return one is None or other is None or abs(one - other) < _SAME_S


def project(name: str, window: Window | None, burn: Burn, hours: float, now: float) -> Projection:
    """The window at the end of a session of so many hours that starts now.

    A window that starts afresh within the session counts up to its reset, and then anew.
    """
    used = None if window is None else window.utilization
    assumed = used is None
    used = used or 0.0
    an_hour = burn.account.get(name, 0.0) + burn.session.get(name, 0.0)
    left = None if window is None or window.resets_at is None else (window.resets_at - now) / HOUR
    counted = hours if left is None or left >= hours else max(0.0, left)
    at_reset = used + an_hour * counted
    hits = None if an_hour <= 0 or at_reset < 1 else max(0.0, (1 - used) / an_hour) * HOUR
    if used >= 1:
        hits = 0.0
    then = at_reset if counted == hours else an_hour * (hours - counted)
    if hits is None and counted < hours and an_hour * (hours - counted) >= 1:
        hits = (counted + 1 / an_hour) * HOUR
    return Projection(name, used, then, hits, assumed)


def dying(window: Window | None, ended: float | None, now: float) -> float:
    """How urgent it is to use the week: what remains of it over the hours until that is lost; 0 where that is unknown.

    A week of which nothing stands is taken to be fresh: to its next reset where an earlier one is known (`ended`),
    else whole. Were it 0, an account that nobody has been on would stay so, and lose week after week.
    """
    if window is not None and (window.utilization is None or window.resets_at is None):
        return 0.0
    if window is not None and window.resets_at is not None:
        seconds = window.resets_at - now
    else:
        seconds = _WEEK_S if ended is None else _WEEK_S - (now - ended) % _WEEK_S
    used = 0.0 if window is None else window.utilization or 0.0
    return max(0.0, 1 - used) / max(0.25, seconds / HOUR)


def room(projections: Iterable[Projection]) -> float:
    """What would be left of 5h after the session: a week is spread over accounts that have room for its sessions."""
    return next((max(0.0, 1 - each.then) ** _ROOM for each in projections if each.name == "5h"), 1.0)
