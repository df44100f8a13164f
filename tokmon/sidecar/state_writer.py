"""The snapshot, kept current in `state.json` while the sidecar writes the logs.

What the sidecar itself appends is folded in from memory, and the file is caught up from the logs before it is
saved, so what others append counts too. Saving waits a moment, so that a burst is one save.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from typing import Final

from tokmon.decision.decide import refresh
from tokmon.errors import StoreError
from tokmon.paths import Paths
from tokmon.sidecar.group_commit import Ranges
from tokmon.sidecar.ingest import Ingest
from tokmon.store import state_file as states

_SAVE_AFTER_S: Final = 1.0
_MANY: Final = 128


class Keeper:
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
        self._decision_failing = False
        self._expiry: asyncio.TimerHandle | None = None
        self.state = states.load(paths)
        self._catching: Iterator[None] | None = None

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

    def stored(self, ranges: Ranges) -> None:
        """A batch is in the logs."""
        for name, (inode, start, end) in ranges.items():
            covered = self.state.covers.get(name)
            if covered is None and start == 0:
                self.state.covers[name] = states.Covered(inode, end)
            elif covered is not None and covered.inode == inode and covered.offset == start:
                covered.offset = end
            # Otherwise somebody else wrote in between, and the save reads on from where we were.
        if len(self._ingest.news) > _MANY:
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
        except (OSError, StoreError, ValueError) as error:
            if not self._failing:
                self._say(f"cannot write `{self._paths.snapshot}`: {error}; it will be rebuilt from the logs")
            self._failing = True
        if self._catching is None:
            self._decide()

    def close(self) -> None:
        """Save, and decide for the wakes until the next sidecar."""
        self.save()
        if self._expiry is not None:
            self._expiry.cancel()

    def _decide(self) -> None:
        """Publish the decision for the next wake, and do so again when it expires."""
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        try:
            until = refresh(self._paths, os.environ, "sidecar", self.state)
            self._decision_failing = False
        except (OSError, StoreError, ValueError) as error:
            if not self._decision_failing:
                self._say(f"cannot write the decision: {error}")
            self._decision_failing = True
            return
        if until is not None:
            self._expiry = self._loop.call_later(max(1.0, until - time.time()), self._decide)

    def _fold(self) -> None:
        for seen in self._ingest.observations():
            self.state.take(seen)
