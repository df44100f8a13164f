"""Keeps the snapshot in `state.json` current while the sidecar writes the logs.

The sidecar's own lines are added from memory. Before each save, lines of other processes are read from the logs.
A save waits a second after new evidence, so that a burst of events is one save. It is made in small steps between the
events, and less often if the state is large: `state.json` may lag, and a wake reads what it does not cover.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from typing import Final

from tokmon.decision.decide import refresh
from tokmon.errors import StoreError, reason_of
from tokmon.paths import Paths
from tokmon.sidecar.group_commit import Ranges
from tokmon.sidecar.ingest import Ingest
from tokmon.store import state_file as states
from tokmon.store.coverage import Coverage
from tokmon.store.state_encoder import StateEncoder

_SAVE_AFTER_S: Final = 1.0
_SHARE: Final = 0.05
"""The part of the time that saving may take: a large state is saved less often."""

_LONGEST_SHARE: Final = 0.005
"""The same for the longest step, during which no event is acknowledged."""

_STEP_SHARE: Final = 0.2
"""The part of the time that the steps of one save may take."""

_MAX_STEP_PAUSE_S: Final = 0.01
_MAX_PAUSE_S: Final = 60.0
_MAX_WAITING: Final = 32
"""Evidence that waits to be added to the snapshot, so that adding them takes little time and memory."""

_END: Final = object()

_CLOCK_EVERY_S: Final = 10.0
_CLOCK_SET_S: Final = 2.0
"""How often the sidecar looks whether the clock was set, and by how much at least."""


def _clock_offset() -> float:
    return time.time() - time.monotonic()


class StateWriter:
    """Saves `state.json`. A failed save is reported once and tried again after the next event: the file is a cache."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, paths: Paths, ingest: Ingest, say: Callable[[str], None]
    ) -> None:
        self._loop = loop
        self._paths = paths
        self._ingest = ingest
        self._say = say
        self._timer: asyncio.TimerHandle | None = None
        self._later: asyncio.TimerHandle | None = None
        self._steps: Iterator[object] | None = None
        self._encoder = StateEncoder()
        self._pause_s = _SAVE_AFTER_S
        self._busy_s = self._longest_s = 0.0
        self._save_again = False
        self._failing = False
        self._decision_failing = False
        self._closing = False
        self._expiry: asyncio.TimerHandle | None = None
        self.on_change: Callable[[], None] = lambda: None
        """Called when there is new evidence, or may be."""

        self.state = states.load(paths)
        self._catch_up: Iterator[int] | None = None
        self._clock_offset = _clock_offset()
        self._clock_timer = loop.call_later(_CLOCK_EVERY_S, self._watch_clock)

    def start(self) -> None:
        """Read new lines of the logs in small steps, so that a long log does not keep a session waiting."""
        self._catch_up = states.catch_up_steps(self.state, self._paths)
        self._catch_up_step()

    def _catch_up_step(self) -> None:
        if self._catch_up is None:
            return
        try:
            next(self._catch_up)
        except StopIteration:
            self._catch_up = None
            self._save_soon()
            return
        except (OSError, StoreError) as error:
            self._catch_up = None
            self._say(f"cannot read the logs: {reason_of(error)}")
            return
        self._loop.call_soon(self._catch_up_step)

    def batch_stored(self, ranges: Ranges) -> None:
        """Note that these ranges of the logs are covered, and schedule a save."""
        for name, (inode, start, end) in ranges.items():
            coverage = self.state.covered.setdefault(name, Coverage(inode))
            if coverage.inode == inode:
                coverage.add(start, end)
            # Otherwise the log was rotated, and the save reads the new one.
        if len(self._ingest.latest) > _MAX_WAITING:
            self._add_evidence()
        self._save_soon()
        self.on_change()

    def current(self) -> states.State | None:
        """What is known now; None while the logs are read for the first time."""
        self._add_evidence()
        return None if self._catch_up is not None else self.state

    def _save_soon(self) -> None:
        if self._steps is not None:
            self._save_again = True
        elif self._timer is None:
            self._timer = self._loop.call_later(self._pause_s, self._begin_save)

    def _begin_save(self) -> None:
        self._timer, self._save_again = None, False
        self._busy_s = self._longest_s = 0.0
        self._steps = self._save_steps()
        self._step()

    def _step(self) -> None:
        """Take a step of the save, and the next one later: at once if the state is small, else after a pause."""
        if self._steps is None:
            return
        start = time.thread_time()  # not what other processes take
        try:
            is_last = next(self._steps, _END) is _END
        except BaseException:
            self._steps = None  # asyncio reports it, and the next event is saved
            raise
        seconds = time.thread_time() - start
        self._busy_s += seconds
        self._longest_s = max(self._longest_s, seconds)
        if not is_last:
            self._later = self._loop.call_later(min(_MAX_STEP_PAUSE_S, seconds / _STEP_SHARE), self._step)
            return
        self._steps = None
        pause_s = max(_SAVE_AFTER_S, self._busy_s / _SHARE, self._longest_s / _LONGEST_SHARE)
        self._pause_s = min(_MAX_PAUSE_S, pause_s)
        if self._save_again:
            self._save_soon()
        self.on_change()
        self.decide()

    def _save_steps(self) -> Iterator[object]:
        """Add new evidence, read new lines of the logs, and replace `state.json`.

        Until the first catch-up is complete, the part that is covered so far is saved.
        """
        try:
            if self._catch_up is None:
                yield from states.catch_up_steps(self.state, self._paths)
            self._clock_offset = _clock_offset()  # what is saved is of this clock
            self._add_evidence()  # in one step with the ranges that hold it
            data = b""
            for data in self._encoder.steps(self.state):  # noqa: B007 - the last one is the file
                yield None
            states.write(data, self._paths)
            self._failing = False
        except (OSError, StoreError, ValueError) as error:
            if not self._failing:
                self._say(
                    f"cannot write `{self._paths.snapshot}`: {reason_of(error)}; it will be rebuilt from the logs"
                )
            self._failing = True

    def _watch_clock(self) -> None:
        """After the clock was set, other evidence counts: bring state and decision up to date without waiting."""
        self._clock_timer = self._loop.call_later(_CLOCK_EVERY_S, self._watch_clock)
        if abs(_clock_offset() - self._clock_offset) > _CLOCK_SET_S:
            self._pause_s = _SAVE_AFTER_S
            self._save_soon()

    def close(self) -> None:
        """Save, and decide for the wakes until the next sidecar."""
        self._closing = True
        for timer in (self._timer, self._later, self._clock_timer):
            if timer is not None:
                timer.cancel()
        for _ in self._save_steps():
            pass
        self.decide()
        if self._expiry is not None:
            self._expiry.cancel()

    def decide(self) -> None:
        """Publish the decision for the next wake, and do so again when it expires."""
        if self._catch_up is not None:
            return
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        self._add_evidence()  # the state must have what the logs have, or the decision would count as newer
        try:
            until = refresh(self._paths, os.environ, "sidecar", self.state, watches=not self._closing)
            self._decision_failing = False
        except (OSError, StoreError, ValueError) as error:
            if not self._decision_failing:
                self._say(f"cannot write the decision: {reason_of(error)}")
            self._decision_failing = True
            return
        if until is not None:
            self._expiry = self._loop.call_later(max(1.0, until - time.time()), self.decide)

    def _add_evidence(self) -> None:
        if self.state.advance(time.time()):
            self._steps = None  # of the state before
            self.start()
        for evidence in self._ingest.drain_evidence():
            self.state.add(evidence)
