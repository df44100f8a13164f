"""Asking at the wake: those on whose answer the choice depends, within what is left of the time. Not a verb.

Whoever's turn another process has just taken is not asked twice: the answer is waited for. A session lasts an hour,
and fifty that start at once on an account that does not answer are dearer than a second.
"""

import os
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tokmon import probes, store
from tokmon.errors import StoreError
from tokmon.evidence.snapshot import Snapshot, fold
from tokmon.paths import Paths
from tokmon.probes import ProbeTarget, probe_limiter, unavailable_reason
from tokmon.probes.records import granted_targets, outcomes, probe_line
from tokmon.selection.choose import Asked
from tokmon.selection.policy import Policy
from tokmon.selection.probe_choice import wanted
from tokmon.store import state_file
from tokmon.store.state_file import State

if TYPE_CHECKING:
    from tokmon.probes.request import ProbeResult

_DEADLINE_MS: Final = 3000
_LONGEST_MS: Final = 60_000
_RESERVE_S: Final = 0.3
"""To decide, to write it down, to print it, and to end."""

_WORTH_S: Final = 0.5
"""What is less is not enough to import `httpx` and to hear of anybody."""

_STARTING_S: Final = 0.3
"""How long this process has been running, where the machine does not say."""

_LOCK_S: Final = 1.0
"""Many may want the lock at once, each for a moment."""

_POLL_S: Final = 0.05
_SHOWN: Final = 100


def consult(
    found: Paths, policy: Policy, known: State, evidence: Callable[[float], Snapshot], current: str | None
) -> tuple[Asked, ...]:
    """Ask, take what is said into `known`, and say who was asked. `evidence` is what a choice then sees at an instant.

    StoreError where the turns cannot be kept. Where nobody answers all are left as they were.
    """
    until = time.monotonic() + _left_s()
    able = {
        name: each
        for name, each in probes.targets(found, os.environ, time.time()).items()
        if unavailable_reason(each) is None
    }
    asked: list[Asked] = []
    tried: set[str] = set()
    while until - time.monotonic() > _WORTH_S:
        now = time.time()
        turns = probe_limiter(found).slots(able, now)
        open_to_us = {name for name, turn in turns.items() if turn.may_be_probed(now)} - tried
        names = wanted(policy, evidence(now), now, current, askable=open_to_us)
        if not names:
            break
        tried.update(names)
        turns = probe_limiter(found).claim(names, now, patience_s=_patience(until))
        ours = granted_targets({name: able[name] for name in names}, turns)
        if ours:
            asked += _ask(found, ours, known, until)
        if len(ours) < len(names):
            _wait(found, names, until)
            state_file.catch_up(known, found)
    return tuple(asked)


def _ask(found: Paths, ours: Collection[ProbeTarget], known: State, until: float) -> list[Asked]:
    from tokmon.probes.request import probe_all  # noqa: PLC0415 - it imports `httpx`, and one of many wakes comes here

    results = probe_all(ours, max(0.0, until - time.monotonic()))
    # Where nobody answers it may be that nobody can be reached from here, or that we were in haste.
    reached = any(result.answer.http_status is not None for result in results)
    lines = [probe_line(result) for result in results] if reached else []
    fold(known.snapshot, lines)
    said = outcomes({result.provider: result for result in results})
    try:
        _record(found, lines, until)
        # After the lines: whoever waits for this reads them then.
        probe_limiter(found).release(said, time.time(), patience_s=_patience(until))
    except (OSError, StoreError) as error:
        sys.stderr.write(f"warning: the answers were not kept: {error}\n")
    return [_as_asked(result) for result in results]


def _record(found: Paths, lines: list[dict[str, Any]], until: float) -> None:
    """Append the lines; StoreError if somebody holds the log for longer than there is time."""
    blocks = [store.encode(line) + b"\n" for line in lines]
    while blocks and not store.append_to(found.probe, blocks, blocking=False):
        if time.monotonic() > until:
            raise StoreError(f"`{found.probe}` is held by another process")
        time.sleep(_POLL_S)


def _as_asked(result: "ProbeResult") -> Asked:
    error = " ".join((result.answer.error or "").split())[:_SHOWN]
    return Asked(
        provider=result.provider,
        asked=f"{result.method} {result.path}",
        http_status=result.answer.http_status,
        status=result.reading.status,
        elapsed_ms=result.elapsed_ms,
        error=error or None,
    )


def _wait(found: Paths, names: Collection[str], until: float) -> None:
    """Until those who ask them have said that it is over."""
    while time.monotonic() < until:
        now = time.time()
        if not any(turn.is_in_progress(now) for turn in probe_limiter(found).slots(names, now).values()):
            return
        time.sleep(_POLL_S)


def _patience(until: float) -> float:
    return max(_POLL_S, min(_LOCK_S, until - time.monotonic()))


def _left_s() -> float:
    """Seconds that are left for asking: of the deadline, since this process was started, less what comes after."""
    given = os.environ.get("TOKMON_DEADLINE_MS", "").strip()
    whole = min(int(given[:9]), _LONGEST_MS) if given.isascii() and given.isdecimal() else _DEADLINE_MS
    return whole / 1000 - _age_s() - _RESERVE_S


def _age_s() -> float:
    """How long ago this process was started: the interpreter alone may take a while where many start at once."""
    try:
        begun = int(
            Path("/proc/self/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[19]
        )
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - begun / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return _STARTING_S
    return age if age >= 0 else _STARTING_S
