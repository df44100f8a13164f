"""The choice: one account of the policy, with the reason, and the candidates that it was chosen from. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from tokmon.evidence.snapshot import Snapshot
from tokmon.selection.assessment import Fitness
from tokmon.selection.candidates import Candidate, evaluate
from tokmon.selection.policy import Policy
from tokmon.selection.reservations import CLOSE, NONE, Reservations, equal_to

_STICKY: Final = 1.5
"""How much more urgent another account must be before a session leaves its own: a switch loses prompt caches."""

_UNKNOWN: Final = "weekly usage unknown, assumed unused"
FEWER: Final = "fewer sessions than on accounts about as good"


@dataclass(frozen=True, slots=True)
class ProbeSummary:
    """One account that was probed for the choice: the request (`GET /path`), and what came back, if anything."""

    provider: str
    request: str
    http_status: int | None
    status: str
    elapsed_ms: float
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The choice. `emergency` is a failure, and is reported as one. Instants are epoch seconds."""

    provider: str
    model: str
    reason: str
    policy: str
    decided_at: float
    valid_until: float
    """Until when the same evidence gives the same choice; `decided_at` where that was not examined."""

    emergency: bool = False
    spends: bool = False
    """A session would be paid from credit."""

    pinned: bool = False
    ignored_refusals: bool = False
    """Every key of the chain was refused in the past, and that was not believed."""

    equal: tuple[str, ...] = ()
    """The accounts about as good for a new session, without the choice."""

    reservations: Reservations = NONE
    """The sessions that the choice took into account beside the figures."""

    probes: tuple[ProbeSummary, ...] = ()
    candidates: tuple[Candidate, ...] = ()

    def same_choice(self, other: "Decision") -> bool:
        """Whether both name the same account and model, at the same cost."""
        return (self.provider, self.model, self.emergency, self.spends) == (
            other.provider,
            other.model,
            other.emergency,
            other.spends,
        )


def choose(
    policy: Policy, snapshot: Snapshot, now: float, current: str | None = None, reservations: Reservations = NONE
) -> Decision | None:
    """The account for a session that starts now; None where no account is configured.

    `current` is the account of the last decision, on which the next session stays if that is safe. `reservations` are
    sessions that decide between accounts about as good.
    """
    candidates = evaluate(policy, snapshot, now)
    if policy.pin is not None:
        return _decision(policy, Choice(policy.pin, "pinned by TOKMON_PIN"), now, candidates)
    if not candidates:
        return None
    ignored = all_keys_refused(policy, candidates)
    for name in ignored:
        assessment = replace(
            candidates[name].assessment,
            fitness=Fitness.UNKNOWN,
            reason="every key of the chain was refused: not believed without a new probe",
            key_refused=False,
        )
        candidates[name] = replace(candidates[name], assessment=assessment)
    decision = _decision(policy, pick(policy, candidates, current, reservations), now, candidates)
    return replace(decision, ignored_refusals=bool(ignored), reservations=reservations)


class Choice(NamedTuple):
    """An account and the reason; `emergency` where no other account is usable; the accounts about as good."""

    provider: str
    reason: str
    emergency: bool = False
    equal: tuple[str, ...] = ()


def pick(
    policy: Policy, candidates: Mapping[str, Candidate], current: str | None, reservations: Reservations = NONE
) -> Choice:
    """The choice among the candidates, which must not be empty."""
    resume = policy.resume_account
    if resume in policy.chain and _can_resume(policy, candidates[resume]) and not _others_first(policy, candidates):
        return Choice(resume, "resuming on the same account: enough quota left")
    if policy.policy == "threshold":
        choice = _by_threshold(policy, candidates)
    else:
        choice = _by_forecast(policy, candidates, current, reservations)
    return choice or Choice(policy.emergency or policy.accounts[0], "no other account is usable", emergency=True)


