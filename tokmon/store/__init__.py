"""Logs: JSON lines appended under a file lock, and small JSON files replaced whole.

A log is append-only and is rotated by rename.
"""

from tokmon.store.append import Appended, Held, Log, append_to
from tokmon.store.lines import Head, blocks_from, heads, ids_from, lines_from, opened, parse, stands_alone, tail
from tokmon.store.whole import create, encode, place, plain_json, read_json, replace, replace_shared

__all__ = [
    "Appended",
    "Head",
    "Held",
    "Log",
    "append_to",
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
