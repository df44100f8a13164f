"""Whether the newest evidence still stands, and how severe it is.

A status stands until its block ends, or while it is fresh; a window stands until its reset. What no longer
stands is kept as what it was, and counts for nothing.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tokmon.evidence.model import Scope, Status
from tokmon.evidence.snapshot import SERVED, Account, Evidence
from tokmon.report.gauge import Gauge
from tokmon.report.words import percent


class Severity(StrEnum):
    """The worst first."""

    CRITICAL = "CRITICAL"
    WARN = "WARN"
    OK = "OK"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Limits:
    """When to worry. Utilizations as fractions, ages in seconds."""

    warn: float = 0.75
    critical: float = 0.95
    keep_s: float = 24 * 3600.0
    """How long a status without a known end stands."""

    passing_s: float = 600.0
    """How long an overload or a broken connection stands, and what a provider refuses to everybody."""

    short_s: float = 3600.0
    """A window shorter than this is never CRITICAL: a session can wait for it."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What one model was refused; `model` is empty where it was not said, `ended` says why it no longer stands."""

    model: str
    seen: Evidence
    ended: str | None


RESET: Final = "its window has reset since"


def refusals(account: Account, now: float, limits: Limits) -> tuple[Refusal, ...]:
    """The models whose newest evidence is that they are refused, by name."""
    refused = sorted((model, seen) for model, seen in account.models.items() if seen.status not in SERVED)
    return tuple(Refusal(model, seen, _ended(seen, seen.blocked_until, now, limits)) for model, seen in refused)


def ended_because(account: Account, gauges: tuple[Gauge, ...], now: float, limits: Limits) -> str | None:
    """Why the last status no longer stands; None while it does, or where there is none."""
    last = account.last
    if last is None:
        return None
    until = last.blocked_until if last.status not in SERVED else None
    if until is None and last.status is Status.REJECTED and last.scope != Scope.PROVIDER:
        until = rejected_until(gauges)
    return _ended(last, until, now, limits)


def _ended(seen: Evidence, until: float | None, now: float, limits: Limits) -> str | None:
    if until is not None:
        return RESET if until <= now else None
    passing = seen.status in {Status.OVERLOADED, Status.NETWORK_ERROR} or seen.scope == Scope.PROVIDER
    old = now - seen.stamp.ts > (limits.passing_s if passing else limits.keep_s)
    return "too long ago to count" if old else None


def rejected_until(gauges: tuple[Gauge, ...]) -> float | None:
    """When every window that refused has started afresh; None where that cannot be told."""
    resets = [gauge.window.resets_at for gauge in refusing(gauges)]
    known = [reset for reset in resets if reset is not None]
    return max(known) if known and len(known) == len(resets) else None


def refusing(gauges: tuple[Gauge, ...]) -> tuple[Gauge, ...]:
    """The windows of the account that refused: those that say so, else the one that binds, else those used up."""
    own = [gauge for gauge in gauges if gauge.window.scope is None]
    for found in (
        [gauge for gauge in own if gauge.window.status == Status.REJECTED],
        [gauge for gauge in own if gauge.claim],
        [gauge for gauge in own if spent(gauge)],
    ):
        if found:
            return tuple(found)
    return ()


def spent(gauge: Gauge) -> bool:
    """Whether nothing of the window was left when it was read."""
    window = gauge.window
    return window.remaining == 0 or (window.utilization or 0) >= 1


def spends(account: Account, gauges: tuple[Gauge, ...], now: float, limits: Limits) -> bool:
    """Whether the newest word is that credit pays, no refusal came since, and no spent window has started afresh."""
    paid, last = account.overage_evidence, account.last
    if paid is None or paid.overage is None or not paid.overage.in_use or now - paid.stamp.ts > limits.keep_s:
        return False
    if last is not None and last.stamp > paid.stamp and last.status in REFUSED:
        return False
    full = [gauge for gauge in gauges if gauge.window.scope is None and spent(gauge)]
    return not full or any(not gauge.expired for gauge in full)


REFUSED: Final = frozenset({Status.REJECTED, Status.INVALID_KEY, Status.POLICY_REJECTED, Status.NO_CREDIT})
"""What an account says that lets no session start."""

_RANK: Final = {Severity.UNKNOWN: 0, Severity.OK: 1, Severity.WARN: 2, Severity.CRITICAL: 3}


def judge(
    last: Evidence | None,
    gauges: tuple[Gauge, ...],
    refused: tuple[Refusal, ...],
    limits: Limits,
    *,
    spending: bool,
) -> tuple[Severity, tuple[str, ...]]:
    """The worst of what the status and the windows say; CRITICAL is a session that would not start, or soon not.

    `last` is the status, if it stands; `refused` what is refused to single models.
    """
    found: list[tuple[Severity, str]] = []
    if last is not None:
        found.append((_severity_of(last), ""))
    if spending:
        found.append((Severity.WARN, "spending credit"))
    found += [(Severity.WARN, f"{each.model or 'a model'} refused") for each in refused if each.ended is None]
    for gauge in gauges:
        severity = worry(gauge, limits, spending=spending)
        if severity is not None:
            found.append((severity, f"{gauge.window.name} at {percent(gauge.window.utilization)}"))
    worst = max((severity for severity, _ in found), key=_RANK.__getitem__, default=Severity.UNKNOWN)
    return worst, tuple(why for severity, why in found if why and severity is worst)


def _severity_of(last: Evidence) -> Severity:
    if last.status is Status.ALLOWED:
        return Severity.OK
    passing = last.status in {Status.ALLOWED_WARNING, Status.OVERLOADED, Status.NETWORK_ERROR}
    return Severity.WARN if passing or last.scope == Scope.PROVIDER else Severity.CRITICAL


def maxed(last: Evidence | None, gauges: tuple[Gauge, ...], limits: Limits, *, spending: bool) -> tuple[Gauge, ...]:
    """The windows of the account with nothing left, unless an answer that is no older shows that it goes on.

    `last` is the status, if it stands.
    """
    served = last.stamp if last is not None and last.status in SERVED else None
    return tuple(
        gauge
        for gauge in gauges
        if gauge.window.scope is None
        and not spending
        and spent(gauge)
        and stands(gauge, limits)
        and (served is None or served < gauge.stamp)
    )


def stands(gauge: Gauge, limits: Limits) -> bool:
    """Whether its figure is of now: neither expired nor, where no reset was said, too old to count."""
    return not gauge.expired and (gauge.window.resets_at is not None or gauge.age <= limits.keep_s)


def worry(gauge: Gauge, limits: Limits, *, spending: bool) -> Severity | None:
    """How a window's own figure worries; not at all where it has expired or is too old to count."""
    used = gauge.window.utilization
    if used is None or not stands(gauge, limits) or used < limits.warn:
        return None
    partial = gauge.window.scope is not None or (gauge.period is not None and gauge.period < limits.short_s)
    return Severity.WARN if used < limits.critical or partial or spending else Severity.CRITICAL
