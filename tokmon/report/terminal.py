"""The output of a command: what it can show, how wide it is, and writing to it."""

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, TextIO

from tokmon.errors import TokmonError, reason_of

if TYPE_CHECKING:
    from tokmon.report.words import Style

_WIDTH: Final = 80
"""Columns where neither the environment nor the terminal names them."""


def style_of(out: TextIO, *, utc: bool = False) -> "Style":
    """Colour on a terminal unless that is switched off, block characters where the encoding has them.

    From here on, characters that the encoding lacks are replaced, rather than ending the command.
    """
    from datetime import UTC  # noqa: PLC0415 - a wake prints one line, and needs none of this

    from tokmon.report.words import LOCAL, Style  # noqa: PLC0415

    if hasattr(out, "reconfigure"):
        out.reconfigure(errors="replace")
    colour = out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return Style(
        colour=colour, blocks=_has("█░▏·", out.encoding), marks=_has("✓✗", out.encoding), zone=UTC if utc else LOCAL
    )


def _has(characters: str, encoding: str | None) -> bool:
    try:
        characters.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def width_of(out: TextIO) -> int:
    """COLUMNS, else the width of the terminal, else 80."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return int(columns)
    try:
        return os.get_terminal_size(out.fileno()).columns or _WIDTH
    except (OSError, ValueError):
        return _WIDTH


def output() -> TextIO:
    """Standard output; an error where there is none (`tokmon status >&-`)."""
    if sys.stdout is None:  # it is, whatever its type says, where the descriptor is closed
        raise TokmonError("there is no standard output", hint="redirect it to a file, or to `/dev/null`")
    return sys.stdout


def say(lines: Iterable[str]) -> None:
    """Write lines of text."""
    _write(output(), "\n".join(lines) + "\n")


def put(line: bytes) -> None:
    """Write a line of UTF-8, whatever the encoding of the terminal."""
    _write(output(), line + b"\n")


def put_json(value: object) -> None:
    """Write a value as one line of JSON that is safe on a terminal."""
    from tokmon.store.codec import encode, printable_json  # noqa: PLC0415 - a wake that prints one line needs neither

    put(printable_json(encode(value)))


def _write(out: TextIO, data: str | bytes) -> None:
    try:
        if isinstance(data, str):
            out.write(data)
        else:
            out.flush()
            out.buffer.write(data)
        out.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        # The rest of the buffer would fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
        raise TokmonError(
            f"cannot write to the standard output: {reason_of(error)}",
            hint="check the free space of that disk",
        ) from error
