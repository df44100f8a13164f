"""Keeps the snapshot in `state.json` current while the sidecar writes the logs.

The sidecar's own lines are added from memory. Before each save, lines of other processes are read from the logs.
A save waits a second after new evidence, so that a burst of events is one save.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Final

from tokmon.errors import StoreError
from tokmon.paths import Paths
from tokmon.sidecar.deciding import Announcer
from tokmon.sidecar.group_commit import Ranges
from tokmon.sidecar.ingest import Ingest
from tokmon.store import state_file as states

_SAVE_AFTER_S: Final = 1.0
_MAX_WAITING: Final = 128
"""Events that wait to be added to the snapshot, so that memory stays small."""
_QUIET_S: Final = 10.0
"""After so long without an event it is worth looking ahead; while they come, each save decides anew."""


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
        self._failing = False
        self._announcer = Announcer(paths, say)
        self.state = states.load(paths)
        self._catch_up: Iterator[None] | None = None
        self._quiet: asyncio.Handle | None = None

    def start(self) -> None:
        """Read new lines of the logs in small steps, so that a long log does not keep a session waiting."""
        self._catch_up = states.catching_up(self.state, self._paths)
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
        except OSError as error:
            self._catch_up = None
            self._say(f"cannot read the logs: {error}")
            return
        self._loop.call_soon(self._catch_up_step)

    def batch_stored(self, ranges: Ranges) -> None:
        """Note that these ranges of the logs are covered, and schedule a save."""
        self._not_quiet()
        for name, (inode, start, end) in ranges.items():
            covered = self.state.covers.get(name)
            if covered is None and start == 0:
                self.state.covers[name] = states.Covered(inode, end)
            elif covered is not None and covered.inode == inode and covered.offset == start:
                covered.offset = end
            # Otherwise another process wrote in between, and the save reads its lines from the log.
        if len(self._ingest.latest_events) > _MAX_WAITING:
            self._add_evidence()
        self._save_soon()

    def _save_soon(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(_SAVE_AFTER_S, self.save)

    def save(self) -> None:
        """Add new evidence, read new lines of the logs, and replace `state.json`.

        Until the first catch-up is complete, the part that is covered so far is saved.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._add_evidence()
        try:
            if self._catch_up is None:
                states.catch_up(self.state, self._paths)
            states.save(self.state, self._paths)
            self._failing = False
            if self._catch_up is None:
                self._announcer.announce(self.state.snapshot)
                self._not_quiet()
                self._quiet = self._loop.call_later(_QUIET_S, self._look_ahead, self._announcer.look_ahead())
        except (OSError, StoreError, ValueError) as error:
            if not self._failing:
                self._say(f"cannot write `{self._paths.snapshot}`: {error}; it will be rebuilt from the logs")
            self._failing = True

    def close(self) -> None:
        """Save, and leave a decision for the wakes of the time without a sidecar."""
        self.save()
        self._not_quiet()
        if self._catch_up is None:
            with contextlib.suppress(OSError, StoreError, ValueError):  # the next wake decides then
                for _ in self._announcer.look_ahead():
                    pass

    def _look_ahead(self, steps: Iterator[None]) -> None:
        """One step, and the next after whatever else there is to do. The last one leaves no timer."""
        self._quiet = None
        if next(steps, steps) is not steps:
            self._quiet = self._loop.call_soon(self._look_ahead, steps)

    def _not_quiet(self) -> None:
        if self._quiet is not None:
            self._quiet.cancel()
            self._quiet = None

    def _add_evidence(self) -> None:
        for evidence in self._ingest.drain_evidence():
            self.state.take(evidence)
