"""The assessment of an account now, for one model: the one verdict that every screen shows and every choice uses.

Evidence past its age limit is neither its old value nor nothing: the account is unknown, and an unknown account may be
tried. Which evidence counts is in `current`.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from tokmon.evidence.history import History
from tokmon.evidence.log_line import CHECK, CONFIRMED, SERVED
from tokmon.evidence.model import Status, Window
from tokmon.evidence.snapshot import Account, Evidence, Stamp, WindowEvidence
from tokmon.selection.current import (
    PROBE_S,
    TURN_S,
    check_failed,
    check_passed,
    concerns_everybody,
    counts,
    ends_at,
    full_windows,
    is_full,
    passes_at,
    ranked,
    refused_models,
)
from tokmon.selection.policy import Policy

KEY_REFUSALS: Final = 3
KEY_REFUSED_OVER_S: Final = 120.0
"""So many 401s, over so many seconds, exclude a key that has worked."""

_REFUSED: Final = {
    Status.REJECTED: "usage limit reached",
    Status.POLICY_REJECTED: "refused by provider policy",
    Status.NO_CREDIT: "no credit",
}
WORKS: Final = "works"
"""The reason of a usable account, if there is no more to say."""

_KEY_REFUSED: Final = "login or key refused"
_NO_QUOTA_DATA: Final = "responses recorded, none with quota data"


class Fitness(StrEnum):
    """What an account is good for, the best first."""

    USABLE = "usable"
    BILLED = "billed"
    UNKNOWN = "unknown"
    EXCLUDED = "excluded"


@dataclass(frozen=True, slots=True)
class Assessment:
    """One account for one model, now. Instants are epoch seconds, ages seconds, utilizations fractions or None."""

    provider: str
    model: str
    fitness: Fitness
    reason: str
    until: float | None = None
    """When the reason ends by itself; None where nothing but new evidence ends it."""

    evidence: Evidence | None = None
    """The evidence of the status that counts, None where none does."""

    age_s: float | None = None
    figures: tuple[WindowEvidence, ...] = ()
    """The account's windows that have not reset since they were read, each with where its figures come from."""

    expired: tuple[str, ...] = ()
    """Names of windows that have reset since they were read."""

    check_passed: bool = False
    """The newest pi check is fresh and passed."""

    check_failed: bool = False
    """The newest pi check is fresh, and started no session for no reason known otherwise."""

    key_refused: bool = False
    """Excluded for its key alone."""

    key_refused_by_probe: bool = False
    """A probe or check of the last two minutes was refused for it."""

    unreachable: bool = False
    """The newest evidence is a network failure: other accounts go first, nothing is excluded."""

    throttled: bool = False
    """The newest evidence is a 429 that names no limit: other accounts go first, nothing is excluded."""

    @property
    def status(self) -> Status:
        """The status that counts."""
        return Status.UNKNOWN if self.evidence is None else self.evidence.status

    @property
    def source(self) -> str | None:
        """Where that status comes from."""
        return None if self.evidence is None else self.evidence.stamp.source

    @property
    def may_be_taken(self) -> bool:
        """Whether a session may start on it."""
        return self.fitness is not Fitness.EXCLUDED

    @property
    def windows(self) -> tuple[Window, ...]:
        """The windows of `figures`."""
        return tuple(known.window for known in self.figures)

    def window(self, name: str) -> Window | None:
        """The window of that name, if it has not reset since."""
        return next((known.window for known in self.figures if known.window.name == name), None)

    def utilization(self, name: str) -> float | None:
        """The fraction of that window that is used."""
        window = self.window(name)
        return None if window is None else window.utilization


