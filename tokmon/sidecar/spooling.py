"""Taking in what extensions spooled: at the start, and a while after a connection has ended.

An extension spools when it cannot hand over, and the last thing it does is to close its connection; so the end
of a connection is the moment to look. Nothing polls.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

from tokmon import spool
from tokmon.errors import WireError
from tokmon.paths import Paths
from tokmon.sidecar.server import Server
from tokmon.spool import Spooled

_LOOK_AFTER_S: Final = (0.5, 5.0)
"""After a connection's end: soon, and once more for a client that took its time."""


class Drain:
    """Feeds the spool's files to the server, one after the other, each removed once it is stored."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, paths: Paths, server: Server, say: Callable[[str], None]
    ) -> None:
        self._loop = loop
        self._spool = paths.spool
        self._server = server
        self.say = say
        self._timers: list[asyncio.TimerHandle] = []
        self._files: Iterator[Spooled] | None = None

    def start(self) -> None:
        """Take in what waits, and clear what was abandoned."""
        spool.sweep(self._spool)
        self._look()

    def soon(self) -> None:
        """A client has gone: look at the spool in a moment."""
        for timer in self._timers:
            timer.cancel()
        self._timers = [self._loop.call_later(delay, self._look) for delay in _LOOK_AFTER_S]

    def _look(self) -> None:
        if self._files is None:
            self._files = spool.pending(self._spool)
            self.next()

    def next(self) -> None:
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
        self._server.ingest.take(file.lines, batch.refused)
        self._server.committer.due(batch, len(file.lines))


class _File:
    """A spooled file, as one who hands lines in."""

    def __init__(self, drain: Drain, file: Spooled) -> None:
        self._drain = drain
        self._file = file
        self.good = True

    def refused(self, place: int, line: bytes, error: WireError) -> None:  # noqa: ARG002 - what Ingest calls
        """A line of it is no event."""
        self.good = False
        self._drain.say(f"`{self._file.path.name}` in the spool, line {place + 1}: {error.field}: {error}")

    def acknowledge(self, count: int) -> None:  # noqa: ARG002 - all of its lines
        """It is stored: remove it, or put it aside if some of it was not understood; go on with the next."""
        if self.good:
            self._file.done()
        else:
            self._file.bad()
        self._drain.next()
