"""Reading logs in whole lines, forwards and backwards.

Readers take no lock: they pass over an unterminated last line, and over what goes on for megabytes without a newline,
so that memory stays small whatever the file is. Holes of a sparse file are not read.
"""

import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Final

from tokmon.store.opener import holes, open_file

_CHUNK: Final = 256 << 10
_BACKWARD_CHUNK: Final = 64 << 10
_MAX_LINE: Final = 8 << 20
_MAX_LINES: Final = 256

Block = tuple[int, int, list[bytes]]
"""Bytes from an offset to an offset, and the whole lines in them, in their order and without newlines."""


def blocks_before(file: FileIO, start: int, end: int) -> Iterator[Block]:
    """The whole lines between two offsets, the last ones first, some hundred at a time.

    `start` is the beginning of a line; bytes after the last newline before `end` are left out. A block without lines
    only gives the caller an opportunity to stop. Ends early if the file gets shorter.
    """
    rest: bytes | None = None  # the end of a line that begins before `position`; None if that line is left out
    position, after = end, -1
    skipped = holes(file.fileno())
    while position > start:
        while skipped and skipped[-1][0] >= position:
            skipped.pop()
        hole_start, hole_end = skipped[-1] if skipped else (0, 0)
        if hole_end >= position:
            rest, position = None, max(start, hole_start)
            yield position, after if position == start and after >= 0 else position, []
            continue
        begin = max(start, position - _BACKWARD_CHUNK, hole_end)
        chunk = os.pread(file.fileno(), position - begin, begin)
        if len(chunk) < position - begin:
            return
        position = begin
        cut = chunk.find(b"\n") + 1
        if cut and after < 0:
            after = begin + chunk.rfind(b"\n") + 1
        if begin > start and not cut:
            rest = chunk + rest if rest is not None and len(rest) < _MAX_LINE else None
            yield position, position, []
        elif after >= 0:
            cut = cut if begin > start else 0
            *lines, _ = (chunk[cut:] + (rest or b"")).split(b"\n")
            yield from _split(begin + cut, after, lines)
            after, rest = begin + cut, chunk[:cut]


def _split(start: int, end: int, lines: list[bytes]) -> Iterator[Block]:
    """A block in several, the last one first."""
    while len(lines) > _MAX_LINES:
        last = lines[-_MAX_LINES:]
        del lines[-_MAX_LINES:]
        begin = start + sum(map(len, lines)) + len(lines)
        yield begin, end, last
        end = begin
    yield start, end, lines


def lines_from(path: Path, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """Each whole line from byte `offset` on, with the offset after it. A missing file has none."""
    try:
        file = open_file(path)
    except FileNotFoundError:
        return
    with file:
        for end, lines in Lines(file, offset).blocks():
            position = end - sum(map(len, lines)) - len(lines)
            for line in lines:
                position += len(line) + 1
                yield position, line


class Lines:
    """The whole lines of an open file from byte `offset` on, also as the file grows."""

    def __init__(self, file: FileIO, offset: int = 0, *, in_a_line: bool = False) -> None:
        """`in_a_line`: there is no line before the next newline."""
        self.position = offset
        """Bytes that have been read, the beginning of an unterminated line included."""

        self._file = file
        self._parts: list[bytes] = []
        self._size = 0
        self._too_long = in_a_line

    def blocks(self) -> Iterator[tuple[int, list[bytes]]]:
        """The lines that were not read yet, some hundred at a time, with the offset after them."""
        skipped = holes(self._file.fileno())[::-1]
        self._file.seek(self.position)
        while chunk := self._file.read(self._until_hole(skipped)):
            self.position += len(chunk)
            if b"\n" in chunk:
                *lines, rest = b"".join([*self._parts, chunk]).split(b"\n")
                begin = 1 if self._too_long else 0
                self._parts, self._size, self._too_long = [rest], len(rest), False
                yield self.position - len(rest), lines[begin:]
            else:
                self._parts.append(chunk)
                self._size += len(chunk)
                self._too_long = self._too_long or self._size > _MAX_LINE
            if self._too_long:
                self._parts.clear()

    def _until_hole(self, skipped: list[tuple[int, int]]) -> int:
        """How many bytes to read at once. A hole at the position is skipped: a line with it is too long."""
        while skipped and skipped[-1][0] <= self.position:
            _, end = skipped.pop()
            if end > self.position:
                self.position = self._file.seek(end)
                self._too_long = True
                self._parts.clear()
        return min(_CHUNK, skipped[-1][0] - self.position) if skipped else _CHUNK
