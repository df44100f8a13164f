"""The lock that holds off a second installer. An open file holds it: it ends with its holder, however that ends."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tokmon.errors import InstallError
from tokmon.installer import files
from tokmon.installer.plan import say

_PATIENCE_S: Final = 900.0
_TURN_S: Final = 0.1


@contextlib.contextmanager
def held(path: Path, *, shared: bool = False) -> Iterator[int]:
    """Hold the lock at `path` and hand out its descriptor; waits for another holder. Raises InstallError."""
    files.trust(path.parent, shared=shared)
    while True:
        fd = _open(path)
        try:
            _take(fd, path)
            # An uninstall that held it took it away: whoever comes later locks another one.
            if _is_at(fd, path):
                yield fd
                return
        finally:
            os.close(fd)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileNotFoundError as error:
        raise InstallError(f"the folder of `{path}` was removed meanwhile", hint="run this again") from error
    except OSError as error:
        raise InstallError(f"cannot write to `{path}`: {error.strerror}", hint="its owner can remove it") from error


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.lstat())
    except FileNotFoundError:
        return False


def _take(fd: int, path: Path) -> None:
    deadline, told = time.monotonic() + _PATIENCE_S, False
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not told:
                say("another install is running: waiting for it to end")
                told = True
            if time.monotonic() > deadline:
                raise InstallError(
                    "waited too long for another install", hint=f"see what holds `{path}`, for example with `fuser`"
                ) from None
            time.sleep(_TURN_S)
        else:
            return
