"""JSON outside the typed wire: log lines, and small files that hold one object."""

import codecs
import re
from json import loads as _loads  # for what orjson refuses: `orjson` imports the module itself
from pathlib import Path
from typing import Any, Final

import orjson

from tokmon.store.opener import read_file

MAX_FILE: Final = 256 << 20
"""Bytes of a file that is read as a whole. `state.json` of 500 accounts with ten models each has about 10 MB."""

_MAX_INTEGER_DIGITS: Final = 19  # of which any number fits into 64 bits, without a sign
_LONG_NUMBER: Final = re.compile(rb"[0-9]{20,}")
_LONE_SURROGATE: Final = re.compile(
    rb"(\\[^u]|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
"""Half a character, which JavaScript writes and orjson refuses; before it what only looks like one."""


def encode(value: object) -> bytes:
    """Compact UTF-8 JSON, keys in their order; what JSON cannot say (NaN, an infinity) is null."""
    return orjson.dumps(value)


def encoded(data: bytes) -> object:
    """A value that is JSON already, to be part of another one that is encoded."""
    return orjson.Fragment(data)


def printable_json(line: bytes) -> bytes:
    """The same JSON with control, format and bidirectional characters escaped, which could deceive on a screen."""
    text = line.decode(errors="replace")
    if text.isprintable():
        return line
    return "".join(c if c.isprintable() else _escaped(c) for c in text).encode()


def _escaped(character: str) -> str:
    if character in "\t\r\n":
        return " "  # JSON allows these between values only
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def parse(line: bytes) -> dict[str, Any] | None:
    """The object of a line, or None if the line is not an object (an isolated torn line, say).

    An integer of more than 64 bits is a float here, and one of hundreds of digits an infinity. Half a character is
    U+FFFD.
    """
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        value = _parse_odd(line)
    return value if isinstance(value, dict) else None


def _parse_odd(line: bytes) -> object:
    whole = _LONE_SURROGATE.sub(lambda match: match[1] or rb"\ufffd", line)
    if _LONG_NUMBER.search(whole):
        return _parse_long_numbers(whole)
    try:
        return None if whole == line else orjson.loads(whole)
    except orjson.JSONDecodeError:
        return None


def _parse_long_numbers(line: bytes) -> object:
    try:
        # What orjson checks on every other line: syntax, text, and a depth that no version of Python can be broken by.
        orjson.loads(_LONG_NUMBER.sub(lambda digits: digits[0][:_MAX_INTEGER_DIGITS], line))
        value: object = _loads(line.decode(), parse_int=_integer)
    except (ValueError, RecursionError):
        return None
    return value


def _integer(digits: str) -> float:
    return int(digits) if len(digits) <= _MAX_INTEGER_DIGITS else float(digits)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a small file; None if the file is missing or damaged: such files are caches that can be rebuilt."""
    try:
        return parse(read_file(path, MAX_FILE))
    except OSError:
        return None


_TEXT: Final = rb'"[^"\\]*(?:\\.[^"\\]*)*"?'
"""A string, kept as it is: what looks like a comment in it is none."""

# Many pieces are one match, which nothing follows, so that it never backtracks: time is linear in the length.
_COMMENT: Final = re.compile(rb"((?:" + _TEXT + rb'|[^"/]+|/(?!/)){1,1000})|//[^\n]*', re.DOTALL)
_TRAILING: Final = re.compile(rb"((?:" + _TEXT + rb'|[^",]+|,(?!\s*[}\]])){1,1000})|,', re.DOTALL)


def plain_json(data: bytes) -> bytes:
    """The same without what pi allows in its files beyond JSON: `//` comments, trailing commas, a byte-order mark."""
    data = data.removeprefix(codecs.BOM_UTF8)
    for extra in (_COMMENT, _TRAILING):
        data = extra.sub(rb"\1", data)
    return data
