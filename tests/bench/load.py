"""A client that keeps a number of events in flight on each of its connections, in one process.

With acknowledgements (the sidecar) an event is done when it is acknowledged; without (rsyslog) the caller
watches the file that grows.
"""

import contextlib
import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

HELLO = b'{"kind":"hello","protocol":1,"name":"bench"}\n'


@dataclass(slots=True)
class Stream:
    """One connection: its lines in one buffer, and how far they are due, sent and acknowledged."""

    client: socket.socket
    data: memoryview
    ends: list[int]
    acks: bool
    due: int = 0
    """Lines that may be in flight or done."""

    sent: int = 0
    """Bytes that the socket has taken."""

    acked: int = 0
    rest: bytes = b""
    events: int = 0
    asked_at: float = 0.0
    waits: list[float] = field(default_factory=list)


def run(streams: Sequence[Stream], window: int) -> list[float]:
    """Send each stream's lines, until all are acknowledged; seconds waited for each answer if `window` is 1.

    No connection waits for another: sends do not block, as each session's own would not block the others'.
    """
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            _send(selector, stream, window if stream.acks else len(stream.ends))
        while selector.get_map():
            for key, events in selector.select():
                if events & selectors.EVENT_READ:
                    _answered(selector, key.data, window)
                if events & selectors.EVENT_WRITE:
                    _send(selector, key.data, 0)
    for stream in streams:
        stream.client.close()
    return [wait for stream in streams for wait in stream.waits]


def run_in_turn(streams: Sequence[Stream]) -> None:
    """Send all lines of one stream after those of the other, as a single blocking client does; no acknowledgements."""
    for stream in streams:
        stream.client.settimeout(None)
        stream.client.sendall(stream.data)
        stream.client.close()


def connect(path: Path) -> socket.socket:
    """A connection to the sidecar, greeted."""
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(path))
    client.sendall(HELLO)
    client.recv(4096)
    return client


def open_stream(path: Path, lines: Sequence[bytes], *, acks: bool) -> Stream:
    """A connection for these lines, ready to send them; `acks`: the other end acknowledges."""
    if acks:
        client = connect(path)
    else:
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(path))
    client.settimeout(0)
    ends, size = [], 0
    for line in lines:
        size += len(line)
        ends.append(size)
    return Stream(client, memoryview(b"".join(lines)), ends, acks, acked=0 if acks else len(ends))


def _send(selector: selectors.BaseSelector, stream: Stream, more: int) -> None:
    """Put `more` lines in flight, and send what the socket takes of what is due."""
    stream.due = min(stream.due + more, len(stream.ends))
    end = stream.ends[stream.due - 1]
    if stream.sent < end:
        stream.asked_at = time.perf_counter()
        with contextlib.suppress(BlockingIOError):
            stream.sent += stream.client.send(stream.data[stream.sent : end])
    _watch(selector, stream, sending=stream.sent < end)


def _watch(selector: selectors.BaseSelector, stream: Stream, *, sending: bool) -> None:
    wanted = selectors.EVENT_WRITE if sending else 0
    if stream.acked < len(stream.ends):
        wanted |= selectors.EVENT_READ
    if wanted == stream.events:
        return
    if not stream.events:
        selector.register(stream.client, wanted, stream)
    elif not wanted:
        selector.unregister(stream.client)
    else:
        selector.modify(stream.client, wanted, stream)
    stream.events = wanted


def _answered(selector: selectors.BaseSelector, stream: Stream, window: int) -> None:
    """Take acknowledgements and send as many events again."""
    *lines, stream.rest = (stream.rest + stream.client.recv(65536)).split(b"\n")
    if lines:
        if window == 1:
            stream.waits.append(time.perf_counter() - stream.asked_at)
        stream.acked = int(lines[-1][len(b'{"ack":') : -1])
        _send(selector, stream, window - (stream.due - stream.acked))
