"""Choosing again between accounts about as good, when more sessions were sent to them meanwhile. Pure."""

from dataclasses import replace

from tokmon.selection.choose import FEWER, Decision, quota_reason
from tokmon.selection.policy import Policy
from tokmon.selection.reservations import Reservations


def choose_again(decision: Decision, policy: Policy, reservations: Reservations) -> Decision:
    """The decision, or one for an account about as good where that has fewer sessions by now. It holds for as long."""
    decision = replace(decision, reservations=reservations)
    if not decision.equal:
        return decision
    group = [one for one in decision.candidates if one.provider in {decision.provider, *decision.equal}]
    first = next(candidate for candidate in group if candidate.provider == decision.provider)
    chosen = reservations.spread(first, group, stays=True)
    if chosen is first:
        return decision
    return replace(
        decision,
        provider=chosen.provider,
        model=policy.model_of(chosen.provider),
        reason=f"{quota_reason(chosen)}, and {FEWER}",
        equal=tuple(candidate.provider for candidate in group if candidate is not chosen),
    )
