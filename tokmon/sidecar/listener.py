"""The sidecar's socket: find a place for it, bind it privately, replace a dead one, remove it at the end."""

import contextlib
import errno
import os
import socket
import stat
import time
from pathlib import Path
from typing import Final

from tokmon.errors import StoreError, reason_of
from tokmon.paths import FILE_MODE, Paths, private_folder

BACKLOG: Final = 512
_REPLY_S: Final = 3.0


class SocketFile:
    """A socket file that this process bound. Another process may have replaced it since."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode = _inode(path)

    def unlink(self) -> None:
        """Remove the file if it is still the same one: a service manager that takes over binds the same path."""
        if self._inode is not None and _inode(self._path) == self._inode:
            self._path.unlink(missing_ok=True)


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def is_reachable(paths: Paths) -> bool:
    """True if a sidecar of this member listens, or begins to within 3 seconds.

    A sidecar whose runtime folder was removed (its user logged out) runs on and cannot be reached.
    """
    deadline = time.monotonic() + _REPLY_S
    while time.monotonic() < deadline:
        if any(_connects(path) for path in paths.sockets):
            return True
        time.sleep(0.05)
    return False


def _connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_REPLY_S)
        try:
            client.connect(str(path))
        except (TimeoutError, BlockingIOError):
            return True  # a listener that is slow, or whose queue is full
        except OSError:
            return False
    return True


def listen(paths: Paths) -> socket.socket:
    """A socket (0600 in a 0700 folder) that listens at the first usable path. Raises StoreError if there is none."""
    problem: OSError | StoreError | None = None
    for path in paths.sockets:
        if path != paths.sockets[-1] and not os.path.isdir(path.parent.parent):  # noqa: PTH112 - never raises
            continue  # the runtime folder does not exist, and only a login session may create it
        try:
            private_folder(path.parent)
            return _bind(path)
        except (OSError, StoreError) as error:
            problem = error
    reason = "no folder for it" if problem is None else reason_of(problem)
    raise StoreError(
        f"cannot listen at `{paths.sockets[-1]}`: {reason}",
        hint="a socket path has at most 103 bytes; choose another with TOKMON_SOCKET",
    )


def _bind(path: Path) -> socket.socket:
    """Bind and listen. A socket file that refuses connections is left over from a dead sidecar, and is replaced."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise StoreError(f"`{path}` exists and is not a socket", hint="move it away")
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1.0)
            code = client.connect_ex(str(path))
        if code not in {errno.ECONNREFUSED, errno.ENOENT}:
            raise StoreError(f"another program listens at `{path}`", hint="stop it, or choose another path")
        path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(path))
        path.chmod(FILE_MODE)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
