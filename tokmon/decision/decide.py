"""The one place that decides: `select`, the sidecar, `monitor`, `check` and the installer all come here."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tokmon.decision import decision_file, policy_cache, reserve, sharing
from tokmon.decision.deadline import seconds_left
from tokmon.decision.decision_file import LONGEST_S, MAX_EQUAL, DecisionFile
from tokmon.decision.inputs import Inputs
from tokmon.decision.policy_cache import LoadedPolicy
from tokmon.decision.reserve import Company
from tokmon.errors import StoreError, reason_of
from tokmon.evidence.snapshot import Snapshot, fold
from tokmon.paths import Paths, private_folder
from tokmon.pi import check_file
from tokmon.selection.choose import Decision, ProbeSummary, choose
from tokmon.selection.choose_again import choose_again
from tokmon.selection.decision_json import decision_json
from tokmon.selection.horizon import holds_until
from tokmon.selection.overrides import config_vars
from tokmon.selection.policy import Policy
from tokmon.selection.probe_choice import Probeable, providers_to_probe
from tokmon.store import state_file
from tokmon.store.append import append_unlocked
from tokmon.store.codec import encode
from tokmon.store.state_file import State
from tokmon.wire.instants import rfc3339

if TYPE_CHECKING:
    from tokmon.probes import Slot

_RESERVE_S: Final = 0.7
"""To choose, to publish and to print, once the logs have been read as far as the deadline allows."""

UNCOVERED_S: Final = 60.0
"""How long a decision holds that rests on more than its file lists, or on a part of the logs, or while other members
publish and no sidecar reads that."""

Warn = Callable[[str], None]


class Situation(NamedTuple):
    """What a choice rests on: the policy in use, and everything known of the accounts."""

    policy: Policy
    """With a proposed chain where none is configured."""

    others: Policy
    """The policy that would be proposed: the model of an account that is not in `policy` is the one it has here."""

    snapshot: Snapshot


def situation(
    paths: Paths, env: Mapping[str, str], *, more: Iterable[str] = (), lines: Iterable[Mapping[str, Any]] = ()
) -> Situation:
    """The policy and the evidence now, with pi checks and what other members know, for all accounts and for `more`.

    `lines` are log lines that may not be in a log.
    """
    loaded = policy_cache.with_chain(paths, policy_cache.load(paths, env), env)
    snapshot = fold(state_file.current(paths).snapshot, lines)
    known = _known(paths, env, loaded, snapshot, (*snapshot.accounts, *more))
    return Situation(loaded.policy, policy_cache.propose(paths, loaded.policy, env), known)


def decide(
    paths: Paths, env: Mapping[str, str], warn: Warn, *, resume_account: str | None = None, probe: bool = True
) -> tuple[Decision | None, Policy]:
    """Decide for the session that starts now, publish that for the next wakes, record it, and announce it to others.

    `resume_account` overrides `TOKMON_RESUME`. With `probe`, uncertain accounts are probed first where an answer
    could change the choice, within the wake's deadline. Nothing that fails on the way stops the choice: it goes to
    `warn`. The decision is None where no account is configured.
    """
    inputs = _begin(paths, warn)
    loaded = policy_cache.with_chain(paths, policy_cache.load(paths, env), env)
    for error in loaded.errors:
        warn(f"{error}; in use: {loaded.source.value}")
    if resume_account is not None:
        loaded = loaded._replace(policy=replace(loaded.policy, resume_account=resume_account))
    waits = bool(env.get("TOKMON_DEADLINE_MS"))  # a hook does; a person may as well have all logs read
    deadline = time.monotonic() + seconds_left(env) - _RESERVE_S if waits else None
    state = state_file.current(paths, deadline)
    file = decision_file.path_of(paths, env)
    current = decision_file.last_account(file)
    company = reserve.company(paths, env, loaded.pool)
    results: tuple[ProbeSummary, ...] = ()
    if probe and (results := _probe(paths, env, loaded, state, current, company, warn)):
        inputs.read_evidence_again()
        state_file.catch_up(state, paths, deadline)
        company = reserve.company(paths, env, loaded.pool)
    decision = _choose(paths, env, loaded, state, current, company)
    if decision is None:
        return None, loaded.policy
    decision = replace(decision, probes=results)
    # Of many processes that decide at once each counts those before it: nothing slow comes between these lines.
    decision = choose_again(decision, loaded.policy, reserve.company(paths, env, loaded.pool).reservations)
    with _warned(warn, f"the decision was not published: `{file}`"):
        if not overridden(env, loaded.policy) and decision.provider not in loaded.environment_accounts:
            publish(file, decision, loaded, inputs, paths)
    with _warned(warn, f"the decision was not recorded: `{paths.decisions}`"):
        record(paths, decision, "select")
    with _warned(warn, f"the other members were not told: `{paths.pool}`"):
        reserve.announce(paths, env, loaded, decision)
        sharing.publish(paths, env, loaded.pool, state)
    return decision, loaded.policy


@contextlib.contextmanager
def _warned(warn: Warn, what: str) -> Iterator[None]:
    """Warn of what failed, with the reason."""
    try:
        yield
    except (OSError, StoreError, ValueError) as error:
        warn(f"{what}: {reason_of(error)}")


def refresh(
    paths: Paths, env: Mapping[str, str], source: str, state: State | None = None, *, watches: bool = False
) -> float | None:
    """Decide for the next wake, in a process that has new evidence; when (epoch seconds) to do so again.

    None where no later instant calls for it: no account is configured, the configuration is invalid or was not
    validated yet, the environment overrides the choice or has the key for it, or a wake would probe before it. Nothing
    is probed here. `state` is that of a caller which reads the logs itself; one that `watches` does this again when
    other members publish. OSError or StoreError if the file cannot be written.
    """
    private_folder(paths.state)
    private_folder(paths.logs)
    inputs = Inputs(paths)
    validated = policy_cache.cached(paths, env)
    if validated is None or validated.errors or overridden(env, validated.policy):
        return None
    loaded = policy_cache.with_chain(paths, validated, env)
    if state is None:
        state = state_file.current(paths)
    else:
        state_file.catch_up(state, paths)
    file = decision_file.path_of(paths, env)
    before = decision_file.read(file)
    company = reserve.company(paths, env, loaded.pool, watches=watches)
    decision = _choose(paths, env, loaded, state, None if before is None else before.account, company)
    if decision is None or decision.provider in loaded.environment_accounts:
        return None
    publish(file, decision, loaded, inputs, paths)
    if before is None or not before.inputs or before.choice != (decision.provider, decision.model):
        record(paths, decision, source)
    return decision.valid_until if decision.valid_until > decision.decided_at else None


def refresh_quietly(paths: Paths, env: Mapping[str, str], source: str) -> None:
    """The same for a command that has logged new evidence. A failure costs the next wake time, and nothing else."""
    with contextlib.suppress(OSError, StoreError, ValueError):
        settings = policy_cache.load(paths, env).pool
        sharing.publish(paths, env, settings, state_file.current(paths))
        refresh(paths, env, source)


def overridden(env: Mapping[str, str], policy: Policy) -> bool:
    """Whether this environment asks for another choice than every other wake would get."""
    return policy.pin is not None or policy.resume_account is not None or bool(config_vars(env))


def publish(file: Path, decision: Decision, loaded: LoadedPolicy, inputs: Inputs, paths: Paths) -> None:
    """Write the decision file; OSError, StoreError or ValueError if that fails.

    After an invalid configuration the decision is left as the last one only, and holds for no wake: each shall warn.
    """
    listed, covered = inputs.listed(loaded.check_file)
    seconds = 0 if loaded.errors else min(LONGEST_S, int(decision.valid_until - decision.decided_at))
    now = decision_file.clock()
    content = DecisionFile(
        now,
        now.uptime + (seconds if covered else min(seconds, int(UNCOVERED_S))),
        (decision.provider, decision.model),
        decision_file.places_of(paths),
        accounts=loaded.shared,
        equal=tuple(pair for pair in loaded.shared if pair[0] in decision.equal)[:MAX_EQUAL],
        inputs=tuple(listed),
    )
    decision_file.write(file, content, inputs.instant_ns)


def record(paths: Paths, decision: Decision, source: str) -> None:
    """Append the decision to `decisions.jsonl`, without a lock; OSError or StoreError if it cannot be written."""
    line = {"ts": rfc3339(decision.decided_at), "source": source, **decision_json(decision)}
    append_unlocked(paths.decisions, encode(line))


def _begin(paths: Paths, warn: Warn) -> Inputs:
    for folder in (paths.state, paths.logs):
        try:
            private_folder(folder)
        except StoreError as error:
            warn(str(error))
    try:
        state_file.require_readable(paths)
    except StoreError as error:
        warn(str(error))
    return Inputs(paths)


def _choose(
    paths: Paths, env: Mapping[str, str], loaded: LoadedPolicy, state: State, current: str | None, company: Company
) -> Decision | None:
    """The choice now, with the instant until which it holds."""
    policy, snapshot = loaded.policy, _known(paths, env, loaded, state.snapshot)
    decision = choose(policy, snapshot, time.time(), current, company.reservations)
    if decision is None:
        return None
    until = holds_until(policy, snapshot, decision, _probeable(paths, env, loaded, state.snapshot))
    until = min(until, check_file.valid_until(loaded.check_file, decision.decided_at))
    # A line that was set aside for its clock counts when its time comes; the oldest lines of a long log, when read.
    until = min(until, state.early.due_at)
    if state.early.due_at < inf or not state.complete or company.unwatched:
        until = min(until, decision.decided_at + UNCOVERED_S)
    return replace(decision, valid_until=max(until, decision.decided_at))


def _known(
    paths: Paths, env: Mapping[str, str], loaded: LoadedPolicy, snapshot: Snapshot, more: Iterable[str] = ()
) -> Snapshot:
    """The snapshot with the results of pi checks, and with what other members know of its accounts and of these."""
    names = {*loaded.policy.accounts, *more}
    with_checks = check_file.merge_check_results(snapshot, loaded.check_file, names, time.time())
    return sharing.with_members(paths, env, loaded.pool, with_checks, names)


def _probe(
    paths: Paths,
    env: Mapping[str, str],
    loaded: LoadedPolicy,
    state: State,
    current: str | None,
    company: Company,
    warn: Warn,
) -> tuple[ProbeSummary, ...]:
    """Probe the accounts on whose answer the choice depends, and add the answers to the state."""

    def snapshot() -> Snapshot:
        return _known(paths, env, loaded, state.snapshot)

    try:
        reservations = company.reservations
        if not providers_to_probe(loaded.policy, snapshot(), time.time(), current, reservations=reservations):
            return ()
        from tokmon.decision import probe_before_choice  # noqa: PLC0415 - few wakes probe, and it takes long to import

        return probe_before_choice.probe(paths, loaded, state, snapshot, current, reservations, warn)
    except Exception as error:  # noqa: BLE001 - a wake goes on with the evidence it has
        warn(f"no account was probed: {str(error) or type(error).__name__}")
    return ()


def _probeable(paths: Paths, env: Mapping[str, str], loaded: LoadedPolicy, snapshot: Snapshot) -> Probeable:
    """The accounts that a wake might probe at an instant, whatever its environment.

    Without those that cannot be probed at all, by what pi is configured with, or not again yet. Looked up once, and
    only where an account is uncertain.
    """

    @cache
    def slots() -> Mapping[str, "Slot"]:
        from tokmon import probes  # noqa: PLC0415 - where no account is uncertain none is probed
        from tokmon.decision.probing import limiter  # noqa: PLC0415

        now = time.time()
        targets = probes.targets(paths, env, now)
        able = [
            name
            for name, target in targets.items()
            if target.in_other_environment or probes.unavailable_reason(target) is None
        ]
        return limiter(paths, env, loaded.pool, snapshot, loaded.policy.accounts).slots(able, now)

    return lambda at: frozenset(name for name, slot in slots().items() if slot.may_be_probed(at))
