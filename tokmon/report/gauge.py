"""A window as of now: how old its figure is, whether it has started afresh since, whether it is the one that binds."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tokmon.evidence.model import Window
from tokmon.evidence.snapshot import Account, Stamp, WindowEvidence


@dataclass(frozen=True, slots=True)
class Gauge:
    """A window as of now. `claim` is whether it is the one that binds, `period` how long it is, by its name."""

    window: Window
    stamp: Stamp
    age: float
    expired: bool
    claim: bool
    period: float | None


def gauges(account: Account, now: float) -> Iterable[Gauge]:
    """The windows of an account, the shortest first.

    A figure older than its window is long is of the past even where no reset was said. A window binds until
    something newer is said about it without saying so.
    """
    bound = account.binding
    for seen in sorted(account.windows.values(), key=_order):
        age = now - seen.stamp.ts
        period = _period(seen.window.name)
        past = seen.window.resets_at is None and period is not None and age > period
        claim = bound is not None and window_of(bound[1]) == seen.window.name and not bound[0] < seen.stamp
        yield Gauge(seen.window, seen.stamp, age, seen.window.expired(now) or past, claim, period)


def _order(seen: WindowEvidence) -> tuple[float, str]:
    return (_period(seen.window.name) or float("inf"), seen.window.name)


_PERIOD: Final = re.compile(r"^(\d+)([smhd])(?:_|$)|_(second|minute|hour|day)$")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _period(name: str) -> float | None:
    """How long a window is, by its name: `5h`, `7d_sonnet`, `requests_minute`."""
    found = _PERIOD.search(name)
    if found is None:
        return None
    return float(found[1]) * _SECONDS[found[2]] if found[1] else float(_SECONDS[found[3][0]])


_NUMBERS: Final = {"one": "1", "two": "2", "three": "3", "five": "5", "seven": "7", "thirty": "30"}


def window_of(claim: str | None) -> str | None:
    """The window that a claim names: `seven_day_sonnet` is `7d_sonnet`."""
    words = (claim or "").replace("overage_included", "oi").split("_")
    if len(words) > 1 and words[0] in _NUMBERS:
        return "_".join([_NUMBERS[words[0]] + words[1][:1], *words[2:]])
    return claim
