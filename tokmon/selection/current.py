"""Which evidence of a status counts now: by its source and age, and until its block or its windows end. Pure.

A real pi turn outranks a pi check, which outranks a probe of the bare API, each within its age limit.
"""

from collections.abc import Iterator
from typing import Final

from tokmon.evidence.log_line import CHECK, SERVED
from tokmon.evidence.model import Scope, Status, Window
from tokmon.evidence.snapshot import Account, Evidence, WindowEvidence

SOURCES: Final = ("piggyback", CHECK, "probe")
"""By rank."""

CHECK_S: Final = 2 * 3600.0
PROBE_S: Final = 20 * 60.0
TURN_S: Final = 24 * 3600.0
"""How long evidence of each source counts if the provider names no end. Windows have resets of their own."""

PASSING_S: Final = 600.0
"""How long an overload, a network failure or a 429 without details counts if no end is named."""


def ranked(account: Account, now: float, *, keys: bool = True) -> Evidence | None:
    """The evidence of the status that counts, by rank; a refusal gives way to a newer check that started a session.

    Without `keys`: of the evidence that says nothing of the key, the first refusal, if there is one.
    """
    history = account.history
    newest = [
        next(
            (evidence for evidence in history.from_source(source) if _is_usable(account, evidence, now, keys=keys)),
            None,
        )
        for source in SOURCES
    ]
    counting = [evidence for evidence in newest if evidence is not None]
    if not counting:
        return None
    first, check = counting[0], history.by_source.get(CHECK)
    if not keys:
        first = next((evidence for evidence in counting if evidence.status not in SERVED), first)
    started = check is not None and check in counting and check.status in SERVED and check.stamp > first.stamp
    return check if started and first.status not in SERVED else first


def _is_usable(account: Account, evidence: Evidence, now: float, *, keys: bool) -> bool:
    if evidence.status is Status.INVALID_KEY and (not keys or served_since(account, evidence)):
        return False
    return counts(evidence, now) and not reset_since(account, evidence, now)


def counts(evidence: Evidence, now: float) -> bool:
    """Whether that evidence of a status counts now."""
    return now < counts_until(evidence)


def counts_until(evidence: Evidence) -> float:
    """Until when that evidence of a status counts, in epoch seconds."""
    if evidence.status not in SERVED and evidence.blocked_until is not None:
        return evidence.blocked_until
    if concerns_everybody(evidence):
        return evidence.stamp.ts + PASSING_S
    return evidence.stamp.ts + {"piggyback": TURN_S, CHECK: CHECK_S}.get(evidence.stamp.source, PROBE_S)


def concerns_everybody(evidence: Evidence) -> bool:
    """Whether the provider refuses every account for a while: it is overloaded, or its shared capacity is used up."""
    shared = evidence.status is Status.REJECTED and evidence.scope == Scope.PROVIDER
    return shared or evidence.status is Status.OVERLOADED


def reset_since(account: Account, evidence: Evidence, now: float) -> bool:
    """Whether a refusal that names no end has ended with the windows that were used up."""
    if evidence.status is not Status.REJECTED or evidence.blocked_until is not None:
        return False
    full = list(full_windows(account))
    return bool(full) and all(known.expired(now) for known in full)


def full_windows(account: Account) -> Iterator[WindowEvidence]:
    """The account's windows of which nothing was left when they were read."""
    for known in account.windows.values():
        if known.window.scope is None and is_full(known.window):
            yield known


def is_full(window: Window) -> bool:
    """Whether nothing of the window was left when it was read."""
    return window.status == Status.REJECTED or window.remaining == 0 or (window.utilization or 0) >= 1


def passes_at(event: Evidence) -> float:
    """When a failure that passes by itself (network, overload, 429 without details) ends, in epoch seconds."""
    return event.stamp.ts + PASSING_S if event.blocked_until is None else event.blocked_until


def refused_models(account: Account, now: float) -> dict[str, Evidence]:
    """The newest evidence of each model that is refused now, by the model's name ("" where none was named)."""
    return {
        model: evidence
        for model, evidence in sorted(account.models.items())
        if evidence.status not in SERVED and counts(evidence, now)
    }


def ends_at(evidence: Evidence) -> float | None:
    """When a refusal ends by itself, in epoch seconds; missing credit does not, it only gets too old to count."""
    return counts_until(evidence) if concerns_everybody(evidence) else evidence.blocked_until


def served_since(account: Account, evidence: Evidence) -> bool:
    """Whether the key has been shown to be valid since."""
    served = account.history.last_served
    return served is not None and served > evidence.stamp


def check_passed(account: Account, now: float) -> bool:
    """Whether the newest pi check is fresh and started a session."""
    check, failed = account.history.by_source.get(CHECK), account.history.last_failed_check
    if check is None or check.status not in SERVED or now - check.stamp.ts > CHECK_S:
        return False
    return failed is None or failed < check.stamp


def check_failed(account: Account, now: float) -> bool:
    """Whether the newest pi check is fresh and failed.

    Not if it named a reason of the account, of one model or of the network: that counts by itself, elsewhere.
    """
    history = account.history
    failed, turn = history.last_failed_check, history.by_source.get("piggyback")
    if failed is None or now - failed.ts > CHECK_S:
        return False
    reasons = [history.network_error, history.throttled, *history.from_source(CHECK), *account.models.values()]
    if any(reason is not None and reason.stamp == failed for reason in reasons):
        return False
    return turn is None or turn.status not in SERVED or turn.stamp < failed
