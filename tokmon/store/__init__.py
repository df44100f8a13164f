"""Logs: JSON lines appended under a file lock, and small JSON files replaced whole.

A log is append-only and is rotated by rename.
"""

from tokmon.store.append import Appended, Held, Log, append_to, append_unlocked
from tokmon.store.atomic import create, encode, place, plain_json, read_json, replace, replace_shared
from tokmon.store.reader import Head, blocks_from, heads, ids_from, lines_from, opened, parse, stands_alone, tail

__all__ = [
    "Appended",
    "Head",
    "Held",
    "Log",
    "append_to",
    "append_unlocked",
    "blocks_from",
    "create",
    "encode",
    "heads",
    "ids_from",
    "lines_from",
    "opened",
    "parse",
    "place",
    "plain_json",
    "read_json",
    "replace",
    "replace_shared",
    "stands_alone",
    "tail",
]
