"""Which evidence of a status counts now: by its source and age, and until its block or its windows end. Pure.

A real pi turn outranks a pi check, which outranks a probe of the bare API, each within its age limit.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from tokmon.evidence.history import is_overload
from tokmon.evidence.log_line import CHECK, SERVED, Stamp
from tokmon.evidence.model import Status
from tokmon.evidence.snapshot import Account, Evidence
from tokmon.selection.limits import SOURCES, end_of, ended_since

CHECK_S: Final = 2 * 3600.0
PROBE_S: Final = 20 * 60.0
TURN_S: Final = 24 * 3600.0
"""How long evidence of each source counts if the provider names no end. Windows and usage limits have their own."""

SESSIONS: Final = frozenset({"piggyback", CHECK})
"""The sources that are sessions of pi. A probe is a request to the bare API."""

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
    return counts(account, evidence, now) and not ended_since(account, evidence, now)


def counts(account: Account, evidence: Evidence, now: float) -> bool:
    """Whether that evidence of a status counts now."""
    return now < counts_until(account, evidence)


def counts_until(account: Account, evidence: Evidence) -> float:
    """Until when that evidence of a status of the account counts, in epoch seconds."""
    if evidence.status not in SERVED and evidence.blocked_until is not None:
        return evidence.blocked_until
    if is_overload(evidence):
        return passes_at(evidence)
    if evidence.status is Status.REJECTED:
        return end_of(account, evidence)
    return evidence.stamp.ts + {"piggyback": TURN_S, CHECK: CHECK_S}.get(evidence.stamp.source, PROBE_S)


def passes_at(event: Evidence) -> float:
    """When a failure that passes by itself (network, overload, 429 without details) ends, in epoch seconds."""
    return event.stamp.ts + PASSING_S if event.blocked_until is None else event.blocked_until


def refused_models(account: Account, now: float) -> dict[str, Evidence]:
    """The refusal of each model that is refused now, by the model's name ("" where none was named)."""
    refusals = ((model, _refusal(by_source)) for model, by_source in sorted(account.models.items()))
    return {
        model: evidence
        for model, evidence in refusals
        if evidence is not None and counts(account, evidence, now) and not ended_since(account, evidence, now)
    }


def _refusal(by_source: Mapping[str, Evidence]) -> Evidence | None:
    """The refusal of a model; None if it was served since. A probe's answer ends no refusal in a session."""
    session = _newest(evidence for source, evidence in by_source.items() if source in SESSIONS)
    if session is not None and session.status not in SERVED:
        return session
    newest = _newest(by_source.values())
    return newest if newest is not None and newest.status not in SERVED else None


def _newest(evidence: Iterable[Evidence]) -> Evidence | None:
    return max(evidence, key=lambda one: one.stamp, default=None)


def model_served(account: Account, model: str) -> Stamp | None:
    """When that model last served a request."""
    served = [one.stamp for one in account.models.get(model, {}).values() if one.status in SERVED]
    return max(served, default=None)


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
    reasons = [history.network_error, history.throttled, *history.from_source(CHECK), *history.overloads.values()]
    reasons += [evidence for by_source in account.models.values() for evidence in by_source.values()]
    if any(reason is not None and reason.stamp == failed for reason in reasons):
        return False
    return turn is None or turn.status not in SERVED or turn.stamp < failed
