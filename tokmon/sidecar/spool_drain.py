"""Takes in the events that extensions spooled: at and after the start, and after a client connects or disconnects.

An extension spools while it finds no sidecar, and when it ends. So the spool changes soon after the start of a sidecar
and at both ends of a connection, and nothing needs to poll.
"""

import asyncio
from collections.abc import Callable, Iterator
from io import FileIO
from typing import Final

from tokmon.errors import StoreError, WireError, reason_of
from tokmon.paths import Paths
from tokmon.sidecar.line_stream import LineStream
from tokmon.sidecar.server import Server
from tokmon.store import spool
from tokmon.store.spool import Spooled

_SCAN_AFTER_S: Final = (0.5, 5.0)
"""Delays after a change of the connections; the second is for a client that takes its time."""
_LAST_CLIENT_S: Final = 35.0
"""A client that found no sidecar has connected or spooled this long after the start (`outbox.ts`, `LAST_RETRY_MS`)."""

_PIECE: Final = 64 << 10
"""Bytes of a file that are read at once, so that memory stays small and a signal is noticed soon."""


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
        self._current: _SpooledFile | None = None
        self._closed = False
        self._stuck: set[tuple[str, int]] = set()
        """Files that could be neither removed nor set aside. They are not read again."""

    def start(self) -> None:
        """Remove abandoned files, and take in the waiting ones."""
        try:
            spool.sweep(self._spool)
        except OSError as error:
            self.say(f"cannot clear the spool: {reason_of(error)}")
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
        self._stop_reading()
        self.schedule()

    def close(self) -> None:
        """Take in nothing more. A file that is not wholly stored stays in the spool."""
        self._closed = True
        self._stop_reading()
        for timer in self._timers.values():
            timer.cancel()

    def _stop_reading(self) -> None:
        if self._current is not None:
            self._current.close()
        self._current = self._files = None

    def _on_timer(self, delay: float) -> None:
        del self._timers[delay]
        self._scan()

    def _scan(self) -> None:
        if self._files is None and not self._closed:
            self._files = spool.pending(self._spool)
            self._open_next()

    def _open_next(self) -> None:
        """Begin with the next file that can be read."""
        self._current = None
        while self._files is not None:
            try:
                file = next(self._files, None)
            except OSError as error:
                self.say(f"cannot read the spool: {reason_of(error)}")
                file = None
            if file is None:
                self._files = None
            elif file.key not in self._stuck and self._begin(file):
                return

    def _begin(self, file: Spooled) -> bool:
        """Feed the file's first piece; False if it cannot be opened."""
        try:
            self._current = _SpooledFile(self, file, file.open())
        except FileNotFoundError:
            return False
        except OSError as error:
            self._leave(file, f"it cannot be read: {reason_of(error)}")
            return False
        self._current.feed()
        return True

    def finished(self, file: Spooled, problem: str | None) -> None:
        """Remove a file whose events are stored, or set it aside if there is a problem with it; then read the next."""
        self._leave(file, problem)
        self._open_next()

    def _leave(self, file: Spooled, problem: str | None) -> None:
        remarks = [] if problem is None else [problem]
        try:
            if problem is None:
                file.done()
            else:
                file.bad()
                remarks.append("it is now in `bad/`")
        except (OSError, StoreError) as error:
            # Not again in this run: its events are stored, and its problem is the same.
            self._stuck.add(file.key)
            remarks.append(f"it cannot be moved away: {reason_of(error)}")
        if remarks:
            self.say(f"`{file.path.name}` in the spool: {'; '.join(remarks)}")

    def add(self, piece: bytes, sender: "_SpooledFile") -> None:
        """Feed a piece of a file to the server, which acknowledges it to the sender."""
        lines = sender.lines.take(piece, self._server.ingest, sender.on_refused)
        sender.count += lines
        self._server.committer.request_ack(sender, sender.count)

    def is_current(self, sender: "_SpooledFile") -> bool:
        """Whether this file is being read. It is not any more after a restart."""
        return self._current is sender


class _SpooledFile:
    """A spooled file as a sender of lines: it is read in pieces, each after the one before is stored."""

    def __init__(self, drain: SpoolDrain, spooled: Spooled, file: FileIO) -> None:
        self._drain = drain
        self._spooled = spooled
        self._file = file
        self._at_end = False
        self._refused = 0
        self._first_problem = ""
        self.lines = LineStream()
        self.count = 0

    def feed(self) -> None:
        """Feed the next piece."""
        try:
            piece = self._file.read(_PIECE) or b""
        except OSError as error:
            self.close()
            self._drain.finished(self._spooled, f"it cannot be read: {reason_of(error)}")
            return
        self._at_end = not piece
        self._drain.add(piece or b"\n", self)  # the last line may have no newline

    def on_refused(self, position: int, line: bytes, error: WireError) -> None:
        """Count a line that is not an event."""
        if line:
            self._refused += 1
            self._first_problem = self._first_problem or f"line {self.count + position + 1}: {error.field}: {error}"

    def acknowledge(self, count: int) -> None:  # noqa: ARG002 - all of the lines so far
        """Feed the next piece, or finish."""
        if not self._drain.is_current(self):
            return
        if not self._at_end:
            self.feed()
            return
        self.close()
        lines = "1 line is" if self._refused == 1 else f"{self._refused} lines are"
        problem = f"{lines} no event ({self._first_problem})" if self._refused else None
        self._drain.finished(self._spooled, problem)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
