"""Following logs as they grow: whole lines only, through rotation by rename. Not a verb.

A follower keeps the file it reads open. Once the name leads to another file it reads the old one to its end,
once more at the next look (a writer may have been about to append), and then lets it go; or it goes on under the
file's new name, where that is a log's name too.
"""

import os
from collections.abc import Iterable, Iterator
from io import FileIO
from pathlib import Path
from typing import Final, Self

from tokmon import store

_BLOCK: Final = 64 << 10


class _File:
    """One open file, and what has been read of a line that is not ended yet."""

    def __init__(self, path: Path, *, at_end: bool) -> None:
        self._file = store.opened(path)
        self._rest = b""
        found = os.fstat(self._file.fileno())
        self.identity = (found.st_dev, found.st_ino)
        if at_end:
            self._file.seek(_last_newline(self._file, found.st_size))

    def lines(self) -> Iterator[bytes]:
        """The whole lines since the last call; from the start if the file was cut short."""
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            self._file.seek(0)
            self._rest = b""
        while chunk := self._file.read(_BLOCK):
            *whole, self._rest = (self._rest + chunk).split(b"\n")
            yield from whole

    def last(self, wanted: int) -> list[bytes]:
        """The last lines before where it is read from; more of them than wanted, perhaps."""
        end = self._file.tell()
        start, data = end, b""
        while start > 0 and data.count(b"\n") <= wanted:
            size = min(_BLOCK, start)
            start -= size
            data = os.pread(self._file.fileno(), size, start) + data
        lines = data.split(b"\n")[:-1]
        return lines[1:] if start else lines

    def close(self) -> None:
        self._file.close()


def _last_newline(file: FileIO, size: int) -> int:
    """The offset after the last newline: what stands behind it is not a line yet."""
    end = size
    while end > 0:
        start = max(0, end - _BLOCK)
        found = os.pread(file.fileno(), end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


class Follower:
    """Reads every log that `paths` names at each look, those that are there at the first one from their end."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._files: dict[Path, _File] = {}
        self._leaving: list[_File] = []
        for path in paths:
            self._open(path, at_end=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        for file in (*self._files.values(), *self._leaving):
            file.close()

    def last(self, wanted: int) -> list[bytes]:
        """The last `wanted` lines of every log, before anything that `lines` gives."""
        return [line for file in self._files.values() for line in file.last(wanted)[-wanted:]] if wanted else []

    def lines(self, paths: Iterable[Path]) -> list[bytes]:
        """The whole lines that have come since the last look, log by log."""
        found: list[bytes] = []
        for file in self._leaving:
            found += file.lines()
            file.close()
        self._leaving = []
        for path, file in list(self._files.items()):
            found += file.lines()
            if file.identity != _identity(path):
                self._leaving.append(self._files.pop(path))
        for path in paths:
            if path not in self._files and not self._renamed(path) and self._open(path, at_end=False):
                found += self._files[path].lines()
        return found

    def _renamed(self, path: Path) -> bool:
        """Whether a name that is new leads to a file that is not: then it is followed under that name."""
        identity = _identity(path)
        for file in self._leaving:
            if file.identity == identity:
                self._leaving.remove(file)
                self._files[path] = file
                return True
        return any(file.identity == identity for file in self._files.values())

    def _open(self, path: Path, *, at_end: bool) -> bool:
        try:
            self._files[path] = _File(path, at_end=at_end)
        except OSError:
            # Not there yet, or not ours to read: `tokmon doctor` says which.
            return False
        return True


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
