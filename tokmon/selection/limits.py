"""Limits that were reached: which windows refused, and whether they have ended before their time. Pure.

A refusal by usage limits ends when each window that refused has reset, or is lower by newer figures of the provider.
Providers reset windows early, move their resets and hand out more, so the end that a refusal names is an estimate.
"""

from typing import Final

from tokmon.evidence.log_line import CHECK, SERVED
from tokmon.evidence.model import Scope, Status, Window
from tokmon.evidence.model_windows import concerns
from tokmon.evidence.snapshot import Account, Evidence, WindowEvidence

SOURCES: Final = ("piggyback", CHECK, "probe")
"""Sources of a status, by rank. Figures of other sources are not the provider's own."""

SAME_S: Final = 900.0
"""Resets that differ by less are of one window; in a window shorter than half an hour, by half its length."""

RETRY_S: Final = 3600.0
"""How long a usage limit counts that names neither an end nor a window, on an account without windows. Shorter windows
are rates."""


def end_of(account: Account, evidence: Evidence) -> float:
    """When a usage limit ends whose refusal names no end, in epoch seconds.

    With the windows that refused; else, since it may be any of the account's windows, at the first reset of one of
    them; else after `RETRY_S`.
    """
    refusing = _refusing(account, evidence)
    if refusing:
        return max(known.expires_at for known in refusing)
    resets = (_next_reset(known.window, evidence.stamp.ts) for known in account.windows.values())
    return min((reset for reset in resets if reset is not None), default=evidence.stamp.ts + RETRY_S)


def _next_reset(window: Window, at: float) -> float | None:
    """The first reset of a window of the account after an instant, by its length and any reset that is known."""
    period = window.period_s
    if window.scope is not None or period is None or period < RETRY_S:
        return None
    return at + period if window.resets_at is None else at + ((window.resets_at - at) % period or period)


def ended_since(account: Account, evidence: Evidence, now: float) -> bool:
    """Whether a usage limit has ended since: with the windows that refused, or by newer figures of them.

    A refusal that names its end does not end with its windows, only by newer figures.
    """
    refusing = _refusing(account, evidence)
    lower = [_newer_figures(account, evidence, known) is not None for known in refusing]
    if not refusing or not (any(lower) or (evidence.status is Status.REJECTED and evidence.blocked_until is None)):
        return False
    return all(is_lower or known.expired(now) for is_lower, known in zip(lower, refusing, strict=True))


def lifting_figures(account: Account, evidence: Evidence, now: float) -> tuple[WindowEvidence, ...]:
    """The newer figures that ended a usage limit; empty if one of them has reset since, or it ended otherwise."""
    newer = [_newer_figures(account, evidence, known) for known in _refusing(account, evidence)]
    current = tuple(known for known in newer if known is not None and not known.expired(now))
    return current if len(current) == len(newer) else ()


def concern(account: Account, window: Window, model: str) -> bool:
    """Whether a session on that model draws on this window of the account."""
    return concerns(window, model, account.read_on.get(window.name, ()))


def _refusing(account: Account, evidence: Evidence) -> list[WindowEvidence]:
    """The windows that refused, with their figures then; those that were full if the refusal names none."""
    if evidence.refusing:
        return [WindowEvidence(window, evidence.stamp) for window in evidence.refusing]
    if evidence.status is not Status.REJECTED:
        return []
    if evidence.binding in account.windows:
        return [WindowEvidence(Window(evidence.binding), evidence.stamp)]
    return [known for known in account.full.values() if _may_have_refused(account, known, evidence)]


def _may_have_refused(account: Account, known: WindowEvidence, evidence: Evidence) -> bool:
    """Whether this full window can be the limit of a refusal that names none."""
    window = known.window
    if evidence.scope == Scope.MODEL:
        if window.scope is not Scope.MODEL or not concern(account, window, evidence.model or ""):
            return False
    elif window.scope is not None:
        return False
    if not evidence.stamp < known.stamp:
        return not known.expired(evidence.stamp.ts)
    end = evidence.blocked_until
    return end is None or window.resets_at is None or abs(window.resets_at - end) < _slack(window)


def _newer_figures(account: Account, evidence: Evidence, refusing: WindowEvidence) -> WindowEvidence | None:
    """The provider's figures of a window that refused, if they are newer than the refusal and contradict it."""
    known, then = account.windows.get(refusing.window.name), refusing.window
    if known is None or not known.stamp > evidence.stamp or known.stamp.source not in SOURCES:
        return None
    if known.window.is_full:
        return None  # also with a later reset: nothing is left
    return known if _is_lower(known.window, then) or _resets_later(known.window, then) else None


def _is_lower(window: Window, then: Window) -> bool:
    """Whether more of the window is left than when it refused."""
    if window.utilization is None:
        return window.status in SERVED or bool(window.remaining)
    freed = then.status == Status.REJECTED and window.status in SERVED
    return freed or then.utilization is None or window.utilization < min(1.0, then.utilization)


def _resets_later(window: Window, then: Window) -> bool:
    if window.resets_at is None or then.resets_at is None:
        return False
    return window.resets_at - then.resets_at >= _slack(then)


def _slack(window: Window) -> float:
    return min(SAME_S, (window.period_s or 2 * SAME_S) / 2)
