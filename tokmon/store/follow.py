"""Following logs as they grow: whole lines only, through rotation by rename.

A follower keeps the file it reads open. When the path leads to another file, it reads the old file to its end, and
once more at the next call (a writer may have been about to append). Then it closes the file, or goes on under the
file's new name if that is a log's name too.
"""

import os
from collections.abc import Iterable, Iterator
from io import FileIO
from pathlib import Path
from typing import Final, Self

from tokmon.store.opener import open_file
from tokmon.store.reader import Lines, blocks_before

_BLOCK: Final = 64 << 10
_BACK: Final = 256 << 20
"""Bytes at the end of a log in which the last lines are looked for."""


class _File:
    """One open file, and how much of it has been read."""

    def __init__(self, path: Path, *, at_end: bool) -> None:
        self._file = open_file(path)
        status = os.fstat(self._file.fileno())
        self.identity = (status.st_dev, status.st_ino)
        self._end = _last_newline(self._file, status.st_size) if at_end else 0
        self._lines = Lines(self._file, self._end)
        if self._end == 0 and at_end and status.st_size > _BACK:
            self._lines = Lines(self._file, status.st_size, in_a_line=True)

    def lines(self) -> Iterator[bytes]:
        """The whole lines since the last call; from the start if the file was cut short."""
        if os.fstat(self._file.fileno()).st_size < self._lines.position:
            self._lines = Lines(self._file)
        for _, lines in self._lines.blocks():
            yield from lines

    def last(self, wanted: int) -> list[bytes]:
        """At least `wanted` of the lines before the position, if there are as many."""
        lines: list[bytes] = []
        for _, _, block in blocks_before(self._file, max(0, self._end - _BACK), self._end):
            lines = block + lines
            if len(lines) >= wanted:
                break
        return lines

    def close(self) -> None:
        self._file.close()


def _last_newline(file: FileIO, size: int) -> int:
    """The offset after the last newline; 0 if there is none near the end."""
    end, stop = size, max(0, size - _BACK)
    while end > stop:
        start = max(stop, end - _BLOCK)
        newline = os.pread(file.fileno(), end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


class Follower:
    """Reads logs as they grow: those that exist at its creation from their ends, later ones from their beginnings."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._files: dict[Path, _File] = {}
        self._replaced: list[_File] = []
        for path in paths:
            self._open(path, at_end=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        for file in (*self._files.values(), *self._replaced):
            file.close()

    def last(self, wanted: int) -> list[bytes]:
        """The last `wanted` lines of every log; call it before `lines`."""
        return [line for file in self._files.values() for line in file.last(wanted)[-wanted:]] if wanted else []

    def lines(self, paths: Iterable[Path]) -> list[bytes]:
        """The whole lines since the last call, log by log."""
        lines: list[bytes] = []
        for file in self._replaced:
            lines += file.lines()
            file.close()
        self._replaced = []
        for path, file in list(self._files.items()):
            lines += file.lines()
            if file.identity != _identity(path):
                self._replaced.append(self._files.pop(path))
        for path in paths:
            if path not in self._files and not self._renamed(path) and self._open(path, at_end=False):
                lines += self._files[path].lines()
        return lines

    def _renamed(self, path: Path) -> bool:
        """Whether a new name leads to a file that is being read: then it is followed under that name."""
        identity = _identity(path)
        for file in self._replaced:
            if file.identity == identity:
                self._replaced.remove(file)
                self._files[path] = file
                return True
        return any(file.identity == identity for file in self._files.values())

    def _open(self, path: Path, *, at_end: bool) -> bool:
        try:
            self._files[path] = _File(path, at_end=at_end)
        except OSError:
            # Missing or unreadable: `tokmon doctor` says which.
            return False
        return True


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