def assess(provider: str, account: Account | None, policy: Policy, now: float) -> Assessment:
    """The assessment of that account for the model that a session of the policy would use on it."""
    model = policy.model_of(provider)
    if account is None:
        return Assessment(provider, model, Fitness.UNKNOWN, "no response recorded yet")
    evidence = ranked(account, now)
    windows = [known for known in account.windows.values() if known.window.scope is None]
    facts = Assessment(
        provider,
        model,
        Fitness.UNKNOWN,
        _without_status(account, now),
        evidence=evidence,
        age_s=None if evidence is None else now - evidence.stamp.ts,
        figures=tuple(known for known in windows if not known.expired(now)),
        expired=tuple(sorted(known.window.name for known in windows if known.expired(now))),
        check_passed=check_passed(account, now),
        check_failed=check_failed(account, now),
        unreachable=_is_newest(account.history.network_error, account, evidence, now),
        throttled=_is_throttled(account, evidence, now),
    )
    return _with_remarks(_judged(account, facts, policy, now), account, now)


def _with_remarks(assessment: Assessment, account: Account, now: float) -> Assessment:
    """The same, with what makes other accounts go first in its reason."""
    if assessment.fitness is Fitness.EXCLUDED:
        refused = assessment.key_refused and _refused_to_a_probe(account.history, now)
        return replace(assessment, key_refused_by_probe=refused)
    remarks = [assessment.reason]
    if assessment.check_failed:
        remarks.append("the last pi check started no session")
    if assessment.unreachable:
        remarks.append("last attempt failed (network)")
    if assessment.throttled:
        remarks.append("last response was a 429 without details")
    return replace(assessment, reason="; ".join(remarks))


def _is_throttled(account: Account, evidence: Evidence | None, now: float) -> bool:
    """Not by a 429 to a probe: that limits the probes, and no session."""
    event = account.history.throttled
    return event is not None and event.stamp.source != "probe" and _is_newest(event, account, evidence, now)


def _is_newest(event: Evidence | None, account: Account, evidence: Evidence | None, now: float) -> bool:
    """Whether that event still counts, and no newer evidence of the account came since."""
    if event is None or now >= passes_at(event):
        return False
    newer = (account.history.last_served, None if evidence is None else evidence.stamp)
    return all(event.stamp > stamp for stamp in newer if stamp is not None)


def _refused_to_a_probe(history: History, now: float) -> bool:
    """Whether a probe or check of the last two minutes was answered with a refusal of the key."""
    answers = [evidence for source, evidence in history.key_refusals.items() if source in {CHECK, "probe"}]
    return any(now - evidence.stamp.ts <= KEY_REFUSED_OVER_S for evidence in answers)


def _judged(account: Account, facts: Assessment, policy: Policy, now: float) -> Assessment:
    refused = refused_models(account, now).get(facts.model)
    if refused is not None:
        reason = f"{facts.model} refused ({refused.status.replace('_', ' ')})"
        return replace(facts, fitness=Fitness.EXCLUDED, reason=reason, until=ends_at(refused))
    evidence = facts.evidence
    if evidence is not None and evidence.status is Status.INVALID_KEY:
        if _key_is_refused(account, evidence, now):
            return replace(facts, fitness=Fitness.EXCLUDED, reason=_KEY_REFUSED, key_refused=True)
        # One 401 is no evidence yet, and hides no refusal of another kind.
        other = ranked(account, now, keys=False)
        refusal = None if other is None or other.status in SERVED else other
        facts = replace(facts, reason="one 401 on a key that worked", evidence=refusal or evidence)
        evidence = refusal
    if evidence is not None and concerns_everybody(evidence):
        return replace(facts, fitness=Fitness.EXCLUDED, reason="provider overloaded", until=ends_at(evidence))
    if evidence is not None and evidence.status not in {*SERVED, Status.REJECTED}:
        reason = _REFUSED.get(evidence.status, str(evidence.status))
        return replace(facts, fitness=Fitness.EXCLUDED, reason=reason, until=ends_at(evidence))
    return _by_use(account, facts, evidence, policy, now)


