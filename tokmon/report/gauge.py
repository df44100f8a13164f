"""A window as of now: the age of its figures, whether it has reset since, whether it is the one that limits."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tokmon.evidence.model import Window
from tokmon.evidence.model_windows import models_of
from tokmon.evidence.snapshot import Account, Stamp, WindowEvidence


@dataclass(frozen=True, slots=True)
class Gauge:
    """A window as of now. `limiting` is whether the provider named it as the one that limits; ages and periods in s."""

    window: Window
    stamp: Stamp
    age: float
    expired: bool
    limiting: bool
    period: float | None
    models: tuple[str, ...] = ()
    """The models or families that a window of some models concerns."""


def gauges(account: Account, now: float) -> Iterable[Gauge]:
    """The windows of an account, the shortest first.

    A window limits until there is newer evidence of it that does not name it as limiting.
    """
    binding = account.binding
    for known in sorted(account.windows.values(), key=_order):
        window, stamp = known.window, known.stamp
        limiting = binding is not None and window_named(binding[1]) == window.name and not binding[0] < stamp
        models = models_of(window, account.read_on.get(window.name, ()))
        yield Gauge(window, stamp, now - stamp.ts, known.expired(now), limiting, window.period_s, models)


def _order(known: WindowEvidence) -> tuple[float, str]:
    return (known.window.period_s or float("inf"), known.window.name)


_NUMBERS: Final = {"one": "1", "two": "2", "three": "3", "five": "5", "seven": "7", "thirty": "30"}


def window_named(claim: str | None) -> str | None:
    """The window that a provider's word means: `seven_day_sonnet` is `7d_sonnet`."""
    words = (claim or "").replace("overage_included", "oi").split("_")
    if len(words) > 1 and words[0] in _NUMBERS:
        return "_".join([_NUMBERS[words[0]] + words[1][:1], *words[2:]])
    return claim
