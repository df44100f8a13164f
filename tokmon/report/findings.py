"""The doctor's findings, and how they read."""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from tokmon.report.words import Style, clean
from tokmon.wire.scrub import scrub

VERSION: Final = 1
"""Of the JSON form."""


class Level(StrEnum):
    """How a check ended; UNKNOWN is one that could not be made, for a reason that is told elsewhere."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found. `fix` is a command or a sentence, and there is one wherever it is not OK."""

    level: Level
    text: str
    fix: str | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """A finding, the check that it is from, and what `tokmon doctor --fix` would mend, did mend, or could not."""

    name: str
    finding: Finding
    fixable: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    unfixed: tuple[str, ...] = ()


def ok(text: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, text)


def warn(text: str, fix: str) -> Finding:
    """It works, and somebody should look."""
    return Finding(Level.WARN, text, fix)


def fail(text: str, fix: str) -> Finding:
    """It does not work."""
    return Finding(Level.FAIL, text, fix)


def unknown(text: str, fix: str) -> Finding:
    """It could not be looked at."""
    return Finding(Level.UNKNOWN, text, fix)


_COLOURS: Final = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red", Level.UNKNOWN: "dim"}
_INDENT: Final = 22
_NARROW: Final = 60


def finding_text(named: Named, width: int, style: Style, home: str) -> list[str]:
    """A line, folded where the terminal is narrow, and one with the fix, which is left whole to be copied.

    Then one for each thing that the doctor can mend, or has.
    """
    found = named.finding
    indent = _INDENT if width >= _NARROW else 4
    head = f"{style.paint(f'{found.level:<7}', _COLOURS[found.level])} {named.name:<13} "
    lines = _fold(_safe(found.text).replace(f"`{home}/", "`~/"), width - indent)
    first = [head + lines[0], *_indented(lines[1:], indent)] if indent == _INDENT else [head, *_indented(lines, indent)]
    more = [("fix:", found.fix)] if found.fix is not None else []
    more += [("doctor --fix:", each) for each in named.fixable]
    more += [("fixed:", each) for each in named.fixed]
    more += [("not fixed:", each) for each in named.unfixed]
    return [*first, *(f"{' ' * indent}{style.paint(head, 'bold')} {_safe(each)}" for head, each in more)]


def _safe(text: str) -> str:
    """On one line, with neither a secret nor anything that a terminal would obey."""
    return clean(" ".join(scrub(text).split()))


def _fold(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(20, width), break_long_words=False, break_on_hyphens=False) or [""]


def _indented(lines: Iterable[str], indent: int) -> list[str]:
    return [f"{' ' * indent}{line}" for line in lines]


def summary(found: Sequence[Named]) -> str:
    """`2 fail, 1 warn, 14 ok`."""
    levels = [named.finding.level for named in found]
    order = (Level.FAIL, Level.WARN, Level.UNKNOWN, Level.OK)
    return ", ".join(f"{levels.count(level)} {level}" for level in order if level in levels)


def failed(found: Sequence[Named]) -> bool:
    """Whether any check failed."""
    return any(named.finding.level is Level.FAIL for named in found)


def to_json(found: Sequence[Named]) -> dict[str, Any]:
    """All findings as one object."""
    return {
        "version": VERSION,
        "ok": not failed(found),
        "checks": [
            {
                "name": named.name,
                "level": named.finding.level.value,
                "text": _safe(named.finding.text),
                "fix": None if named.finding.fix is None else _safe(named.finding.fix),
                "fixable": [_safe(each) for each in named.fixable],
                "fixed": [_safe(each) for each in named.fixed],
                "unfixed": [_safe(each) for each in named.unfixed],
            }
            for named in found
        ],
    }
