"""The assessment of an account now, for one model: the one verdict that every screen shows and every choice uses.

Evidence past its age limit is neither its old value nor nothing: the account is unknown, and an unknown account may be
tried. Which evidence counts is in `current`.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from tokmon.evidence.log_line import CHECK, SERVED
from tokmon.evidence.model import Scope, Status, Window
from tokmon.evidence.snapshot import Account, Evidence, WindowEvidence
from tokmon.selection.credit import is_billed, overage_is_open
from tokmon.selection.current import (
    PROBE_S,
    SESSIONS,
    check_failed,
    check_passed,
    counts,
    model_served,
    passes_at,
    ranked,
    refused_models,
)
from tokmon.selection.limits import concern, lifting_figures
from tokmon.selection.policy import Policy
from tokmon.selection.refused_keys import key_is_refused, refused_to_a_probe

_REFUSED: Final = {
    Status.REJECTED: "usage limit reached",
    Status.POLICY_REJECTED: "refused by provider policy",
    Status.NO_CREDIT: "no credit",
}
WORKS: Final = "works"
"""The reason of a usable account, if there is no more to say."""

_LIFTED: Final = "newer figures ended the limit"
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
    """The windows that bind the model and have not reset since they were read, each with where its figures come from.

    By name: the account's own, and those of some models that concern this one.
    """

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

    overloaded: bool = False
    """The provider refused every account a moment ago: other accounts go first, nothing is excluded."""

    @property
    def status(self) -> Status:
        """The status that counts."""
        return Status.UNKNOWN if self.evidence is None else self.evidence.status

    @property
    def source(self) -> str | None:
        """Where that status comes from."""
        return None if self.evidence is None else self.evidence.stamp.source

    @property
    def member(self) -> str:
        """Which other member of the pool that status is of, "" if it is this member's own."""
        return "" if self.evidence is None else self.evidence.stamp.member

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

    def binding(self, name: str) -> Window | None:
        """Of the account's window of that name and those of some models that are as long, the one with the most used.

        None if none of them has current figures.
        """
        own = self.window(name)
        windows = [*([] if own is None else [own]), *self.model_windows(name)]
        return max(windows, key=lambda window: window.utilization or 0.0, default=None)

    def model_windows(self, name: str) -> list[Window]:
        """The windows of some models that bind this one, are as long as the window of that name, and have a figure."""
        period = Window(name).period_s
        return [
            window
            for window in self.windows
            if window.scope is Scope.MODEL and window.period_s == period and window.utilization is not None
        ]

    def utilization(self, name: str) -> float | None:
        """The fraction of that window that is used, or of one of some models that is as long and has more used."""
        window = self.binding(name)
        return None if window is None else window.utilization


def assess(provider: str, account: Account | None, policy: Policy, now: float) -> Assessment:
    """The assessment of that account for the model that a session of the policy would use on it."""
    model = policy.model_of(provider)
    if account is None:
        return Assessment(provider, model, Fitness.UNKNOWN, "no response recorded yet")
    evidence = ranked(account, now)
    windows = [known for _, known in sorted(account.windows.items()) if concern(account, known.window, model)]
    facts = Assessment(
        provider,
        model,
        Fitness.UNKNOWN,
        _without_status(account, now),
        evidence=evidence,
        age_s=None if evidence is None else now - evidence.stamp.ts,
        figures=tuple(known for known in windows if not known.expired(now)),
        expired=tuple(known.window.name for known in windows if known.expired(now)),
        check_passed=check_passed(account, now),
        check_failed=check_failed(account, now),
        unreachable=_is_newest(account.history.network_error, account, evidence, now),
        throttled=_is_throttled(account, evidence, now),
        overloaded=any(_is_newest(account.history.overloads.get(name), account, evidence, now) for name in {"", model}),
    )
    return _with_remarks(_judged(account, facts, policy, now), account, now)


