"""A Unix socket server that stands in for the sidecar: it keeps every line, and acknowledges, hangs or refuses."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Event = dict[str, Any]


class Listener:
    """Listens on `path`. With `acks=False` it takes every line and never says so; `reads=False` takes none.

    With `drops_after=N` the first connection ends after N events, and the next ones acknowledge.
    """

    def __init__(self, path: Path, *, acks: bool = True, reads: bool = True, drops_after: int = 0) -> None:
        self.path = path
        self.acks = acks
        self.reads = reads
        self.drops_after = drops_after
        self.hellos: list[Event] = []
        self.events: list[Event] = []
        self.raw = b""
        self._ends = False
        self._changed = threading.Condition()
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._server.bind(str(self.path))
        self._server.listen(16)
        self._spawn(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Close the socket and every connection, and remove the file."""
        self.path.unlink(missing_ok=True)
        for each in (self._server, *self._connections):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join()

    def of(self, kind: str) -> list[Event]:
        """The captures, or the usages."""
        with self._changed:
            return [event for event in self.events if event["kind"] == kind]

    def finish(self) -> None:
        """Wait until each process that has connected so far has ended, and all that it sent is here."""
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(str(self.path))
            last.sendall(b'{"kind":"end"}\n')
            with self._changed:
                self._changed.wait_for(lambda: self._ends)
                self._ends = False
        for thread in self._threads[1:]:
            thread.join()

    def wait(self, true_of: Callable[[list[Event]], bool], timeout: float = 100.0) -> list[Event]:
        """Wait until something is true of the events, or raise TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: true_of(self.events), timeout):
                raise TimeoutError(f"after {timeout} s there were {self.events}")
            return list(self.events)

    def _spawn(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self._connections.append(connection)
            if self.reads:
                self._spawn(self._read, connection)

    def _read(self, connection: socket.socket) -> None:
        count = 0
        with connection, connection.makefile("rb") as lines:
            try:
                for line in lines:
                    count += self._keep(line)
                    if self.acks and count:
                        connection.sendall(json.dumps({"ack": count}).encode() + b"\n")
                    if count and count == self.drops_after:
                        self.acks, self.drops_after = True, 0
                        return
            except OSError:
                return

    def _keep(self, line: bytes) -> int:
        event = json.loads(line)
        with self._changed:
            if event["kind"] == "end":
                self._ends = True
                self._changed.notify_all()
                return 0
            self.raw += line
            hello = event["kind"] == "hello"
            (self.hellos if hello else self.events).append({**event, "heard_at": time.time()})
            self._changed.notify_all()
        return 0 if hello else 1