def _can_resume(policy: Policy, candidate: Candidate) -> bool:
    """Whether a resumed session may stay where its prompt cache is: on a plan with enough quota left for it."""
    assessment = candidate.assessment
    if assessment.fitness in {Fitness.EXCLUDED, Fitness.BILLED} or assessment.check_failed or assessment.throttled:
        return False
    if policy.policy == "threshold":
        return (assessment.utilization("7d") or 0.0) < policy.threshold
    return _has_enough(candidate, policy)


def _others_first(policy: Policy, candidates: Mapping[str, Candidate]) -> bool:
    """Whether the provider of the resumed session is overloaded, and another account of the chain is not."""
    plan = [one for one in _eligible(candidates, policy.chain).plan if _has_enough(one, policy)]
    return candidates[policy.resume_account or ""].assessment.overloaded and _calm(plan) != plan


def all_keys_refused(policy: Policy, candidates: Mapping[str, Candidate]) -> list[str]:
    """Where every key of the chain is refused: the accounts for which no probe has just confirmed that."""
    chain = [candidates[name].assessment for name in policy.chain]
    if not all(assessment.key_refused for assessment in chain):
        return []
    return [assessment.provider for assessment in chain if not assessment.key_refused_by_probe]


class _Eligible(NamedTuple):
    """The candidates that may be taken, in order: those on their plan, and those that credit pays for."""

    plan: list[Candidate]
    credit: list[Candidate]


def _eligible(candidates: Mapping[str, Candidate], names: tuple[str, ...]) -> _Eligible:
    able = [candidates[name] for name in names if candidates[name].assessment.may_be_taken]
    # Whether a session starts at all comes before how much quota is left.
    able = [one for one in able if not (one.assessment.check_failed or one.assessment.throttled)] or able
    credit = [one for one in able if one.assessment.fitness is Fitness.BILLED]
    plan = [one for one in able if one.assessment.fitness is not Fitness.BILLED]
    # Neither an overload nor a network failure excludes anything; they only let others go first.
    plan.sort(key=lambda one: (one.assessment.overloaded, one.assessment.unreachable))
    return _Eligible(plan, credit)


def _reserve(policy: Policy, candidates: Mapping[str, Candidate]) -> list[Candidate]:
    """The accounts of the fallback that may be taken, with credit where `spend_credit` puts it."""
    plan, credit = _eligible(candidates, policy.fallback)
    return [*credit, *plan] if policy.spend_credit == "first" else [*plan, *credit]


def _by_threshold(policy: Policy, candidates: Mapping[str, Candidate]) -> Choice | None:
    """The first of the chain that is usable and under the threshold; the lowest if all are over; then the fallback."""
    checked = tuple(name for name in policy.chain if candidates[name].assessment.check_passed)
    plan, credit = _eligible(candidates, checked)
    if not plan and not credit:
        plan, credit = _eligible(candidates, policy.chain)
    if credit and (policy.spend_credit == "first" or not plan):
        return Choice(credit[0].provider, credit[0].assessment.reason)
    limit = _percent(policy.threshold)
    for candidate in plan:
        week = candidate.assessment.binding("7d")
        used = None if week is None else week.utilization
        only_reachable = not candidate.assessment.unreachable and any(one.assessment.unreachable for one in plan)
        note = "; the network failed for others" if only_reachable else ""
        if week is None or used is None:
            return Choice(candidate.provider, f"first of the chain; weekly usage unknown, assumed unused{note}")
        if used < policy.threshold:
            return Choice(
                candidate.provider, f"first of the chain under {limit}: {week.name} at {_percent(used)}{note}"
            )
    if plan:
        lowest = min(plan, key=lambda one: one.assessment.utilization("7d") or 0.0)
        used = lowest.assessment.utilization("7d") or 0.0
        return Choice(lowest.provider, f"all are over {limit}; the lowest 7d, at {_percent(used)}")
    return _from_fallback(policy, candidates)


def _percent(fraction: float) -> str:
    """With a tenth where there is one, not rounded up: a figure under the threshold must not look like one over it."""
    return f"{math.floor(fraction * 1000 + 1e-6) / 10:g}%"


def _from_fallback(policy: Policy, candidates: Mapping[str, Candidate]) -> Choice | None:
    able = _reserve(policy, candidates)
    return Choice(able[0].provider, "no account of the chain is usable") if able else None


