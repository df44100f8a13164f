"""For how long the same evidence gives the same decision. Pure, like the choice itself.

What was decided at one instant counts for `VALID_S` at most, so the choice is looked at anew at every step of that, and
wherever evidence ends or a window starts afresh in between: at each of them as whoever asks then would make it, being
on the account that was decided for. It is not interpolated: what is between two steps has the answer of the first of
them, and only a burn or an urgency may have come to say something else there.
"""

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from tokmon.evidence.snapshot import Snapshot
from tokmon.selection.choose import VALID_S, Decision, changes, choose, crossings
from tokmon.selection.policy import Policy
from tokmon.selection.probe_choice import Askable, asks_first

if TYPE_CHECKING:
    from tokmon.selection.candidates import Seen

STEPS: Final = 240
"""How many are worth it: two hours."""

_LOOKS: Final = 840
"""How many accounts are looked at in all, by who is being waited for: some milliseconds. With seven, an hour."""


class Ahead(NamedTuple):
    """The decision is the same until then (epoch seconds). `crossing_s`: how soon a limit would be reached, at least.

    What that limit says will have changed then, so nobody should go on with the decision without a look at the logs.
    """

    until: float
    crossing_s: float


def looking_ahead(policy: Policy, snapshot: Snapshot, decision: Decision, askable: Askable) -> Iterator[Ahead]:
    """One step further each time, to the first at which the same evidence says something else."""
    at, crossing = decision.decided_at, VALID_S
    before: dict[str, Seen] = {}
    while True:
        found = choose(policy, snapshot, at, decision.provider, before)
        if found is None or _said(found) != _said(decision):
            return
        if asks_first(policy, snapshot, found, decision.provider, askable):
            return
        crossing = min([crossing, *crossings(found.alternatives)])
        at = min([at + VALID_S, *changes(found.alternatives)])
        yield Ahead(at, crossing)


def look_ahead(policy: Policy, snapshot: Snapshot, decision: Decision, askable: Askable) -> Ahead | None:
    """As far as can be seen while somebody waits; None where the decision would not even be taken again."""
    found = None
    steps = min(STEPS, _LOOKS // max(1, len(policy.order)))
    for found in islice(looking_ahead(policy, snapshot, decision, askable), steps):  # noqa: B007
        pass
    return found


def _said(decision: Decision) -> tuple[str, str, bool, bool]:
    return decision.provider, decision.model, decision.emergency, decision.spends
