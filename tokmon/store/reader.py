"""Reading logs in whole lines, forwards and backwards.

Readers take no lock: they pass over an unterminated last line, and over what goes on for megabytes without a newline,
so that memory stays small whatever the file is.
"""

import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Final

from tokmon.store.opener import open_file

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
    while position > start:
        begin = max(start, position - _BACKWARD_CHUNK)
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
        for end, lines in _blocks_from(file, offset):
            position = end - sum(map(len, lines)) - len(lines)
            for line in lines:
                position += len(line) + 1
                yield position, line


def _blocks_from(file: FileIO, offset: int) -> Iterator[tuple[int, list[bytes]]]:
    """The whole lines from byte `offset` on, some hundred at a time, with the offset after them."""
    parts: list[bytes] = []
    size, too_long = 0, False
    position = file.seek(offset)
    while chunk := file.read(_CHUNK):
        position += len(chunk)
        if b"\n" in chunk:
            *lines, rest = b"".join([*parts, chunk]).split(b"\n")
            yield position - len(rest), lines[1:] if too_long else lines
            parts, size, too_long = [rest], len(rest), False
        else:
            parts.append(chunk)
            size += len(chunk)
            if too_long := size > _MAX_LINE:
                parts.clear()
