"""Probing at the wake: the accounts on whose answer the choice depends, within what is left of the deadline.

Where another process of the host has just claimed an account's probe, this one waits for its result: a session lasts
an hour, and fifty sessions that start at once on an account that does not answer cost more than a second.
"""

import contextlib
import os
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Final

from tokmon import probes
from tokmon.decision import probing, sharing
from tokmon.decision.deadline import seconds_left
from tokmon.decision.policy_cache import LoadedPolicy
from tokmon.errors import StoreError, reason_of
from tokmon.evidence.snapshot import Snapshot, fold
from tokmon.paths import Paths
from tokmon.probes import ProbeTarget, unavailable_reason
from tokmon.probes.rate_limit import ProbeLimiter
from tokmon.probes.records import granted_targets, outcomes, probe_line
from tokmon.selection.choose import ProbeSummary
from tokmon.selection.probe_choice import providers_to_probe
from tokmon.selection.reservations import Reservations
from tokmon.store import state_file
from tokmon.store.codec import encode
from tokmon.store.log import append_to
from tokmon.store.state_file import State

if TYPE_CHECKING:
    from tokmon.probes.request import ProbeResult

_RESERVE_S: Final = 0.3
"""To decide, to publish, to print, and to end."""

_WORTH_S: Final = 0.5
"""Less is not enough to import `httpx` and to get an answer."""

_LOCK_S: Final = 1.0
"""Many processes may want the lock at once, each for a moment."""

_POLL_S: Final = 0.05
_SHOWN: Final = 100

Warn = Callable[[str], None]


def probe(
    paths: Paths,
    loaded: LoadedPolicy,
    state: State,
    snapshot: Callable[[], Snapshot],
    current: str | None,
    reservations: Reservations,
    warn: Warn,
) -> tuple[ProbeSummary, ...]:
    """Probe, add the answers to `state`, and return what was probed. `snapshot` is what a choice sees now.

    StoreError where the claims of accounts cannot be written. Where no provider answers, nothing is concluded.
    """
    policy, until = loaded.policy, time.monotonic() + seconds_left(os.environ) - _RESERVE_S
    limiter = probing.limiter(paths, os.environ, loaded.pool, state.snapshot, policy.accounts)
    targets = probes.targets(paths, os.environ, time.time())
    able = {name: target for name, target in targets.items() if unavailable_reason(target) is None}
    results: list[ProbeSummary] = []
    tried: set[str] = set()
    while until - time.monotonic() > _WORTH_S:
        now = time.time()
        slots = limiter.slots(able, now)
        probeable = {name for name, slot in slots.items() if slot.may_be_probed(now)} - tried
        names = providers_to_probe(policy, snapshot(), now, current, probeable=probeable, reservations=reservations)
        if not names:
            break
        tried.update(names)
        slots = limiter.claim(names, time.time(), patience_s=_patience(until))
        claimed = granted_targets({name: able[name] for name in names}, slots)
        if claimed:
            results += _probe(paths, limiter, loaded, claimed, state, until, warn)
        if len(claimed) < len(names):
            limiter.wait(names, until)
            state_file.catch_up(state, paths)
    return tuple(results)


def _probe(
    paths: Paths,
    limiter: ProbeLimiter,
    loaded: LoadedPolicy,
    targets: Collection[ProbeTarget],
    state: State,
    until: float,
    warn: Warn,
) -> list[ProbeSummary]:
    from tokmon.probes.request import probe_all  # noqa: PLC0415 - it imports `httpx`, and one of many wakes comes here

    results = probe_all(targets, max(0.0, until - time.monotonic()))
    # Where no provider answers, this machine may be offline, or the time too short.
    reached = any(result.answer.http_status is not None for result in results)
    lines = [probe_line(result) for result in results] if reached else []
    fold(state.snapshot, lines)
    probe_outcomes = outcomes({result.provider: result for result in results})
    try:
        _record(paths, lines, until)
        state_file.catch_up(state, paths)
        with contextlib.suppress(OSError, StoreError, ValueError):
            sharing.publish(paths, os.environ, loaded.pool, state)
        # After the lines: a process or member that waits for this reads them then.
        limiter.release(probe_outcomes, time.time(), patience_s=_patience(until))
    except (OSError, StoreError) as error:
        warn(f"the answers were not logged: {reason_of(error)}")
    return [_summary(result) for result in results]


def _record(paths: Paths, lines: list[dict[str, Any]], until: float) -> None:
    """Append the lines; StoreError if another process holds the log for longer than there is time."""
    blocks = [encode(line) + b"\n" for line in lines]
    while blocks and not append_to(paths.probe, blocks, blocking=False):
        if time.monotonic() > until:
            raise StoreError(f"`{paths.probe}` is held by another process")
        time.sleep(_POLL_S)


def _summary(result: "ProbeResult") -> ProbeSummary:
    error = " ".join((result.answer.error or "").split())[:_SHOWN]
    return ProbeSummary(
        provider=result.provider,
        request=f"{result.method} {result.path}",
        http_status=result.answer.http_status,
        status=result.reading.status,
        elapsed_ms=result.elapsed_ms,
        error=error or None,
    )


def _patience(until: float) -> float:
    return max(_POLL_S, min(_LOCK_S, until - time.monotonic()))
