"""What a session would use of an account: each window projected to the session's end, from measured burn rates.

A burn rate is a fraction of a window an hour, measured between samples of one and the same window (its reset tells
windows apart). The present use of an account goes on; a new session adds what sessions were measured to burn.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tokmon.evidence.history import Sample
from tokmon.evidence.model import Window
from tokmon.evidence.snapshot import Account

HOUR: Final = 3600.0
_WEEK_S: Final = 7 * 24 * HOUR
_RECENT_S: Final = 6 * HOUR
_PRESENT_S: Final = 1.25 * HOUR
_SILENT_S: Final = HOUR / 2
"""A session in use reports its windows: after so long without a report nobody uses the account."""

_SAME_S: Final = 900.0
"""Resets that differ by less are of one window."""

_HEADROOM_ROOT: Final = 0.25
"""A root, so that headroom decides between weeks that expire at about the same rate, and where hardly any is left."""

TYPICAL: Final = {"5h": 0.10, "7d": 0.012}
"""What a session burns an hour where none was measured yet: a tenth of 5 h, an eightieth of a week."""

WATCHED: Final = ("5h", "7d")


@dataclass(frozen=True, slots=True)
class Burn:
    """Burn rates by window, in fractions an hour: of the account as it is used now, and of one session."""

    account: Mapping[str, float]
    session: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Rates:
    """Burn rates of one window, in fractions an hour: over the last hours (None if unknown), and by present use."""

    mean: float | None
    recent: float


@dataclass(frozen=True, slots=True)
class Projection:
    """A window at the end of the session. `hits_in_s` is when it would be used up, None if not within the session.

    `watched` is the window of the account that is as long; a window of some models is expected to burn as fast.
    """

    name: str
    watched: str
    now: float
    end: float
    hits_in_s: float | None
    assumed: bool
    """Its present use is unknown, and assumed to be none."""


def measure(account: Account | None, now: float) -> dict[str, Rates]:
    """The burn rates of each watched window of an account, by the window's name."""
    rates = {}
    for name in WATCHED:
        samples = account.history.samples(name, now - _RECENT_S) if account else ()
        present = [sample for sample in samples if now - sample.ts <= _PRESENT_S]
        in_use = bool(present) and now - present[-1].ts <= _SILENT_S
        rates[name] = Rates(rate(samples, now), (rate(present, now) if in_use else None) or 0.0)
    return rates


def typical_session(rates: Iterable[Mapping[str, Rates]]) -> dict[str, float]:
    """What a session burns an hour: the mean over the accounts that are burning, else the default."""
    accounts = list(rates)
    typical: dict[str, float] = {}
    for name in WATCHED:
        burning = [mean for account in accounts if (mean := account[name].mean)]
        typical[name] = sum(burning) / len(burning) if burning else TYPICAL[name]
    return typical


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


def project(watched: str, window: Window | None, burn: Burn, hours: float, now: float) -> Projection:
    """The window at the end of a session of so many hours that starts now, by the burn of the one that is as long.

    A window that starts afresh within the session counts up to its reset, and then anew.
    """
    used = None if window is None else window.utilization
    assumed = used is None
    used = used or 0.0
    name = watched if window is None else window.name
    an_hour = burn.account.get(watched, 0.0) + burn.session.get(watched, 0.0)
    left = None if window is None or window.resets_at is None else (window.resets_at - now) / HOUR
    counted = hours if left is None or left >= hours else max(0.0, left)
    at_reset = used + an_hour * counted
    hits = None if an_hour <= 0 or at_reset < 1 else max(0.0, (1 - used) / an_hour) * HOUR
    if used >= 1:
        hits = 0.0
    end = at_reset if counted == hours else an_hour * (hours - counted)
    if hits is None and counted < hours and an_hour * (hours - counted) >= 1:
        hits = (counted + 1 / an_hour) * HOUR
    return Projection(name, watched, used, end, hits, assumed)


def urgency(window: Window | None, last_reset: float | None, now: float) -> float:
    """How urgent it is to use the week: its unused fraction over the hours until that expires; 0 where unknown.

    A week without current data is assumed unused: until its next reset where an earlier one is known
    (`last_reset`, epoch seconds), else whole. Were it 0, a dormant account would stay dormant, week after week.
    """
    if window is not None and (window.utilization is None or window.resets_at is None):
        return 0.0
    if window is not None and window.resets_at is not None:
        seconds = window.resets_at - now
    else:
        seconds = _WEEK_S if last_reset is None else _WEEK_S - (now - last_reset) % _WEEK_S
    used = 0.0 if window is None else window.utilization or 0.0
    return max(0.0, 1 - used) / max(0.25, seconds / HOUR)


def headroom(projections: Iterable[Projection]) -> float:
    """What would be left of 5h after the session, as a factor: sessions go where 5h has headroom for more of them."""
    ends = [projection.end for projection in projections if projection.watched == "5h"]
    left: float = max(0.0, 1 - max(ends, default=0.0)) ** _HEADROOM_ROOT
    return left
