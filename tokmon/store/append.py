"""Appending to logs, under a file lock that every writer of the log takes.

A single write is not safe against kill -9, so a writer that holds the lock looks at the last byte first and
closes a torn line with a newline. A write that fails half-way is never undone by truncation: that could cut
another writer's line. The lock is a `flock` of `NAME.lock` beside the log, as PyPI's filelock takes it too.
"""

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tokmon.errors import StoreError
from tokmon.paths import FILE_MODE, private_folder
from tokmon.store.atomic import write_all

_APPEND = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_LOCK = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_BLOCKS = 1024  # IOV_MAX of Linux and macOS


def _lock(fd: int, *, blocking: bool) -> bool:
    """Take the lock of a descriptor; False if it is held elsewhere and `blocking` is off."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX if blocking else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # some file systems say the second for the first
        if blocking:
            raise
        return False
    return True


@dataclass(frozen=True, slots=True)
class Appended:
    """What an append did: whole lines in bytes `start` to `end` of `inode`.

    `rest` is what is not in the file, from the first line that is not whole there, and `error` says why.
    """

    inode: int
    start: int
    end: int
    rest: bytes = b""
    error: OSError | None = None


class Log:
    """One JSONL file that this process appends to. Not thread-safe; other processes may append too."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock_fd = self._fd = -1
        self._inode = (0, 0)
        self._clean_end = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back the descriptors; the log may be appended to again all the same."""
        for fd in (self._fd, self._lock_fd):
            if fd >= 0:
                os.close(fd)
        self._fd = self._lock_fd = -1

    def append(self, blocks: Sequence[bytes], *, blocking: bool = True) -> Appended | None:
        """Append whole lines (newline included; a block holds one or more) in one write under the lock.

        Returns None if the lock is held elsewhere and `blocking` is off. A full disk and the like are told in
        the result, since some of the lines may be in the file; raises StoreError if the log cannot be opened.
        """
        try:
            self._open_lock()
            if not _lock(self._lock_fd, blocking=blocking):
                return None
            try:
                self._open()
                return self._write(blocks)
            finally:
                fcntl.flock(self._lock_fd, fcntl.LOCK_UN)
        except OSError as error:
            self.close()
            raise StoreError(
                f"cannot write `{self.path}`: {error.strerror or error}",
                hint="check the owner, the permissions and the space of that folder",
            ) from error

    def heal(self) -> None:
        """Close a torn last line now, rather than at the next append; not if somebody holds the lock."""
        self.append((), blocking=False)

    def sync(self) -> None:
        """Force what was appended to the disk (`fdatasync`); OSError if the disk says no."""
        if self._fd >= 0:
            os.fdatasync(self._fd)

    def _open_lock(self) -> None:
        if self._lock_fd < 0:
            private_folder(self.path.parent)
            self._lock_fd = os.open(f"{self.path}.lock", _LOCK, FILE_MODE)

    def _open(self) -> None:
        """Open the log, anew if it was rotated: the name then leads to another file, or to none."""
        if self._fd >= 0:
            try:
                found = self.path.lstat()
            except FileNotFoundError:
                found = None
            if found is not None and (found.st_dev, found.st_ino) == self._inode:
                return
            os.close(self._fd)
            self._fd = -1
        self._fd = os.open(self.path, _APPEND, FILE_MODE)
        found = os.fstat(self._fd)
        self._inode = (found.st_dev, found.st_ino)
        self._clean_end = -1

    def _write(self, blocks: Sequence[bytes]) -> Appended:
        start = os.fstat(self._fd).st_size
        torn = start > 0 and start != self._clean_end and os.pread(self._fd, 1, start - 1) != b"\n"
        if torn or len(blocks) > _BLOCKS:
            blocks = [b"\n" * torn + b"".join(blocks)]
        written, error = write_all(self._fd, blocks)
        self._clean_end = start + written if error is None else -1
        if error is None:
            return Appended(self._inode[1], start, start + written)
        data = b"".join(blocks)
        whole = data.rfind(b"\n", 0, written) + 1
        return Appended(self._inode[1], start, start + whole, data[max(whole, torn) :], error)


def append_to(path: Path, blocks: Sequence[bytes], *, blocking: bool = True) -> bool:
    """Append to a log that is written now and then; False if its lock is held elsewhere and `blocking` is off.

    StoreError or OSError if not all of it is in the file.
    """
    with Log(path) as log:
        done = log.append(blocks, blocking=blocking)
    if done is not None and done.error is not None:
        raise done.error
    return done is not None


def append_unlocked(path: Path, line: bytes) -> None:
    """Append one line (without its newline) in a single write, without a lock; OSError or StoreError if that fails.

    The line begins with a newline where the log ends in a torn one.
    """
    private_folder(path.parent)
    fd = os.open(path, _APPEND | os.O_NONBLOCK, FILE_MODE)
    try:
        state = os.fstat(fd)
        if not stat.S_ISREG(state.st_mode):
            raise StoreError(f"`{path}` is no file", hint="move away what is there")
        torn = state.st_size > 0 and os.pread(fd, 1, state.st_size - 1) != b"\n"
        data = b"\n" * torn + line + b"\n"
        if os.write(fd, data) != len(data):
            raise StoreError(f"`{path}` took only a part of a line", hint="check the space of that folder")
    finally:
        os.close(fd)


class Held:
    """A lock held for the life of a process, with its pid in the file for whoever finds it held."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    def __enter__(self) -> Self:
        private_folder(self._path.parent)
        try:
            self._fd = os.open(self._path, _LOCK, FILE_MODE)
        except OSError as error:
            raise StoreError(f"cannot open `{self._path}`: {error.strerror}", hint="move away what is there") from error
        return self

    def __exit__(self, *_exception: object) -> None:
        os.close(self._fd)

    def take(self, timeout: float = 0.0) -> bool:
        """Take it within `timeout` seconds; False if somebody else keeps it."""
        deadline = time.monotonic() + timeout
        while not _lock(self._fd, blocking=False):
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)
        with contextlib.suppress(OSError):  # the pid is a courtesy: on a full disk there is none
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)
        return True

    def holder(self) -> int | None:
        """The pid that the file names, or None."""
        text = os.pread(self._fd, 32, 0).strip()
        return int(text) if text.isdigit() else None
