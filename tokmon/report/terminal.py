"""Where a command writes to: what can be shown there, and how wide it is. Not a verb."""

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, TextIO

from tokmon.errors import TokmonError

if TYPE_CHECKING:
    from tokmon.report.words import Style

_WIDTH: Final = 80
"""Where nobody says."""


def style_of(out: TextIO, *, utc: bool = False) -> "Style":
    """Colour on a terminal that wants it, block characters where the encoding has them.

    What the encoding does not have is replaced from here on, rather than ending the command.
    """
    from datetime import UTC  # noqa: PLC0415 - a wake says one line, and needs none of this

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
    """COLUMNS, or what the terminal says, or 80."""
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal() and int(said) > 0:
        return int(said)
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
    """Write a line that is UTF-8 whatever the terminal speaks, as JSON is."""
    _write(output(), line + b"\n")


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
        # What is still in the buffer would fail once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
        raise TokmonError(
            f"cannot write to the standard output: {error.strerror or error}", hint="look at the space of that disk"
        ) from error
