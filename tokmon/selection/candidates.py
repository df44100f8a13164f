"""Every account of a policy as of an instant: what the evidence says of it, and as a session would leave it. Pure."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from tokmon.evidence.model import Window
from tokmon.evidence.snapshot import Account, Snapshot
from tokmon.selection import demand
from tokmon.selection.assessment import Standing, standing
from tokmon.selection.expiry import changes_at, next_of
from tokmon.selection.policy import Policy


class Alternative(msgspec.Struct, frozen=True):
    """One account that was looked at: what it is good for, and what the session would do to it."""

    standing: Standing
    projections: tuple[demand.Projection, ...] = ()
    urgency: float = 0.0
    changes_at: float = math.inf
    """When what is known of it changes by itself, in epoch seconds: but for its windows and its burn."""

    @property
    def unsafe(self) -> demand.Projection | None:
        """The window that would be used up first within the session."""
        hits = [each for each in self.projections if each.hits_in_s is not None]
        return min(hits, key=lambda each: each.hits_in_s or 0.0, default=None)


class Seen(NamedTuple):
    """What is known of an account, but for its age the same until that instant (epoch seconds)."""

    standing: Standing
    windows: Mapping[str, Window | None]
    """Those that a session is projected onto, as far as they stand."""

    week_ends: float | None
    """When its last known week ended, or will: the next ones have the same slot."""

    rates: Mapping[str, demand.Rates]
    late: Mapping[str, float]
    changes_at: float
    until: float


def look(
    policy: Policy, snapshot: Snapshot, now: float, before: dict[str, Seen] | None = None
) -> dict[str, Alternative]:
    """Every account of the policy, in its order.

    `before` is for who looks again and again, ever later, at one snapshot by one policy: what has not changed since is
    taken from there, and the ages that are told are those of then.
    """
    before = {} if before is None else before
    for name in policy.order:
        if name not in before or now >= before[name].until:
            before[name] = _seen(name, snapshot.accounts.get(name), policy, now)
    session = demand.typical_session(each.rates for each in before.values())
    hours = policy.session_minutes / 60
    found = {}
    for name in policy.order:
        each = before[name]
        burn = demand.Burn(each.late, session)
        projections = tuple(demand.project(name, window, burn, hours, now) for name, window in each.windows.items())
        urgency = demand.dying(each.windows["7d"], each.week_ends, now)
        found[name] = Alternative(each.standing, projections, urgency * demand.room(projections), each.changes_at)
    return found


def _seen(name: str, account: Account | None, policy: Policy, now: float) -> Seen:
    ends = changes_at(account, now)
    windows = () if account is None else account.windows.values()
    resets = (each.window.resets_at for each in windows if each.window.resets_at is not None)
    until = min(ends, demand.changes_at(account, now), next_of(resets, now))
    told, rates = standing(name, account, policy, now), demand.measured(account, now)
    week = None if account is None else account.windows.get("7d")
    return Seen(
        told,
        {window: told.window(window) for window in demand.WATCHED},
        None if week is None else week.window.resets_at,
        rates,
        {window: of.late for window, of in rates.items()},
        ends,
        until,
    )