def _by_use(account: Account, facts: Assessment, evidence: Evidence | None, policy: Policy, now: float) -> Assessment:
    """By what is left of the plan, and whether credit pays where nothing is left."""
    full = next((window for window in facts.windows if _binds_the_plan(window)), None)
    rejected = evidence is not None and evidence.status is Status.REJECTED
    billed = _is_billed(account, facts.model, now)
    if billed or ((full is not None or rejected) and _overage_is_open(account, evidence, now)):
        if policy.spend_credit == "never":
            return replace(facts, fitness=Fitness.EXCLUDED, reason='would spend credit (`spend_credit = "never"`)')
        reason = "answers are billed: paid from credit" if billed else "plan used up: paid from credit"
        return replace(facts, fitness=Fitness.BILLED, reason=reason)
    if rejected or (evidence is None and full is not None):
        limits = [full] if full is not None else [window for window in facts.windows if is_full(window)]
        names = " and ".join(window.name for window in limits)
        reason = f"{names} used up" if limits else _REFUSED[Status.REJECTED]
        return replace(facts, fitness=Fitness.EXCLUDED, reason=reason, until=_limit_ends(limits, evidence))
    if evidence is not None:
        return replace(facts, fitness=Fitness.USABLE, reason=WORKS)
    return facts


def _without_status(account: Account, now: float) -> str:
    """The reason of an account of which no status counts."""
    if not (account.last or account.windows or account.models):
        return _NO_QUOTA_DATA
    # Windows outlast the status that came with them.
    figures = any(not known.expired(now) for known in account.windows.values() if known.window.scope is None)
    served = account.history.last_served
    if served is not None and now - served.ts <= PROBE_S:
        return f"key valid; {'no recent response' if figures else 'no other current data'}"
    return "no recent response" if figures else "no current data"


def _limit_ends(limits: list[Window], evidence: Evidence | None) -> float | None:
    """When the limits that were reached have all reset; a block that names its end ends then."""
    if evidence is not None and evidence.blocked_until is not None and not any(map(_binds_the_plan, limits)):
        return evidence.blocked_until
    resets = [window.resets_at for window in limits if window.resets_at is not None]
    return max(resets) if resets and len(resets) == len(limits) else None


def _binds_the_plan(window: Window) -> bool:
    return (window.utilization or 0) >= 1 and window.name in {"5h", "7d"}


def _overage_is_open(account: Account, evidence: Evidence | None, now: float) -> bool:
    """Whether credit pays beyond the plan, by the newest evidence of that: a later refusal (`evidence`) is one."""
    paid = account.overage_evidence
    if paid is None or paid.overage is None or now - paid.stamp.ts > TURN_S:
        return False
    if evidence is not None and evidence.status is Status.REJECTED and evidence.stamp > paid.stamp:
        return False
    return paid.overage.in_use or paid.overage.status in SERVED or paid.overage.permitted is True


def _is_billed(account: Account, model: str, now: float) -> bool:
    """Whether the last answer that reported windows was paid from credit although none of the plan's was used up.

    Where one was used up, that ends with the window.
    """
    paid = account.overage_evidence
    if paid is None or paid.overage is None or not paid.overage.in_use or now - paid.stamp.ts > TURN_S:
        return False
    newer = any(known.stamp > paid.stamp for known in account.windows.values())
    return paid.model in {None, model} and not newer and not any(full_windows(account))


def _key_is_refused(account: Account, evidence: Evidence, now: float) -> bool:
    """Whether the key counts as invalid: 401s flap on valid keys.

    It takes three in a row over two minutes, a second try or a second source that says so too, or a key that never
    worked.
    """
    history = account.history
    served = history.last_served
    if served is None or (evidence.substatus == CONFIRMED and evidence.stamp > served):
        return True
    known_good = max(served.ts, _instant(history.last_limited))
    refusals = [ts for ts in history.key_refusal_times.values() if ts > known_good]
    if len(refusals) >= KEY_REFUSALS and max(refusals) - min(refusals) >= KEY_REFUSED_OVER_S:
        return True
    others = [other for source, other in history.key_refusals.items() if source != evidence.stamp.source]
    return any(other.stamp.ts > known_good and counts(other, now) for other in others)


def _instant(stamp: Stamp | None) -> float:
    return 0.0 if stamp is None else stamp.ts
