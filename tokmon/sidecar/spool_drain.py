"""Takes in the events that extensions spooled: at and after the start, and after a client connects or disconnects.

An extension spools while it finds no sidecar, and when it ends. So the spool changes soon after the start of a sidecar
and at both ends of a connection, and nothing needs to poll.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

from tokmon.errors import StoreError, WireError
from tokmon.paths import Paths
from tokmon.sidecar.server import Server
from tokmon.store import spool
from tokmon.store.spool import Spooled

_SCAN_AFTER_S: Final = (0.5, 5.0)
"""Delays after a change of the connections; the second is for a client that takes its time."""
_LAST_CLIENT_S: Final = 35.0
"""A client that found no sidecar has connected or spooled this long after the start (`outbox.ts`, `LAST_RETRY_MS`)."""


class SpoolDrain:
    """Feeds the spooled files to the server one after the other. Each file is removed when its events are stored."""

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
        """Remove abandoned files, and take in the waiting ones."""
        try:
            spool.sweep(self._spool)
        except OSError as error:
            self.say(f"cannot clear the spool: {error}")
        self._scan()
        self._schedule((*_SCAN_AFTER_S, _LAST_CLIENT_S))

    def schedule(self) -> None:
        """Scan the spool soon. A scan that is scheduled already is not postponed."""
        self._schedule(_SCAN_AFTER_S)

    def _schedule(self, delays: tuple[float, ...]) -> None:
        for delay in delays:
            if delay not in self._timers:
                self._timers[delay] = self._loop.call_later(delay, self._on_timer, delay)

    def restart(self) -> None:
        """Begin again, because events that were fed may not be stored."""
        self._files = None
        self.schedule()

    def _on_timer(self, delay: float) -> None:
        del self._timers[delay]
        self._scan()

    def _scan(self) -> None:
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
        sender = _SpooledFile(self, file)
        lines, _ = self._server.ingest.add_lines(file.data, sender.on_refused)
        self._server.committer.request_ack(sender, lines)


class _SpooledFile:
    """A spooled file as a sender of lines."""

    def __init__(self, drain: SpoolDrain, file: Spooled) -> None:
        self._drain = drain
        self._file = file
        self._valid = True

    def on_refused(self, position: int, line: bytes, error: WireError) -> None:  # noqa: ARG002 - what Ingest calls
        """Report a line that is not an event."""
        self._valid = False
        self._drain.say(f"`{self._file.path.name}` in the spool, line {position + 1}: {error.field}: {error}")

    def acknowledge(self, count: int) -> None:  # noqa: ARG002 - all of its lines
        """Remove the stored file, or move it to `bad/` if a line was refused; then feed the next one."""
        try:
            if self._valid:
                self._file.done()
            else:
                self._file.bad()
        except (OSError, StoreError) as error:
            # The file will be fed again, and its events recognised by their ids.
            self._drain.say(f"cannot remove `{self._file.path}` from the spool: {error}")
        self._drain.feed_next()
