"""Taking in what extensions spooled: at the start, and a while after a connection has begun or ended.

An extension spools when it cannot hand over: before it finds a sidecar, and when it ends. So both ends of a
connection are moments to look. Nothing polls.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

from tokmon.errors import StoreError, WireError
from tokmon.paths import Paths
from tokmon.sidecar.server import Server
from tokmon.store import spool
from tokmon.store.spool import Spooled

_LOOK_AFTER_S: Final = (0.5, 5.0)
"""After a connection's end: soon, and once more for a client that took its time."""


class SpoolDrain:
    """Feeds the spool's files to the server, one after the other, each removed once it is stored."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, paths: Paths, server: Server, say: Callable[[str], None]
    ) -> None:
        self._loop = loop
        self._spool = paths.spool
        self._server = server
        self.say = say
        self._timers: dict[float, asyncio.TimerHandle] = {}
        self._files: Iterator[Spooled] | None = None

    def start(self) -> None:
        """Take in what waits, and clear what was abandoned."""
        try:
            spool.sweep(self._spool)
        except OSError as error:
            self.say(f"cannot clear the spool: {error}")
        self._look()

    def schedule(self) -> None:
        """A client has come or gone: look at the spool in a moment. A look that is due already stays due."""
        for delay in _LOOK_AFTER_S:
            if delay not in self._timers:
                self._timers[delay] = self._loop.call_later(delay, self._due, delay)

    def restart(self) -> None:
        """What was handed in may not have been stored: begin anew."""
        self._files = None
        self.schedule()

    def _due(self, delay: float) -> None:
        del self._timers[delay]
        self._look()

    def _look(self) -> None:
        if self._files is None:
            self._files = spool.pending(self._spool, self.say)
            self.feed_next()

    def feed_next(self) -> None:
        """Feed the next file."""
        if self._files is None:
            return
        try:
            file = next(self._files, None)
        except OSError as error:
            self.say(f"cannot read the spool: {error}")
            file = None
        if file is None:
            self._files = None
            return
        batch = _File(self, file)
        lines, _ = self._server.ingest.add_lines(file.data, batch.refused)
        self._server.committer.request_ack(batch, lines)


class _File:
    """A spooled file, as one who hands lines in."""

    def __init__(self, drain: SpoolDrain, file: Spooled) -> None:
        self._drain = drain
        self._file = file
        self._good = True

    def refused(self, place: int, line: bytes, error: WireError) -> None:  # noqa: ARG002 - what Ingest calls
        """A line of it is no event."""
        self._good = False
        self._drain.say(f"`{self._file.path.name}` in the spool, line {place + 1}: {error.field}: {error}")

    def acknowledge(self, count: int) -> None:  # noqa: ARG002 - all of its lines
        """It is stored: remove it, or put it aside if some of it was not understood; go on with the next."""
        try:
            if self._good:
                self._file.done()
            else:
                self._file.bad()
        except (OSError, StoreError) as error:
            # It will come again, and be recognised.
            self._drain.say(f"cannot put away `{self._file.path}`: {error}")
        self._drain.feed_next()
