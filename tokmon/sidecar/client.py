"""A client for the sidecar: connect, and request its status.

Standard library alone: the installer asks a running sidecar before any package is there.
"""

import errno
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

_TIMEOUT_S: Final = 2.0


def connect(sockets: tuple[Path, ...], timeout: float = _TIMEOUT_S) -> tuple[socket.socket, Path]:
    """A connection to the first socket that accepts one, and its path.

    Raises the last OSError other than FileNotFoundError, which is raised only if there is no socket at all.
    """
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
    """The sidecar's status (`version`, `pid`, `stored`, …) and its `socket`.

    Raises OSError if none answers in time, ValueError if the answer is no JSON.
    """
    deadline = time.monotonic() + timeout
    client, path = connect(sockets, timeout)
    with client:
        client.sendall(b'{"kind":"status"}\n')
        for line in _lines(client, deadline):
            reply = json.loads(line)
            if isinstance(reply, dict) and isinstance(reply.get("status"), dict):
                return {"socket": str(path), **reply["status"]}
    raise ConnectionError("the sidecar closed the connection without an answer")


def _lines(client: socket.socket, deadline: float) -> Iterator[bytes]:
    """The lines that arrive before the deadline. Raises TimeoutError then, even if the peer keeps sending."""
    rest = b""
    while chunk := client.recv(65536):
        if time.monotonic() > deadline:
            raise TimeoutError("no answer in time")
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
