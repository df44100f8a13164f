"""A client that keeps a number of events in flight on each of its connections, in one process.

With acknowledgements (the sidecar) an event is done when it is acknowledged; without (rsyslog) the caller
watches the file that grows.
"""

import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

HELLO = b'{"kind":"hello","protocol":1,"name":"bench"}\n'


@dataclass(slots=True)
class Stream:
    """One connection: its lines in one buffer, and how far they are sent and acknowledged."""

    client: socket.socket
    data: memoryview
    ends: list[int]
    sent: int = 0
    acked: int = 0
    rest: bytes = b""
    asked_at: float = 0.0
    waits: list[float] = field(default_factory=list)


def run(path: Path, batches: Sequence[Sequence[bytes]], window: int, *, acks: bool) -> tuple[float, list[float]]:
    """Send every batch on a connection of its own; (seconds, seconds waited for each answer if `window` is 1)."""
    streams = [_open(path, lines, acks=acks) for lines in batches]
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream.client, selectors.EVENT_READ, stream)
        start = time.perf_counter()
        for stream in streams:
            _send(stream, window if acks else len(stream.ends))
        open_streams = len(streams) if acks else 0
        while open_streams:
            for key, _ in selector.select():
                open_streams -= _answered(key.data, window)
        elapsed = time.perf_counter() - start
    for stream in streams:
        stream.client.close()
    return elapsed, [wait for stream in streams for wait in stream.waits]


def connect(path: Path) -> socket.socket:
    """A connection to the sidecar, greeted."""
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(path))
    client.sendall(HELLO)
    client.recv(4096)
    return client


def _open(path: Path, lines: Sequence[bytes], *, acks: bool) -> Stream:
    if acks:
        client = connect(path)
    else:
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(path))
    ends, size = [], 0
    for line in lines:
        size += len(line)
        ends.append(size)
    return Stream(client, memoryview(b"".join(lines)), ends)


def _send(stream: Stream, count: int) -> None:
    last = min(stream.sent + count, len(stream.ends))
    if last > stream.sent:
        stream.asked_at = time.perf_counter()
        begin = stream.ends[stream.sent - 1] if stream.sent else 0
        stream.client.sendall(stream.data[begin : stream.ends[last - 1]])
        stream.sent = last


def _answered(stream: Stream, window: int) -> bool:
    """Take acknowledgements and send as many events again; whether this stream is done."""
    *lines, stream.rest = (stream.rest + stream.client.recv(65536)).split(b"\n")
    if lines:
        if window == 1:
            stream.waits.append(time.perf_counter() - stream.asked_at)
        stream.acked = int(lines[-1][len(b'{"ack":') : -1])
        _send(stream, window - (stream.sent - stream.acked))
    return bool(lines) and stream.acked == len(stream.ends)
