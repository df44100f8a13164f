"""Whether the newest evidence still stands, and how severe it is.

A status stands until its block ends, or while it is fresh; a window stands until its reset. What no longer
stands is kept as what it was, and counts for nothing.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tokmon.model import Scope, Status
from tokmon.report.gauge import Gauge
from tokmon.report.words import percent
from tokmon.snapshot import Account, Observation


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
    """How long an overload or a broken connection stands."""


def ended_because(account: Account, gauges: tuple[Gauge, ...], now: float, limits: Limits) -> str | None:
    """Why the last status no longer stands; None while it does, or where there is none."""
    last = account.last
    if last is None:
        return None
    until = last.blocked_until
    if until is None and last.status is Status.REJECTED:
        until = _rejected_until(gauges)
    if until is not None:
        return "its window has reset since" if until <= now else None
    age = now - last.stamp.ts
    passing = last.status in {Status.OVERLOADED, Status.NETWORK_ERROR}
    return "too long ago to count" if age > (limits.passing_s if passing else limits.keep_s) else None


def _rejected_until(gauges: tuple[Gauge, ...]) -> float | None:
    """When every window that refused has started afresh; the claimed one stands for those that do not say."""
    refusing = [gauge for gauge in gauges if gauge.window.status == Status.REJECTED] or [
        gauge for gauge in gauges if gauge.claim
    ]
    resets = [gauge.window.resets_at for gauge in refusing]
    known = [reset for reset in resets if reset is not None]
    return max(known) if known and len(known) == len(resets) else None


def spends(account: Account, gauges: tuple[Gauge, ...], now: float, limits: Limits) -> bool:
    """Whether the newest word is that credit pays, and no spent window has started afresh since."""
    paid = account.paid
    if paid is None or paid.overage is None or not paid.overage.in_use or now - paid.stamp.ts > limits.keep_s:
        return False
    spent = [gauge for gauge in gauges if gauge.window.scope is None and (gauge.window.utilization or 0) >= 1]
    return not spent or any(not gauge.expired for gauge in spent)


_GOOD: Final = frozenset({Status.ALLOWED, Status.ALLOWED_WARNING})
_PARTIAL: Final = frozenset({Scope.MODEL, Scope.PROVIDER})
_RANK: Final = {Severity.UNKNOWN: 0, Severity.OK: 1, Severity.WARN: 2, Severity.CRITICAL: 3}


def judge(
    account: Account, gauges: tuple[Gauge, ...], ended: str | None, limits: Limits, *, spending: bool
) -> tuple[Severity, tuple[str, ...]]:
    """The worst of what the status and the windows say; CRITICAL is a session that would not start, or soon not."""
    found: list[tuple[Severity, str]] = []
    last = account.last
    if last is not None and ended is None:
        found.append((_severity_of(last), ""))
    if spending:
        found.append((Severity.WARN, "spending credit"))
    for gauge in gauges:
        severity = worry(gauge, limits, spending=spending)
        if severity is not None:
            found.append((severity, f"{gauge.window.name} at {percent(gauge.window.utilization)}"))
    worst = max((severity for severity, _ in found), key=_RANK.__getitem__, default=Severity.UNKNOWN)
    return worst, tuple(why for severity, why in found if why and severity is worst)


def _severity_of(last: Observation) -> Severity:
    if last.status is Status.ALLOWED:
        return Severity.OK
    passing = last.status in {Status.ALLOWED_WARNING, Status.OVERLOADED, Status.NETWORK_ERROR}
    return Severity.WARN if passing or last.scope in _PARTIAL else Severity.CRITICAL


def worry(gauge: Gauge, limits: Limits, *, spending: bool) -> Severity | None:
    """How a window's own figure worries; not at all where it has expired or is too old to count."""
    used = gauge.window.utilization
    stands = not gauge.expired and (gauge.window.resets_at is not None or gauge.age <= limits.keep_s)
    if used is None or not stands or used < limits.warn:
        return None
    partial = gauge.window.scope is not None
    return Severity.WARN if used < limits.critical or partial or spending else Severity.CRITICAL
