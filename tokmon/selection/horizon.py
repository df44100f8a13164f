"""Until when the same evidence gives the same decision. Pure, like the choice itself."""

from collections.abc import Iterator
from typing import Final

from tokmon.evidence.snapshot import Snapshot
from tokmon.selection.choose import Decision, choose
from tokmon.selection.policy import Policy
from tokmon.selection.probe_choice import Probeable, probes_first

LONGEST_S: Final = 3600.0
"""How far a decision may reach. A clock set back hides newer evidence for no longer than that."""

STEP_S: Final = 300.0
"""Burn and urgency change all the time, slowly: the choice is made again every so often in between."""

_ASSESSMENTS: Final = 420
"""How many accounts are assessed in all, since somebody may wait: sixty choices among seven accounts."""


def holds_until(policy: Policy, snapshot: Snapshot, decision: Decision, probeable: Probeable) -> float:
    """The first instant (epoch seconds) at which the same evidence gives another choice, or a wake would probe.

    The choice is made again at each instant at which something changes by itself (a window resets, a block ends,
    evidence gets too old) and every five minutes between, by a wake whose last account is the one decided for, with
    the same reservations. It is another choice also where an account is no longer about as good.
    `decision.decided_at` where it would not even be made again now.
    """
    at, end = decision.decided_at, decision.decided_at + LONGEST_S
    for _ in range(max(2, _ASSESSMENTS // max(1, len(policy.accounts)))):
        again = choose(policy, snapshot, at, decision.provider, decision.reservations)
        if again is None or not again.same_choice(decision) or not {*decision.equal} <= {*again.equal}:
            return at
        if probes_first(policy, snapshot, again, decision.provider, probeable):
            return at
        at = min((at + STEP_S, *(change for change in _changes(again) if change > at)))
        if at >= end:
            return end
    return at


def _changes(decision: Decision) -> Iterator[float]:
    """When evidence ceases to count, and when current windows reset, in epoch seconds."""
    for candidate in decision.candidates:
        yield candidate.changes_at
        for window in candidate.assessment.windows:
            if window.resets_at is not None:
                yield window.resets_at