def _by_forecast(
    policy: Policy, candidates: Mapping[str, Candidate], current: str | None, reservations: Reservations
) -> Choice | None:
    """The account with enough quota for the session whose week expires soonest; else the one that lasts longest."""
    plan, credit = _eligible(candidates, policy.chain)
    safe = _calm([candidate for candidate in plan if _has_enough(candidate, policy)])
    if policy.spend_credit == "first" and credit:
        return Choice(credit[0].provider, f"{credit[0].assessment.reason}, which expires")
    if safe:
        return _most_urgent(safe, current, reservations)
    if credit:
        return Choice(credit[0].provider, f"no plan has enough quota for a session; {credit[0].assessment.reason}")
    reserve = [candidate for candidate in _reserve(policy, candidates) if _has_enough(candidate, policy)]
    if reserve:
        return Choice(reserve[0].provider, "no account of the chain has enough quota for a session")
    if plan:
        longest = max(plan, key=_lasting_s)
        reason = f"no account has enough quota for a session; this one lasts longest ({_limit_of(longest)})"
        return Choice(longest.provider, reason)
    return _from_fallback(policy, candidates)


def _calm(candidates: list[Candidate]) -> list[Candidate]:
    """Those whose provider is not overloaded; all if there are no such: an overload never leads to a paid account."""
    return [candidate for candidate in candidates if not candidate.assessment.overloaded] or candidates


def _has_enough(candidate: Candidate, policy: Policy) -> bool:
    """Whether no window would be used up within the session, and 5h is below its guard now."""
    return candidate.exhausted is None and (candidate.assessment.utilization("5h") or 0.0) < policy.five_hour_guard


def _lasting_s(candidate: Candidate) -> float:
    """Seconds until the first window would be used up; infinity where only the 5h guard is passed."""
    exhausted = candidate.exhausted
    return math.inf if exhausted is None or exhausted.hits_in_s is None else exhausted.hits_in_s


def _limit_of(candidate: Candidate) -> str:
    exhausted = candidate.exhausted
    if exhausted is None or exhausted.hits_in_s is None:
        return "past the 5h guard"
    return f"{exhausted.name} used up in {exhausted.hits_in_s / 60:.0f} min"


def _most_urgent(safe: list[Candidate], current: str | None, reservations: Reservations) -> Choice:
    most = max(candidate.urgency for candidate in safe)
    urgent = [candidate for candidate in safe if candidate.urgency * _STICKY >= most]
    last = [one for one in urgent if one.provider == current and not one.assessment.unreachable]
    first = next(iter(last), None) or next(candidate for candidate in urgent if candidate.urgency * CLOSE >= most)
    chosen = reservations.spread(first, urgent, stays=bool(last))
    quota = quota_reason(chosen)
    if reservations.on(chosen) < reservations.on(first):
        reason = f"{quota}, and {FEWER}"
    elif last:
        reason = f"staying: {quota}, and no other account's quota expires much sooner"
    else:
        reason = quota if quota == _UNKNOWN else f"{quota}; its weekly quota expires soonest unused"
    equal = (candidate.provider for candidate in equal_to(chosen, safe) if candidate is not chosen)
    return Choice(chosen.provider, reason, equal=tuple(equal))


def quota_reason(candidate: Candidate) -> str:
    """Why the account can take a session."""
    return _UNKNOWN if candidate.assessment.utilization("7d") is None else "enough quota for a session"


def _decision(policy: Policy, choice: Choice, now: float, candidates: Mapping[str, Candidate]) -> Decision:
    taken = candidates.get(choice.provider)
    return Decision(
        provider=choice.provider,
        model=policy.model_of(choice.provider),
        reason=choice.reason,
        policy=policy.policy,
        decided_at=now,
        valid_until=now,
        emergency=choice.emergency,
        spends=taken is not None and taken.assessment.fitness is Fitness.BILLED,
        pinned=policy.pin is not None,
        equal=choice.equal,
        candidates=tuple(candidates.values()),
    )
