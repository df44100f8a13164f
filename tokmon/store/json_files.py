"""Small JSON files, and JSON text."""

import codecs
import re
from pathlib import Path
from typing import Any, Final

import msgspec

from tokmon.store.reader import opened, parse

_encoder = msgspec.json.Encoder()


def encode(value: object) -> bytes:
    """Compact JSON, keys in the order given."""
    return _encoder.encode(value)


def read_json(path: Path) -> dict[str, Any] | None:
    """A small JSON file, or None if it is missing, damaged or no file: such files are caches and can be rebuilt."""
    try:
        with opened(path) as file:
            return parse(file.readall())
    except OSError:
        return None


_TEXT: Final = rb'("(?:\\.|[^"\\])*")|'
_COMMENT: Final = re.compile(_TEXT + rb"//[^\n]*")
_TRAILING: Final = re.compile(_TEXT + rb",(?=\s*[}\]])")


def plain_json(data: bytes) -> bytes:
    """The same without what pi allows in its own files beyond JSON: `//` comments, last commas, a byte-order mark."""
    data = data.removeprefix(codecs.BOM_UTF8)
    for beyond in (_COMMENT, _TRAILING):
        data = beyond.sub(lambda found: found[1] or b"", data)
    return data
