"""Which accounts a wake probes: those whose answer could change its choice, and no other (docs/policy.md). Pure."""

from collections.abc import Callable, Collection, Container
from dataclasses import replace
from typing import Final

from tokmon.evidence.history import History
from tokmon.evidence.log_line import SERVED
from tokmon.evidence.model import Status
from tokmon.evidence.snapshot import Account, Snapshot, Stamp
from tokmon.selection.assessment import Assessment, Fitness, assess
from tokmon.selection.candidates import Candidate, evaluate
from tokmon.selection.choose import Decision, all_keys_refused, pick
from tokmon.selection.current import PROBE_S, TURN_S
from tokmon.selection.demand import WATCHED
from tokmon.selection.policy import Policy
from tokmon.selection.reservations import NONE, Reservations

Probeable = Callable[[float], Container[str]]
"""The accounts that could be probed at an instant (epoch seconds), whatever the environment of the wake."""

_LAST: Final = "\U0010ffff"
"""An id that comes after all others: an answer is later than all evidence of the same instant."""

_VOUCHES: Final = frozenset({*SERVED, Status.REJECTED})
"""Last statuses after which the windows alone still describe an account: a limit ends with its window."""


def providers_to_probe(
    policy: Policy,
    snapshot: Snapshot,
    now: float,
    current: str | None = None,
    *,
    probeable: Container[str] | None = None,
    reservations: Reservations = NONE,
) -> tuple[str, ...]:
    """The accounts to probe before choosing, in the order of the policy; empty where no answer would change the choice.

    They are the uncertain accounts with which the choice would be another if they alone, of all uncertain ones, had a
    valid key. The fallback waits until no account of the chain is left to probe. Accounts outside `probeable` (None:
    all can be probed) are taken as they are. How often an account may be probed is another rule (`probes.rate_limit`).
    """
    if policy.pin is not None or not policy.accounts:
        return ()
    candidates = evaluate(policy, snapshot, now)
    if refused := all_keys_refused(policy, candidates):
        return _only(refused, probeable)
    uncertain = _only([name for name in candidates if is_uncertain(name, snapshot, policy, now)], probeable)
    without = candidates | {name: _assume_excluded(candidates[name]) for name in uncertain}
    choice = pick(policy, without, current, reservations).provider
    valid = {name: _assume_valid(candidates[name], snapshot, policy, now) for name in uncertain}
    matter = [
        name
        for name in uncertain
        if pick(policy, without | {name: valid[name]}, current, reservations).provider != choice
    ]
    return tuple(name for name in matter if name in policy.chain) or tuple(matter)


def probes_first(
    policy: Policy, snapshot: Snapshot, decision: Decision, current: str | None, probeable: Probeable
) -> bool:
    """Whether a wake that makes this decision, with `current` as its last account, would probe before it.

    Which accounts can be probed is looked up only where one is uncertain.
    """
    at, reservations = decision.decided_at, decision.reservations
    assessments = [candidate.assessment for candidate in decision.candidates]
    if not any(one.key_refused or one.fitness is Fitness.UNKNOWN for one in assessments):
        return False
    if not providers_to_probe(policy, snapshot, at, current, reservations=reservations):
        return False
    able = probeable(at)
    return bool(providers_to_probe(policy, snapshot, at, current, probeable=able, reservations=reservations))


def _only(names: Collection[str], probeable: Container[str] | None) -> tuple[str, ...]:
    return tuple(name for name in names if probeable is None or name in probeable)


def is_uncertain(name: str, snapshot: Snapshot, policy: Policy, now: float) -> bool:
    """Whether there is no current evidence of the account: neither a status nor a window.

    A refused key is uncertain once the refusal is older than a probe may be: keys flap.
    """
    account = snapshot.accounts.get(name)
    if account is None:
        return True
    assessment, history = assess(name, account, policy, now), account.history
    if assessment.key_refused:
        refusals = [evidence.stamp.ts for evidence in history.key_refusals.values()]
        old = now - max(refusals, default=now) > PROBE_S
        return old and _with_valid_key(name, account, policy, now).may_be_taken
    return assessment.fitness is Fitness.UNKNOWN and not _windows_describe_it(account, history, now)


def _windows_describe_it(account: Account, history: History, now: float) -> bool:
    """Whether an account without a current status is known all the same: its key just worked, or it has windows.

    A window counts for a day after its reset: that it reset is known, and no reason to probe.
    """
    statuses = [*history.by_source.values(), *history.key_refusals.values()]
    last = max(statuses, key=lambda evidence: evidence.stamp, default=None)
    served = history.last_served
    if served is not None and last is not None and served < last.stamp:
        served = None
    if served is not None and now - served.ts <= PROBE_S:
        return True
    resets = [account.windows[name].window.resets_at for name in WATCHED if name in account.windows]
    recent = any(resets_at is not None and now - resets_at <= TURN_S for resets_at in resets)
    return recent and (served is not None or (last is not None and last.status in _VOUCHES))


def _assume_excluded(candidate: Candidate) -> Candidate:
    assessment = replace(candidate.assessment, fitness=Fitness.EXCLUDED, key_refused=False)
    return replace(candidate, assessment=assessment)


def _assume_valid(candidate: Candidate, snapshot: Snapshot, policy: Policy, now: float) -> Candidate:
    """The candidate, had a probe just shown its key to be valid."""
    name = candidate.provider
    account = snapshot.accounts.get(name) or Account(name)
    return replace(candidate, assessment=_with_valid_key(name, account, policy, now))


def _with_valid_key(name: str, account: Account, policy: Policy, now: float) -> Assessment:
    history = replace(account.history, last_served=Stamp(now, _LAST, "probe"))
    return assess(name, replace(account, history=history), policy, now)
