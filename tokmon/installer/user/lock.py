"""The installer's lock: the file `install.lock`, locked by flock(2), so that it ends with the process that holds it.

filelock takes it. A bare checkout has no packages until its first version is made: there a stand-in with the same
interface calls flock(2) itself, on the same file, which is the lock that filelock takes. So either waits for the other.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tokmon.errors import InstallError, reason_of
from tokmon.installer.user import files
from tokmon.installer.user.plan import say

_PATIENCE_S: Final = 900.0
_TURN_S: Final = 0.05


class KernelLock:
    """What is used here of `filelock.FileLock`, for a Python without packages."""

    def __init__(self, path: Path, *, on_acquired: Callable[[int], object] = int, **_options: object) -> None:
        self._path, self._on_acquired = path, on_acquired
        self._fd = -1

    def acquire(self, timeout: float) -> None:
        """Lock the file, which is made if it is missing. Raises TimeoutError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not self._try():
            if time.monotonic() >= deadline:
                raise TimeoutError(str(self._path))
            time.sleep(_TURN_S)
        self._on_acquired(self._fd)

    def _try(self) -> bool:
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # An uninstall that held the lock may have removed the file: later installers lock another one.
            if os.fstat(self._fd).st_nlink:
                return True
        os.close(self._fd)
        return False

    def release(self) -> None:
        """Close the file, which ends the lock."""
        os.close(self._fd)


if TYPE_CHECKING:
    from filelock import FileLock
else:
    try:
        from filelock import FileLock
    except ImportError:
        FileLock = KernelLock


@contextlib.contextmanager
def held(path: Path, *, shared: bool = False) -> Iterator[int]:
    """Hold the lock at `path` and hand out its descriptor; waits for another holder. Raises InstallError."""
    files.trust(path.parent, shared=shared)
    if not path.parent.is_dir():
        raise InstallError(f"the folder of `{path}` was removed meanwhile", hint="run this again")
    descriptors: list[int] = []
    lock = FileLock(path, mode=0o600, fallback_to_soft=False, on_acquired=descriptors.append)
    try:
        try:
            lock.acquire(timeout=0)
        except TimeoutError:
            say("another install is running: waiting for it to end")
            lock.acquire(timeout=_PATIENCE_S)
    except TimeoutError as error:
        hint = f"find the process that holds `{path}`, for example with `fuser`"
        raise InstallError("waited too long for another install", hint=hint) from error
    except OSError as error:
        raise InstallError(f"cannot write to `{path}`: {reason_of(error)}", hint="its owner can remove it") from error
    try:
        yield descriptors[-1]
    finally:
        lock.release()


def is_free(path: Path) -> bool:
    """Whether no process holds the lock of the file at `path`."""
    lock = FileLock(path, fallback_to_soft=False)
    try:
        lock.acquire(timeout=0)
    except TimeoutError:
        return False
    lock.release()
    return True
