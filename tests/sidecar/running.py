"""A real sidecar in a process of its own, and a client of its wire."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.patience import PATIENCE_S
from tokmon import paths
from tokmon.paths import Paths
from tokmon.wire.instants import rfc3339

HEADERS = {
    "anthropic-ratelimit-unified-status": "allowed",
    "anthropic-ratelimit-unified-5h-status": "allowed",
    "anthropic-ratelimit-unified-5h-utilization": "0.42",
    "anthropic-ratelimit-unified-5h-reset": "1795334400",
    "anthropic-ratelimit-unified-7d-utilization": "0.61",
    "anthropic-ratelimit-unified-7d-reset": "1795687200",
    "anthropic-ratelimit-unified-representative-claim": "five_hour",
    "request-id": "req_1",
}


FRESH = {"5h": 3, "7d": 72}
"""Hours until the resets of a fresh capture."""

WAIT_S = PATIENCE_S
"""The longest wait for a condition. It is generous, since a busy machine must not fail a test."""


def capture(number: int, **fields: Any) -> dict[str, Any]:
    """A capture event; `fields` replace or add."""
    return {
        "kind": "capture",
        "id": f"capture-{number:08}",
        "ts": "2026-11-22T06:00:00.250Z",
        "provider": "team-vigilio",
        "model": "claude-sonnet-4-6",
        "api": "anthropic-messages",
        "member": "vigilio",
        "attribution": "wrapper",
        "key_shape": "ant-oat",
        "http_status": 200,
        "headers": HEADERS,
    } | fields


def fresh(number: int, **fields: Any) -> dict[str, Any]:
    """A capture of now, whose windows reset in hours and days."""
    now = time.time()
    resets = {
        f"anthropic-ratelimit-unified-{name}-reset": str(int(now + 3600 * hours)) for name, hours in FRESH.items()
    }
    return capture(number, ts=rfc3339(now), headers=HEADERS | resets) | fields


def usage(number: int, **fields: Any) -> dict[str, Any]:
    """A usage event; `fields` replace or add."""
    return {
        "kind": "usage",
        "id": f"usage-{number:08}",
        "ts": "2026-11-22T06:00:01.000Z",
        "provider": "team-vigilio",
        "model": "claude-sonnet-4-6",
        "tokens": {"input": 12, "output": 9},
        "cost_usd": 0.25,
        "cost_source": "estimated",
        "stop": "stop",
    } | fields


def wait_until(condition: Callable[[], object], what: str, seconds: float = WAIT_S) -> None:
    """Wait until a condition is true. Fails with `what`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.005)


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The lines that a reader of the log accepts: whole lines that are JSON."""
    if not path.exists():
        return []
    whole = path.read_bytes().split(b"\n")[:-1]
    lines = []
    for line in whole:
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines


def ids(path: Path) -> Counter[str]:
    """The number of lines of each event id in the log."""
    return Counter(line["id"] for line in lines_of(path))


class Client:
    """One connection like that of the extension."""

    def __init__(self, path: Path, *, hello: bool = True) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(WAIT_S)
        self._rest = b""
        try:
            self.socket.connect(str(path))
            if hello:
                self.send({"kind": "hello", "protocol": 1, "name": "test"})
                assert self.receive()["kind"] == "hello"
        except BaseException:
            self.socket.close()
            raise

    def send(self, *events: dict[str, Any]) -> None:
        self.send_bytes(b"".join(json.dumps(event).encode() + b"\n" for event in events))

    def send_bytes(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive(self) -> dict[str, Any]:
        """The next line; ConnectionError at the end of the stream."""
        while b"\n" not in self._rest:
            chunk = self.socket.recv(65536)
            if not chunk:
                raise ConnectionError("closed")
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def acknowledged(self, count: int) -> list[dict[str, Any]]:
        """Wait until that many event lines are acknowledged; returns the other replies."""
        others = []
        while True:
            answer = self.receive()
            if "ack" not in answer:
                others.append(answer)
            elif answer["ack"] >= count:
                return others

    def close(self) -> None:
        self.socket.close()


@dataclass(slots=True)
class Sidecar:
    """A running sidecar."""

    daemon: subprocess.Popen[bytes]
    paths: Paths
    stderr: Path
    clients: list[Client] = field(default_factory=list)

    @property
    def socket(self) -> Path:
        return self.paths.sockets[0]

    def client(self, *, hello: bool = True) -> Client:
        made = Client(self.socket, hello=hello)
        self.clients.append(made)
        return made

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.daemon.send_signal(number)
        return self.daemon.wait(WAIT_S)

    def log(self) -> str:
        return self.stderr.read_text(encoding="utf-8")

    def wakeups(self) -> int:
        """How often the main thread went to sleep: unchanged for as long as nothing woke it."""
        status = Path(f"/proc/{self.daemon.pid}/task/{self.daemon.pid}/status").read_text(encoding="ascii")
        return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


@contextmanager
def sidecar(*arguments: str, env: dict[str, str] | None = None, prefix: Iterable[str] = ()) -> Iterator[Sidecar]:
    """Run `tokmon sidecar` in the home of the test until the block ends, then kill it if it still runs."""
    own_paths = paths.find({**os.environ, **(env or {})})
    stderr = own_paths.home / f"sidecar-{time.monotonic_ns()}.err"
    with stderr.open("wb") as errors:
        daemon = subprocess.Popen(
            [*prefix, sys.executable, "-m", "tokmon", "sidecar", *arguments],
            stdin=subprocess.DEVNULL,
            stderr=errors,
            env={**os.environ, **(env or {})},
        )
    running = Sidecar(daemon, own_paths, stderr)
    try:
        wait_until(lambda: "listening" in running.log() or daemon.poll() is not None, "the sidecar listens")
        yield running
    finally:
        for client in running.clients:
            client.close()
        if daemon.poll() is None:
            daemon.kill()
        daemon.wait(WAIT_S)
