"""The snapshot, kept current in `state.json` while the sidecar writes the logs.

What the sidecar itself appends is folded in from memory, and the file is caught up from the logs before it is
saved, so what others append counts too. Saving waits a moment, so that a burst is one save.
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
_MANY: Final = 128
_QUIET_S: Final = 10.0
"""After so long without an event it is worth looking ahead; while they come, each save decides anew."""


class StateWriter:
    """Keeps `state.json`. A save that fails is said once and tried at the next occasion: it is a cache."""

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
        self._catching: Iterator[None] | None = None
        self._quiet: asyncio.Handle | None = None

    def start(self) -> None:
        """Catch up with the logs, a step at a time: the log of a year must not keep a session waiting."""
        self._catching = states.catching_up(self.state, self._paths)
        self._step()

    def _step(self) -> None:
        if self._catching is None:
            return
        try:
            next(self._catching)
        except StopIteration:
            self._catching = None
            self._soon()
            return
        except OSError as error:
            self._catching = None
            self._say(f"cannot read the logs: {error}")
            return
        self._loop.call_soon(self._step)

    def batch_stored(self, ranges: Ranges) -> None:
        """A batch is in the logs."""
        self._not_quiet()
        for name, (inode, start, end) in ranges.items():
            covered = self.state.covers.get(name)
            if covered is None and start == 0:
                self.state.covers[name] = states.Covered(inode, end)
            elif covered is not None and covered.inode == inode and covered.offset == start:
                covered.offset = end
            # Otherwise somebody else wrote in between, and the save reads on from where we were.
        if len(self._ingest.latest_events) > _MANY:
            self._fold()
        self._soon()

    def _soon(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(_SAVE_AFTER_S, self.save)

    def save(self) -> None:
        """Fold the news in, catch up with the logs, and replace `state.json`.

        Before the first catching up is through, what is covered so far is saved: the rest is in the logs.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._fold()
        try:
            if self._catching is None:
                states.catch_up(self.state, self._paths)
            states.save(self.state, self._paths)
            self._failing = False
            if self._catching is None:
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
        if self._catching is None:
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

    def _fold(self) -> None:
        for seen in self._ingest.drain_evidence():
            self.state.take(seen)
