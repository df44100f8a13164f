"""What pi writes on stderr, as a text that may be kept, and in one line."""

import re
from typing import Final

from tokmon.wire.scrub import scrub, without_values

MAX_BYTES: Final = 16 << 10
"""Bytes of what pi writes that are looked at."""

_TEXT: Final = 2000
_REASON: Final = 200

_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)")
_WARNING: Final = re.compile(r"\s*(?:Warning:|\(node:\d+\)|\(Use `node --trace)[^\n]*\n?")
_MESSAGE: Final = re.compile(r'"message"\s*:\s*"((?:[^"\\]|\\.){1,2000})"')
_CODE: Final = re.compile(r"\s*(\d{3})\b")


def scrub_output(output: bytes, secrets: tuple[str, ...], credentials: tuple[str, ...] = ()) -> str:
    """Pi's error text, without warnings and whatever a terminal obeys, and without secrets.

    Of the `credentials`, no end may be left either.
    """
    text = _ESCAPES.sub("", output.decode("utf-8", "replace"))
    if len(output) >= MAX_BYTES:
        text = " ".join(text.split()[:-1])  # the last word may be a part of a secret
    text = without_values(text, credentials, secrets)
    while (warning := _WARNING.match(text)) is not None:
        text = text[warning.end() :]
    return scrub(text).strip()[:_TEXT]


def reason(text: str) -> str:
    """The error in one short line: the status code and the message where they can be told, else its beginning."""
    code, message = _CODE.match(text), _MESSAGE.search(text)
    short = text if message is None else f"{code[1]}: {message[1]}" if code else message[1]
    short = " ".join(short.replace("\\n", " ").replace('\\"', '"').split())
    short = "".join(character if character.isprintable() else "?" for character in short)
    return short if len(short) <= _REASON else f"{short[: _REASON - 1]}…"
