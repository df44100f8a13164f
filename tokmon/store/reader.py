"""Reading logs: whole lines, and what is needed of many of them at once.

Readers take no lock: they skip an unterminated tail and any line that is not JSON.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from io import FileIO
from pathlib import Path
from typing import Any

import msgspec

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_CHUNK = 256 << 10
_LONGEST = 8 << 20

_decoder = msgspec.json.Decoder(dict[str, Any])
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def opened(path: Path) -> FileIO:
    """A log to read from; OSError if there is none, or something else (a folder, a pipe that would never end)."""
    file = FileIO(path, "r", opener=lambda name, _flags: os.open(name, _READ))
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a file", str(path))
    return file


def blocks_from(file: FileIO, offset: int, end: int | None = None) -> Iterator[tuple[int, list[bytes]]]:
    """The whole lines from byte `offset` on, some hundred at a time, as (offset after them, lines without newline).

    An unterminated tail is not a line yet. What goes on for megabytes is no line of a log and is passed over, so
    that memory stays small whatever the file is.
    """
    parts: list[bytes] = []
    begun, too_long = 0, False
    position = file.seek(offset)
    while chunk := file.read(_CHUNK if end is None else max(0, min(_CHUNK, end - position))):
        position += len(chunk)
        if b"\n" in chunk:
            *lines, rest = b"".join([*parts, chunk]).split(b"\n")
            yield position - len(rest), lines[1:] if too_long else lines
            parts, begun, too_long = [rest], len(rest), False
        else:
            parts.append(chunk)
            begun += len(chunk)
            if too_long := begun > _LONGEST:
                parts.clear()


def lines_from(path: Path, offset: int = 0, end: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Each whole line from byte `offset` on, as (offset after it, line without newline). A missing file has none."""
    try:
        file = opened(path)
    except FileNotFoundError:
        return
    with file:
        for after, lines in blocks_from(file, offset, end):
            position = after - sum(map(len, lines)) - len(lines)
            for line in lines:
                position += len(line) + 1
                yield position, line


def parse(line: bytes) -> dict[str, Any] | None:
    """The object of a line, or None where it is not one (an isolated torn line, say)."""
    try:
        return _decoder.decode(line)
    except _NOT_JSON:
        return None


def tail(path: Path, size: int) -> list[bytes]:
    """The whole lines within the last `size` bytes."""
    try:
        start = max(0, path.stat().st_size - size)
    except FileNotFoundError:
        return []
    lines = [line for _, line in lines_from(path, start)]
    return lines[1:] if start else lines


class _Identified(msgspec.Struct, gc=False):
    id: str


_identified = msgspec.json.Decoder(_Identified)


def ids_from(path: Path, offset: int = 0) -> Iterator[str]:
    """The id of each event from byte `offset` on. A torn line has none, whatever it begins with."""
    for _, line in lines_from(path, offset):
        with contextlib.suppress(*_NOT_JSON):
            yield _identified.decode(line).id


class Head(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """What changes from line to line (`wire.CHANGING`, and the wait that the log says): when and which it is.

    Nothing else of it is evidence. No type here takes a value that `parse` would not.
    """

    id: str
    ts: str
    kind: str | None = None
    request_id: str | None = None
    elapsed_ms: float | None = None
    response_id: str | None = None
    entry: str | None = None
    stop: str | None = None
    tokens: dict[str, float | None] | None = None
    cost_usd: float | None = None
    cost_source: str | None = None
    duration_ms: float | None = None
    reset_in_seconds: float | None = None


_heads = msgspec.json.Decoder(Head)


def heads(beginnings: Sequence[bytes]) -> list[Head] | None:
    """The heads of lines from their beginnings, each an object but for its closing brace.

    None if a single one is anything else. No line can lean on its neighbour: after the brace and the newline
    between two, an opening brace is in place only where an object has ended.
    """
    lines = b"}\n".join(beginnings) + b"}"
    if not lines.startswith(b"{") or lines.count(b"\n{") != len(beginnings) - 1:
        return None
    try:
        found = _heads.decode_lines(lines)
    except _NOT_JSON:
        return None
    return found if len(found) == len(beginnings) else None


class _Stamped(msgspec.Struct, gc=False):
    id: Any = msgspec.UNSET
    ts: Any = msgspec.UNSET


_stamped = msgspec.json.Decoder(_Stamped)


def stands_alone(members: bytes) -> bool:
    """Whether members of an object (and its closing brace) say neither when nor which it is, whatever comes before."""
    try:
        found = _stamped.decode(b"{" + members)
    except _NOT_JSON:
        return False
    return found.id is msgspec.UNSET and found.ts is msgspec.UNSET