def _with_remarks(assessment: Assessment, account: Account, now: float) -> Assessment:
    """The same, with what makes other accounts go first in its reason."""
    if assessment.fitness is Fitness.EXCLUDED:
        refused = assessment.key_refused and refused_to_a_probe(account.history, now)
        return replace(assessment, key_refused_by_probe=refused)
    remarks = [assessment.reason]
    if assessment.check_failed:
        remarks.append("the last pi check started no session")
    if assessment.unreachable:
        remarks.append("last attempt failed (network)")
    if assessment.throttled:
        remarks.append("last response was a 429 without details")
    if assessment.overloaded:
        remarks.append("provider overloaded")
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


def _judged(account: Account, facts: Assessment, policy: Policy, now: float) -> Assessment:
    refused = refused_models(account, now).get(facts.model)
    if refused is not None:
        reason = f"{facts.model} refused ({refused.status.replace('_', ' ')})"
        return replace(facts, fitness=Fitness.EXCLUDED, reason=reason, until=refused.blocked_until)
    evidence = facts.evidence
    if evidence is not None and evidence.status is Status.INVALID_KEY:
        if key_is_refused(account, evidence, now):
            return replace(facts, fitness=Fitness.EXCLUDED, reason=_KEY_REFUSED, key_refused=True)
        # One 401 is no evidence yet, and hides no refusal of another kind.
        other = ranked(account, now, keys=False)
        refusal = None if other is None or other.status in SERVED else other
        facts = replace(facts, reason="one 401 on a key that worked", evidence=refusal or evidence)
        evidence = refusal
    if evidence is not None and evidence.status not in {*SERVED, Status.REJECTED}:
        reason = _REFUSED.get(evidence.status, str(evidence.status))
        return replace(facts, fitness=Fitness.EXCLUDED, reason=reason, until=evidence.blocked_until)
    return _by_use(account, facts, evidence, policy, now)


def _by_use(account: Account, facts: Assessment, evidence: Evidence | None, policy: Policy, now: float) -> Assessment:
    """By what is left of the plan, and whether credit pays where nothing is left."""
    full = [known for known in facts.figures if _binds_the_plan(known.window)]
    used_up = [known.window for known in full if _is_used_up(known, account, facts.model, evidence)]
    rejected = evidence is not None and evidence.status is Status.REJECTED
    billed = is_billed(account, facts.model, now)
    if billed or ((full or rejected) and overage_is_open(account, evidence, now)):
        if policy.spend_credit == "never":
            return replace(facts, fitness=Fitness.EXCLUDED, reason='would spend credit (`spend_credit = "never"`)')
        reason = "answers are billed: paid from credit" if billed else "plan used up: paid from credit"
        return replace(facts, fitness=Fitness.BILLED, reason=reason)
    if rejected or used_up:
        limits = used_up or [window for window in facts.windows if window.scope is None and window.is_full]
        names = " and ".join(window.name for window in limits)
        reason = f"{names} used up" if limits else _REFUSED[Status.REJECTED]
        return replace(facts, fitness=Fitness.EXCLUDED, reason=reason, until=_limit_ends(limits, evidence))
    if evidence is not None:
        return replace(facts, fitness=Fitness.USABLE, reason=WORKS)
    if any(
        counts(account, one, now) and lifting_figures(account, one, now) for one in account.history.by_source.values()
    ):
        return replace(facts, fitness=Fitness.USABLE, reason=_LIFTED)
    return facts


def _is_used_up(known: WindowEvidence, account: Account, model: str, evidence: Evidence | None) -> bool:
    """Whether a full window stops a session: not if a session was served since, or the same answer was served."""
    if known.window.scope is Scope.MODEL:
        served = model_served(account, model)
        return served is None or not served > known.stamp
    if evidence is None or evidence.status not in SERVED:
        return True
    if evidence.stamp.source in SESSIONS:
        # A check starts a session to see whether the figures bind; a turn says nothing of later figures.
        return evidence.stamp.source != CHECK and known.stamp > evidence.stamp
    return known.stamp != evidence.stamp


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
    if window.scope is Scope.MODEL:
        return window.is_full
    return (window.utilization or 0) >= 1 and window.name in {"5h", "7d"}
