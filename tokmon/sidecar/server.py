"""Connections: lines in, acknowledgements out.

All connections share one receive buffer: a plain protocol's allocation for every receive costs three times the
throughput. Whoever is not this user is turned away; whoever is idle for long is let go, since the extension
connects again when it has something to say.
"""

import asyncio
import os
import socket
import struct
import sys
import time
from typing import TYPE_CHECKING, Final, cast

from tokmon import __version__, store
from tokmon.errors import WireError
from tokmon.sidecar.group_commit import Committer
from tokmon.sidecar.ingest import Ingest
from tokmon.wire import messages

if TYPE_CHECKING:
    from collections.abc import Callable

_BUFFER: Final = 128 << 10
_IDLE_S: Final = 1800.0
_MAX_CONNECTIONS: Final = 1024
_MAX_ACCEPTED: Final = 64
_SPARE_FDS: Final = 16
_TURNS_TO_CLOSE: Final = 6
_MAX_UNSENT: Final = 1 << 20


class Server:
    """What the connections have in common."""

    def __init__(self, ingest: Ingest, committer: Committer) -> None:
        self.ingest = ingest
        self.committer = committer
        self.buffer = memoryview(bytearray(_BUFFER))
        self.connections: set[Connection] = set()
        self.started = time.time()
        self.refused = 0
        self.on_change: Callable[[], None] = lambda: None
        """Called when a client has greeted, and when one has gone."""

        self.on_pi: Callable[[str], None] = lambda _: None
        """Called with the version of pi that a client says it runs in."""

        fds = _fd_limit()
        self.accept_at_once = max(1, min(_MAX_ACCEPTED, fds // 16))
        """asyncio accepts so many a turn, and some turns pass before one that may not stay is closed."""

        self._limit = max(1, min(_MAX_CONNECTIONS, fds - _TURNS_TO_CLOSE * self.accept_at_once - _SPARE_FDS))
        self._sweeper: asyncio.TimerHandle | None = None
        self._full = False
        committer.on_full = self._pause

    def protocol(self) -> "Connection":
        """A protocol for the next connection (asyncio calls this)."""
        return Connection(self)

    def accept(self, connection: "Connection", transport: asyncio.Transport) -> str | None:
        """Take a connection in; or the reason why not."""
        peer = _peer_uid(transport.get_extra_info("socket"))
        if peer != os.geteuid():
            return "not this user's socket"
        if len(self.connections) >= self._limit:
            return "too many connections"
        self.connections.add(connection)
        if self._full:
            transport.pause_reading()
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(_IDLE_S / 2, self._sweep)
        return None

    def disconnected(self, connection: "Connection") -> None:
        """A connection has ended. Its client may have spooled what was not acknowledged."""
        self.connections.discard(connection)
        self.committer.forget(connection)
        self.on_change()

    def drop_all(self) -> None:
        """End every connection, unacknowledged: what was not stored comes again."""
        for connection in list(self.connections):
            connection.drop()

    def status(self) -> bytes:
        """The answer to a `status` line."""
        return (
            store.encode(
                {
                    "status": {
                        "version": __version__,
                        "protocol": messages.PROTOCOL,
                        "pid": os.getpid(),
                        "started": self.started,
                        "connections": len(self.connections),
                        "stored": self.committer.stored,
                        "refused": self.refused,
                        "trouble": self.committer.trouble,
                    }
                }
            )
            + b"\n"
        )

    def _pause(self, full: bool) -> None:  # noqa: FBT001 - a callback
        self._full = full
        for connection in self.connections:
            connection.pause(full)

    def _sweep(self) -> None:
        """Let idle connections go. Runs only while there are connections at all."""
        self._sweeper = None
        limit = time.monotonic() - _IDLE_S
        for connection in list(self.connections):
            if connection.last_active < limit:
                connection.drop()
        if self.connections:
            self._sweeper = asyncio.get_running_loop().call_later(_IDLE_S / 2, self._sweep)

    def close(self) -> None:
        """End every connection in good order."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self.connections):
            connection.finish()


class Connection(asyncio.BufferedProtocol):
    """One client. `count` is how many event lines it has sent, good or not."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.count = 0
        self.last_active = time.monotonic()
        self._rest = b""
        self._skipping = False
        self._greeted = False
        self._uncounted = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there: take it in, or tell it why not."""
        self._transport = cast("asyncio.Transport", transport)
        reason = self.server.accept(self, self._transport)
        if reason is not None:
            self._transport.write(messages.encode(messages.Refusal(error=reason, field="connection")))
            self._transport.close()
            self._transport = None

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The client is gone; a line that it did not end is no line."""
        self._transport = None
        self.server.disconnected(self)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Where asyncio puts what it receives."""
        return self.server.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have come: take the whole lines, keep the rest."""
        if self._transport is None:
            return
        self.last_active = time.monotonic()
        data = self._rest + self.server.buffer[:nbytes]
        if self._skipping and b"\n" in data:
            # The end of a line that was refused for its length.
            data = data.partition(b"\n")[2]
            self._skipping = False
        before = self.count
        self._uncounted = 0
        lines, size = self.server.ingest.add_lines(data, self._on_non_event)
        self._rest = data[size:]
        self.count += lines - self._uncounted
        if len(self._rest) > messages.MAX_LINE:
            self._rest = b""
            if not self._skipping:
                self._skipping = True
                self.count += 1
                self._refuse(f"a line has at most {messages.MAX_LINE} bytes", "line", self.count)
        if self.count != before:
            self.server.committer.request_ack(self, self.count)

    def _on_non_event(self, place: int, line: bytes, problem: WireError) -> None:
        """A line that is no event: a hello, a question or nothing, which do not count; or one to refuse."""
        said = control_message(line)
        if said is None and line:
            self._refuse(str(problem), problem.field, self.count + place + 1 - self._uncounted)
            return
        self._uncounted += 1
        if isinstance(said, messages.StatusRequest):
            self._send(self.server.status())
        elif said is not None and not self._greeted:
            self._greeted = True
            self._send(messages.encode(_hello()))
            self.server.on_change()
            if said.pi:
                self.server.on_pi(said.pi)

    def _refuse(self, reason: str, field: str, line: int) -> None:
        self.server.refused += 1
        self._send(messages.encode(messages.Refusal(error=reason, field=field, line=line)))

    def acknowledge(self, count: int) -> None:
        """Tell the client that its first `count` event lines are dealt with."""
        self._send(b'{"ack":%d}\n' % count)

    def _send(self, data: bytes) -> None:
        transport = self._transport
        if transport is None:
            return
        if transport.get_write_buffer_size() > _MAX_UNSENT:
            # It sends and never reads. It will spool, and be recognised when it comes again.
            transport.abort()
            return
        transport.write(data)

    def pause(self, full: bool) -> None:  # noqa: FBT001 - a state, not an option
        """Read no further while the logs cannot be written, or go on."""
        if self._transport is not None:
            (self._transport.pause_reading if full else self._transport.resume_reading)()

    def drop(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def finish(self) -> None:
        """End the connection when what was said to the client has gone out."""
        if self._transport is not None:
            self._transport.close()


def control_message(line: bytes) -> messages.Hello | messages.StatusRequest | None:
    """What a line that is no event says, if it says anything."""
    try:
        said, _ = messages.decode(line)
    except WireError:
        return None
    return said if isinstance(said, (messages.Hello, messages.StatusRequest)) else None


def _hello() -> messages.Hello:
    return messages.Hello(protocol=messages.PROTOCOL, name="tokmon-sidecar", version=__version__, pid=os.getpid())


def _fd_limit() -> int:
    import resource  # noqa: PLC0415 - a platform without it has no sidecar to bound

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else _MAX_CONNECTIONS + _SPARE_FDS


def _peer_uid(peer: socket.socket) -> int:
    """The user at the other end, as the kernel tells it; -1 if it does not."""
    try:
        if sys.platform == "darwin":
            # struct xucred { u_int cr_version; uid_t cr_uid; … }, option LOCAL_PEERCRED of level SOL_LOCAL
            return int(struct.unpack_from("=II", peer.getsockopt(0, 1, 76))[1])
        return int(struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1])
    except (OSError, struct.error):
        return -1
