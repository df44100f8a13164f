"""The findings of `tokmon doctor`, as text and as JSON."""

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
    """The result of a check; UNKNOWN where it could not be made, for a reason that another check reports."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check. `fix` is a command or a sentence; None only where the level is OK."""

    level: Level
    text: str
    fix: str | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """A finding with the name of its check, and what `tokmon doctor --fix` would fix, fixed, or could not fix."""

    name: str
    finding: Finding
    fixable: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    unfixed: tuple[str, ...] = ()


def ok(text: str) -> Finding:
    """No problem."""
    return Finding(Level.OK, text)


def warn(text: str, fix: str) -> Finding:
    """It works, but needs attention."""
    return Finding(Level.WARN, text, fix)


def fail(text: str, fix: str) -> Finding:
    """It does not work."""
    return Finding(Level.FAIL, text, fix)


def unknown(text: str, fix: str) -> Finding:
    """It could not be checked."""
    return Finding(Level.UNKNOWN, text, fix)


_COLOURS: Final = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red", Level.UNKNOWN: "dim"}
_INDENT: Final = 22
_NARROW: Final = 60


def finding_text(named: Named, width: int, style: Style, home: str) -> list[str]:
    """The finding, folded between words where the terminal is narrow, and its fix on one line, to be copied.

    Then a line for each thing that `--fix` can fix, fixed, or could not fix.
    """
    finding = named.finding
    indent = _INDENT if width >= _NARROW else 4
    head = f"{style.paint(f'{finding.level:<7}', _COLOURS[finding.level])} {named.name:<13} "
    lines = _fold(_safe(finding.text).replace(f"`{home}/", "`~/"), width - indent)
    first = [head + lines[0], *_indented(lines[1:], indent)] if indent == _INDENT else [head, *_indented(lines, indent)]
    more = [("fix:", finding.fix)] if finding.fix is not None else []
    more += [("doctor --fix:", repair) for repair in named.fixable]
    more += [("fixed:", repair) for repair in named.fixed]
    more += [("not fixed:", repair) for repair in named.unfixed]
    return [*first, *(f"{' ' * indent}{style.paint(label, 'bold')} {_safe(text)}" for label, text in more)]


def _safe(text: str) -> str:
    """The text on one line, without secrets and without control characters."""
    return clean(" ".join(scrub(text).split()))


def _fold(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(20, width), break_long_words=False, break_on_hyphens=False) or [""]


def _indented(lines: Iterable[str], indent: int) -> list[str]:
    return [f"{' ' * indent}{line}" for line in lines]


def summary(findings: Sequence[Named]) -> str:
    """`2 fail, 1 warn, 14 ok`."""
    levels = [named.finding.level for named in findings]
    order = (Level.FAIL, Level.WARN, Level.UNKNOWN, Level.OK)
    return ", ".join(f"{levels.count(level)} {level}" for level in order if level in levels)


def failed(findings: Sequence[Named]) -> bool:
    """Whether any check failed."""
    return any(named.finding.level is Level.FAIL for named in findings)


def to_json(findings: Sequence[Named]) -> dict[str, Any]:
    """All findings as one object."""
    return {
        "version": VERSION,
        "ok": not failed(findings),
        "checks": [
            {
                "name": named.name,
                "level": named.finding.level.value,
                "text": _safe(named.finding.text),
                "fix": None if named.finding.fix is None else _safe(named.finding.fix),
                "fixable": [_safe(repair) for repair in named.fixable],
                "fixed": [_safe(repair) for repair in named.fixed],
                "unfixed": [_safe(repair) for repair in named.unfixed],
            }
            for named in findings
        ],
    }
