"""Talking to the sidecar from Python: one question, one answer. Standard library only (wake path)."""

import errno
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

_TIMEOUT_S: Final = 2.0


def connect(sockets: tuple[Path, ...], timeout: float = _TIMEOUT_S) -> tuple[socket.socket, Path]:
    """A connection to the first socket that answers; else the last OSError that is more than its absence."""
    problem: OSError = FileNotFoundError(errno.ENOENT, "no sidecar listens")
    for path in sockets:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(timeout)
        try:
            client.connect(str(path))
        except OSError as error:
            client.close()
            problem = problem if isinstance(error, FileNotFoundError) else error
        else:
            return client, path
    raise problem


def request_status(sockets: tuple[Path, ...], timeout: float = _TIMEOUT_S) -> dict[str, Any]:
    """How the sidecar is (`version`, `pid`, `stored`, …) and where it listens; OSError if none answers in time."""
    deadline = time.monotonic() + timeout
    client, path = connect(sockets, timeout)
    with client:
        client.sendall(b'{"kind":"status"}\n')
        for line in _lines(client, deadline):
            answer = json.loads(line)
            if isinstance(answer, dict) and isinstance(answer.get("status"), dict):
                return {"socket": str(path), **answer["status"]}
    raise ConnectionError("the sidecar closed the connection without an answer")


def _lines(client: socket.socket, deadline: float) -> Iterator[bytes]:
    """The lines that come before the deadline; TimeoutError then, even from one who sends without an end."""
    rest = b""
    while chunk := client.recv(65536):
        if time.monotonic() > deadline:
            raise TimeoutError("no answer in time")
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
