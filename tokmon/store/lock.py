"""File locks: the only module that takes them. A lock is a `flock` of a file `NAME.lock`, taken by `filelock`.

`ProcessLock` is for one process at a time, for a moment or for life. `LogLock` is for appending to a log, some
thousand times a second: it keeps its file open, and so costs 1.2 us instead of the 82 us of a `FileLock`.

`filelock` takes longer to import than a wake may take, so it is imported with the first lock: a wake takes none.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from tokmon.errors import StoreError, reason_of
from tokmon.paths import FILE_MODE, private_folder
from tokmon.store.opener import open_file, open_to_append, read_file

_POLL_S = 0.02
_FOLDER_POLL_S = 0.005
_PID_BYTES = 32


class ProcessLock:
    """A lock for one process at a time. Its file holds the pid of the last process that took it."""

    def __init__(self, path: Path) -> None:
        from filelock import FileLock

        self._path = path
        self._lock = FileLock(
            path,
            mode=FILE_MODE,
            thread_local=False,
            poll_interval=_POLL_S,
            fallback_to_soft=False,
            preserve_lock_file=True,
            on_acquired=_write_pid,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._lock.release(force=True)

    def acquire(self, timeout: float = 0.0) -> bool:
        """Take the lock within `timeout` seconds; False if another process holds it. StoreError if it has no file."""
        from filelock import Timeout

        private_folder(self._path.parent)
        try:
            self._lock.acquire(timeout=timeout)
        except Timeout:
            return False
        except OSError as error:
            raise StoreError(
                f"cannot lock `{self._path}`: {reason_of(error)}", hint="move away what is there"
            ) from error
        return True

    def holder(self) -> int | None:
        """The pid in the file, or None."""
        return holder_of(self._path)


def _write_pid(fd: int) -> None:
    with contextlib.suppress(OSError):  # others work without it, and a full disk has no place for it
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d\n" % os.getpid(), 0)


def holder_of(path: Path) -> int | None:
    """The pid of the last process that took a `ProcessLock`, or None."""
    try:
        text = read_file(path, _PID_BYTES, follow_links=False).strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def has_other_holder(path: Path) -> bool:
    """Whether the last process that took a `ProcessLock` is another one and lives: for a wake, which takes no lock.

    Another process of this user may have got the same pid since.
    """
    pid = holder_of(path)
    if not pid or pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except (OSError, OverflowError):
        return False
    return True


def is_held(path: Path) -> bool:
    """Whether a process holds the lock at `path`. Creates no file; OSError if there is one that cannot be opened."""
    from filelock import lock_descriptor

    try:
        file = open_file(path, follow_links=False)
    except FileNotFoundError:
        return False
    with file:
        return not lock_descriptor(file.fileno(), blocking=False)


@contextlib.contextmanager
def folder_lock(path: Path, timeout: float) -> Iterator[bool]:
    """Hold the lock of a folder, which every user who can read it can take; False if it was not free in time.

    Whoever can read the folder can also keep the lock: nothing may depend on it.
    """
    from filelock import lock_descriptor

    until = time.monotonic() + timeout
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        is_held = False
        with contextlib.suppress(OSError):  # a file system without locks
            while not (is_held := lock_descriptor(fd, blocking=False)) and time.monotonic() < until:
                time.sleep(_FOLDER_POLL_S)
        yield is_held
    finally:
        os.close(fd)


class LogLock:
    """The lock of a log. Not thread-safe. Its file stays open between two holds."""

    def __init__(self, path: Path) -> None:
        from filelock import lock_descriptor, unlock_descriptor

        self._lock, self._unlock = lock_descriptor, unlock_descriptor
        self._path = path
        self._name = str(path)
        self._fd = -1
        self._identity = (0, 0)

    def acquire(self, *, blocking: bool) -> bool:
        """Take the lock; False if another process holds it and `blocking` is off. OSError if it has no file."""
        if self._fd < 0:
            private_folder(self._path.parent)
            self._fd = open_to_append(self._path)
            status = os.fstat(self._fd)
            self._identity = (status.st_dev, status.st_ino)
        return self._lock(self._fd, blocking=blocking, poll_interval=_POLL_S)

    def is_current(self) -> bool:
        """Whether the path still leads to the open file. Otherwise others lock another file: close this one."""
        try:
            status = os.lstat(self._name)  # before every append, where `Path.lstat` takes thrice as long
        except FileNotFoundError:
            return False
        return (status.st_dev, status.st_ino) == self._identity

    def release(self) -> None:
        """Give the lock back."""
        self._unlock(self._fd)

    def close(self) -> None:
        """Close the file, and give the lock back if it is held. It can be taken again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
