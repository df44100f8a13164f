"""How urgent an account is for a person to look at: the worst of its assessment and its windows. Pure.

Whether the account can be used is the assessment's to say; nothing here changes that.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from tokmon.evidence.model import Status
from tokmon.report.gauge import Gauge
from tokmon.selection.assessment import Assessment, Fitness
from tokmon.selection.current import PASSING_S

WARN_AT: Final = 0.75
CRITICAL_AT: Final = 0.95
"""Utilizations, as fractions."""

SHORT_S: Final = 3600.0
"""A window shorter than this is never CRITICAL: a session can wait for it."""


class Severity(StrEnum):
    """The worst first."""

    CRITICAL = "CRITICAL"
    WARN = "WARN"
    OK = "OK"
    UNKNOWN = "UNKNOWN"


_RANK: Final = {Severity.UNKNOWN: 0, Severity.OK: 1, Severity.WARN: 2, Severity.CRITICAL: 3}


def severity_of(
    assessment: Assessment, gauges: Iterable[Gauge], now: float, *, other_models_refused: bool = False
) -> Severity:
    """The worst of what the assessment and the windows call for."""
    severities = [_of_assessment(assessment, now, other_models_refused=other_models_refused)]
    for gauge in gauges:
        severity = window_severity(gauge, billed=assessment.fitness is Fitness.BILLED)
        severities += [] if severity is Severity.OK else [severity]
    return max(severities, key=_RANK.__getitem__)


def _of_assessment(assessment: Assessment, now: float, *, other_models_refused: bool) -> Severity:
    if assessment.fitness is Fitness.EXCLUDED:
        passes_soon = assessment.until is not None and assessment.until - now <= PASSING_S
        return Severity.WARN if passes_soon else Severity.CRITICAL
    doubtful = assessment.check_failed or assessment.unreachable or assessment.throttled or assessment.overloaded
    doubtful = doubtful or other_models_refused
    warned = assessment.fitness is Fitness.BILLED or assessment.status is Status.ALLOWED_WARNING
    if warned or doubtful:
        return Severity.WARN
    return Severity.UNKNOWN if assessment.fitness is Fitness.UNKNOWN else Severity.OK


def window_severity(gauge: Gauge, *, billed: bool = False) -> Severity:
    """How urgent a window's own figure is; UNKNOWN where it has none, or where that is of the past.

    Where credit pays beyond the plan (`billed`), a window that is used up stops no session.
    """
    used = gauge.window.utilization
    if used is None or gauge.expired:
        return Severity.UNKNOWN
    if used < WARN_AT:
        return Severity.OK
    partial = gauge.window.scope is not None or (gauge.period is not None and gauge.period < SHORT_S)
    return Severity.WARN if used < CRITICAL_AT or partial or billed else Severity.CRITICAL
