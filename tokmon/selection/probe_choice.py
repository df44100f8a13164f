"""Which accounts a wake asks: those on whose answer its choice depends, and no other (docs/policy.md)."""

from collections.abc import Callable, Collection, Container
from dataclasses import replace
from typing import Final

import msgspec

from tokmon.evidence.history import History
from tokmon.evidence.log_line import SERVED, Stamp
from tokmon.evidence.model import Status
from tokmon.evidence.snapshot import Account, Snapshot
from tokmon.selection.assessment import PROBE_S, TURN_S, Standing, Verdict, standing
from tokmon.selection.candidates import Alternative, look
from tokmon.selection.choose import Decision, cached_refusals, pick
from tokmon.selection.demand import WATCHED
from tokmon.selection.policy import Policy

Askable = Callable[[float], Container[str]]
"""Who could be asked at an instant (epoch seconds), whatever the environment of who asks."""

_LAST: Final = "\U0010ffff"
"""An id that comes after all others: an answer is later than whatever is known of the same instant."""

_VOUCHES: Final = frozenset({*SERVED, Status.REJECTED})
"""What the last word of an account may be for its windows to go on without it: a limit is over when it is."""


def wanted(
    policy: Policy,
    snapshot: Snapshot,
    now: float,
    current: str | None = None,
    *,
    askable: Container[str] | None = None,
) -> tuple[str, ...]:
    """The accounts to ask before choosing, in the order of the policy; empty where no answer would change the choice.

    It is those of which nothing stands, and with which the choice would be another if they alone of all such accounts
    were found to answer. The fallback waits until nobody of the chain is left to ask. `askable` are those that can be
    asked, all if not given; the others are taken as they are. Whose turn it is to be asked is another matter.
    """
    if policy.pin is not None or not policy.order:
        return ()
    seen = look(policy, snapshot, now)
    if refused := cached_refusals(policy, seen):
        return _those(refused, askable)
    unknown = _those([name for name in seen if doubtful(name, snapshot, policy, now)], askable)
    dead = seen | {name: _dead(seen[name]) for name in unknown}
    without = pick(policy, dead, current).provider
    found = [
        name
        for name in unknown
        if pick(policy, dead | {name: _answering(seen[name], snapshot, policy, now)}, current).provider != without
    ]
    return tuple(name for name in found if name in policy.chain) or tuple(found)


def asks_first(policy: Policy, snapshot: Snapshot, found: Decision, current: str | None, askable: Askable) -> bool:
    """Whether whoever makes that decision, being on `current`, would ask somebody before.

    Only those in doubt are asked, few are, and the decision has looked at all already.
    """
    at = found.decided_at
    in_doubt = any(each.standing.denied or each.standing.verdict is Verdict.UNKNOWN for each in found.alternatives)
    if not in_doubt or not wanted(policy, snapshot, at, current):
        return False
    return bool(wanted(policy, snapshot, at, current, askable=askable(at)))


def _those(names: Collection[str], askable: Container[str] | None) -> tuple[str, ...]:
    return tuple(name for name in names if askable is None or name in askable)


def doubtful(name: str, snapshot: Snapshot, policy: Policy, now: float) -> bool:
    """Whether nothing stands of it: neither what it said last, nor a window.

    A refused key is in doubt once that is older than what a probe says may be: keys flap.
    """
    account = snapshot.accounts.get(name)
    if account is None:
        return True
    told, past = standing(name, account, policy, now), account.history
    if told.denied:
        refusals = [seen.stamp.ts for seen in past.key_refusals.values()]
        old = now - max(refusals, default=now) > PROBE_S
        return old and _with_valid_key(name, account, policy, now).verdict is not Verdict.EXCLUDED
    return told.verdict is Verdict.UNKNOWN and not _goes_on(account, past, now)


def _goes_on(account: Account, past: History, now: float) -> bool:
    """Whether it is known although no status stands: its key has just worked, or it has windows, and did not end badly.

    A window goes on for a day after its reset: that it has started afresh is known, and no reason to ask.
    """
    last = max([*past.by_source.values(), *past.key_refusals.values()], key=lambda seen: seen.stamp, default=None)
    worked = (
        past.last_served
        if past.last_served is not None and (last is None or not past.last_served < last.stamp)
        else None
    )
    if worked is not None and now - worked.ts <= PROBE_S:
        return True
    resets = [account.windows[name].window.resets_at for name in WATCHED if name in account.windows]
    fresh = any(resets_at is not None and now - resets_at <= TURN_S for resets_at in resets)
    return fresh and (worked is not None or (last is not None and last.status in _VOUCHES))


def _dead(each: Alternative) -> Alternative:
    told = msgspec.structs.replace(each.standing, verdict=Verdict.EXCLUDED, denied=False)
    return msgspec.structs.replace(each, standing=told)


def _answering(each: Alternative, snapshot: Snapshot, policy: Policy, now: float) -> Alternative:
    """The same, had its key just been shown to be valid."""
    name = each.standing.provider
    told = _with_valid_key(name, snapshot.accounts.get(name) or Account(name), policy, now)
    return msgspec.structs.replace(each, standing=told)


def _with_valid_key(name: str, account: Account, policy: Policy, now: float) -> Standing:
    history = replace(account.history, last_served=Stamp(now, _LAST, "probe"))
    return standing(name, replace(account, history=history), policy, now)
