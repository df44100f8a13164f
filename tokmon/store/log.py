"""Logs: JSON lines, appended under a lock which every writer but `append_unlocked` takes, and rotated by rename."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tokmon.errors import StoreError, reason_of
from tokmon.store.append import is_torn
from tokmon.store.atomic import write_all
from tokmon.store.lock import LogLock
from tokmon.store.opener import open_to_append

_MAX_BLOCKS = 1024  # IOV_MAX of Linux and macOS


@dataclass(frozen=True, slots=True)
class AppendResult:
    """The result of an append: whole lines in bytes `start` to `end` of the file with that inode.

    `rest` holds the lines that are not in the file, from the first that is not whole there, and `error` the reason.
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
        self._name = str(path)
        self._lock = LogLock(path.with_name(f"{path.name}.lock"))
        self._fd = -1
        self._identity = (0, 0)
        self._clean_end = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; the log can be appended to again."""
        self._lock.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def append(self, blocks: Sequence[bytes], *, blocking: bool = True) -> AppendResult | None:
        """Append whole lines (newline included; a block holds one or more) in one write under the lock.

        Without blocks it closes a torn last line, and opens the log.

        None if another process holds the lock and `blocking` is off. A full disk and the like stand in the result,
        since some of the lines may be in the file; StoreError if the log cannot be opened.
        """
        try:
            while self._lock.acquire(blocking=blocking):
                try:
                    self._open()
                    # Another one is in its place if the folder was moved, though the log may be back.
                    if self._lock.is_current():
                        return self._write(blocks)
                finally:
                    self._lock.release()
                self._lock.close()
        except OSError as error:
            self.close()
            raise StoreError(
                f"cannot write `{error.filename or self.path}`: {reason_of(error)}",
                hint="check the owner, the permissions and the space of that folder",
            ) from error
        return None

    def sync(self) -> None:
        """Force the appended lines to the disk (`fdatasync`); OSError if the disk refuses."""
        if self._fd >= 0:
            os.fdatasync(self._fd)

    def _open(self) -> None:
        """Open the log if it is not open, or was rotated (the path leads to another file, or none)."""
        if self._fd >= 0:
            try:
                status = os.lstat(self._name)
            except FileNotFoundError:
                status = None
            if status is not None and (status.st_dev, status.st_ino) == self._identity:
                return
            os.close(self._fd)
            self._fd = -1
        self._fd = open_to_append(self.path)
        status = os.fstat(self._fd)
        self._identity = (status.st_dev, status.st_ino)
        self._clean_end = -1

    def _write(self, blocks: Sequence[bytes]) -> AppendResult:
        start = os.fstat(self._fd).st_size
        torn = start != self._clean_end and is_torn(self._fd, start)
        if torn or len(blocks) > _MAX_BLOCKS:
            blocks = [b"\n" * torn + b"".join(blocks)]
        written, error = write_all(self._fd, blocks)
        self._clean_end = start + written if error is None else -1
        if error is None:
            return AppendResult(self._identity[1], start, start + written)
        data = b"".join(blocks)
        whole = data.rfind(b"\n", 0, written) + 1
        return AppendResult(self._identity[1], start, start + whole, data[max(whole, torn) :], error)


def append_to(path: Path, blocks: Sequence[bytes], *, blocking: bool = True) -> bool:
    """Append to a log that is rarely written; False if another process holds its lock and `blocking` is off.

    StoreError or OSError if not all lines are in the file.
    """
    with Log(path) as log:
        result = log.append(blocks, blocking=blocking)
    if result is not None and result.error is not None:
        raise result.error
    return result is not None
