"""Connections: lines in, acknowledgements out.

All connections share one receive buffer: an allocation for every receive cuts the throughput to a third.
Connections of other users are refused. Idle connections are closed; the extension reconnects when it has an event.
"""

import asyncio
import os
import socket
import struct
import sys
import time
from operator import attrgetter
from typing import TYPE_CHECKING, Final, cast

from tokmon import __version__
from tokmon.errors import WireError
from tokmon.sidecar.group_commit import Committer
from tokmon.sidecar.ingest import Ingest
from tokmon.sidecar.line_stream import LineStream
from tokmon.store.codec import encode
from tokmon.wire import messages

if TYPE_CHECKING:
    from collections.abc import Callable

_BUFFER: Final = 128 << 10
_IDLE_S: Final = 1800.0
_MAX_CONNECTIONS: Final = 1024
_MAX_ACCEPTED: Final = 64
_SPARE_FDS: Final = 16
_TURNS_TO_CLOSE: Final = 6
"""Turns of the event loop that pass before a refused connection is closed."""

_MAX_UNSENT: Final = 1 << 20
_REPLY_BYTES: Final = 64 << 10


class Server:
    """The state that all connections share. `refused` counts refused lines; `started` is in epoch seconds."""

    def __init__(self, ingest: Ingest, committer: Committer) -> None:
        self.ingest = ingest
        self.committer = committer
        self.buffer = memoryview(bytearray(_BUFFER))
        self.connections: set[Connection] = set()
        self.started = time.time()
        self.refused = 0
        self.on_change: Callable[[], None] = lambda: None
        """Called after the hello of a client, and when a client has disconnected."""

        fds = _fd_limit()
        self.accept_at_once = max(1, min(_MAX_ACCEPTED, fds // 16))
        """Connections that asyncio accepts in one turn of the event loop."""

        self._limit = max(1, min(_MAX_CONNECTIONS, fds - _TURNS_TO_CLOSE * self.accept_at_once - _SPARE_FDS))
        self._sweeper: asyncio.TimerHandle | None = None
        self._full = False
        committer.on_full = self._pause

    def protocol(self) -> "Connection":
        """The protocol of a new connection (asyncio calls this)."""
        return Connection(self)

    def accept(self, connection: "Connection", transport: asyncio.Transport) -> str | None:
        """Accept a connection and return None, or return the reason why it is refused."""
        peer = _peer_uid(transport.get_extra_info("socket"))
        if peer != os.geteuid():
            return "not this user's socket"
        if len(self.connections) >= self._limit and not self._make_room():
            return "too many connections"
        self.connections.add(connection)
        if self._full:
            # Later: asyncio before Python 3.11.3 starts to read after this call, even from what is paused.
            asyncio.get_running_loop().call_soon(lambda: connection.pause(self._full))
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(_IDLE_S / 2, self._sweep)
        return None

    def _make_room(self) -> bool:
        """Abort the connection that has been idle for longest; False if all wait for an acknowledgement."""
        idle = [connection for connection in self.connections if not self.committer.is_waiting(connection)]
        if not idle:
            return False
        longest = min(idle, key=attrgetter("last_active"))
        self.connections.discard(longest)  # it is closed in a later turn of the event loop
        longest.drop()
        return True

    def disconnected(self, connection: "Connection") -> None:
        """Forget a connection that has ended. Its client may have spooled the unacknowledged events."""
        self.connections.discard(connection)
        self.committer.forget(connection)
        self.on_change()

    def drop_all(self) -> None:
        """Abort every connection, so that clients send their unacknowledged events again."""
        for connection in list(self.connections):
            connection.drop()

    def status(self) -> bytes:
        """The reply to a `status` request, with newline."""
        return (
            encode(
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
        """Abort idle connections. The timer runs only while there are connections."""
        self._sweeper = None
        limit = time.monotonic() - _IDLE_S
        for connection in list(self.connections):
            if connection.last_active < limit:
                connection.drop()
        if self.connections:
            self._sweeper = asyncio.get_running_loop().call_later(_IDLE_S / 2, self._sweep)

    def close(self) -> None:
        """Close every connection after the pending replies are sent."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self.connections):
            connection.finish()


class Connection(asyncio.BufferedProtocol):
    """One client. `count` is the number of event lines that it has sent, including refused ones."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.count = 0
        self.last_active = time.monotonic()
        self._lines = LineStream()
        self._replies = bytearray()
        self._greeted = False
        self._uncounted = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept the client, or send it the reason and close."""
        self._transport = cast("asyncio.Transport", transport)
        reason = self.server.accept(self, self._transport)
        if reason is not None:
            self._transport.write(messages.encode(messages.Refusal(error=reason, field="connection")))
            self._transport.close()
            self._transport = None

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Forget the client, and a last line that has no newline."""
        self._transport = None
        self.server.disconnected(self)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """The shared buffer, into which asyncio receives."""
        return self.server.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Add the whole lines that were received, and keep the rest of the bytes."""
        if self._transport is None:
            return
        self.last_active = time.monotonic()
        before = self.count
        self._uncounted = 0
        lines = self._lines.take(self.server.buffer[:nbytes], self.server.ingest, self._on_non_event)
        self.count += lines - self._uncounted
        self._send_replies()
        if self.count != before:
            self.server.committer.request_ack(self, self.count)

    def _on_non_event(self, position: int, line: bytes, problem: WireError) -> None:
        """Answer a line that is not an event: a hello, a status request or an empty line, else refuse it.

        Only refused lines count as event lines.
        """
        message = control_message(line) if problem.field == "kind" else None
        if message is None and line:
            self._refuse(str(problem), problem.field, self.count + position + 1 - self._uncounted)
            return
        self._uncounted += 1
        if isinstance(message, messages.StatusRequest):
            self._reply(self.server.status())
        elif message is not None and not self._greeted:
            self._greeted = True
            self._reply(messages.encode(_hello()))
            self.server.on_change()

    def _refuse(self, reason: str, field: str, line: int) -> None:
        self.server.refused += 1
        self._reply(messages.encode(messages.Refusal(error=reason, field=field, line=line)))

    def _reply(self, data: bytes) -> None:
        """Send the reply with the others to the same bytes: a write for each of many bad lines takes long."""
        self._replies += data
        if len(self._replies) > _REPLY_BYTES:
            self._send_replies()

    def _send_replies(self) -> None:
        if self._replies:
            data, self._replies = self._replies, bytearray()
            self._send(data)

    def acknowledge(self, count: int) -> None:
        """Tell the client that its first `count` event lines are stored or refused."""
        self._send(b'{"ack":%d}\n' % count)

    def _send(self, data: bytes | bytearray) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return  # the client is gone
        if transport.get_write_buffer_size() > _MAX_UNSENT:
            # The client sends and does not read. It will spool its events.
            transport.abort()
            return
        transport.write(data)

    def pause(self, full: bool) -> None:  # noqa: FBT001 - a state, not an option
        """Stop reading while too many lines wait to be written, or resume."""
        if self._transport is not None:
            (self._transport.pause_reading if full else self._transport.resume_reading)()

    def drop(self) -> None:
        """Abort the connection."""
        if self._transport is not None:
            self._transport.abort()

    def finish(self) -> None:
        """Close the connection after the pending replies are sent."""
        if self._transport is not None:
            self._transport.close()


def control_message(line: bytes) -> messages.Hello | messages.StatusRequest | None:
    """The hello or status request in a line; None for any other line."""
    try:
        message, _ = messages.decode(line)
    except WireError:
        return None
    return message if isinstance(message, (messages.Hello, messages.StatusRequest)) else None


def _hello() -> messages.Hello:
    return messages.Hello(protocol=messages.PROTOCOL, name="tokmon-sidecar", version=__version__, pid=os.getpid())


def _fd_limit() -> int:
    import resource  # noqa: PLC0415 - not on every platform, and needed by the sidecar only

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else _MAX_CONNECTIONS + _SPARE_FDS


def _peer_uid(peer: socket.socket) -> int:
    """The user id of the peer according to the kernel; -1 if it is not known."""
    try:
        if sys.platform == "darwin":
            # struct xucred { u_int cr_version; uid_t cr_uid; … }, option LOCAL_PEERCRED of level SOL_LOCAL
            return int(struct.unpack_from("=II", peer.getsockopt(0, 1, 76))[1])
        return int(struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1])
    except (OSError, struct.error):
        return -1
