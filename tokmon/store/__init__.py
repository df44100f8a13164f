"""Logs: JSON lines appended under a file lock, and small JSON files replaced whole.

A log is append-only and is rotated by rename. The names are loaded when they are first used: the installer needs
`store.atomic` in a Python without packages.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokmon.store.append import Appended, Held, Log, append_to, append_unlocked
    from tokmon.store.atomic import create, place, replace, replace_shared
    from tokmon.store.json_files import encode, plain_json, read_json
    from tokmon.store.reader import Head, blocks_from, heads, ids_from, lines_from, opened, parse, stands_alone, tail
else:
    _MODULES = ("append", "atomic", "json_files", "reader")

    def __getattr__(name):  # noqa: ANN001, ANN202 - the types are above
        if name in __all__:
            for module in _MODULES:
                found = import_module(f"tokmon.store.{module}")
                if name in vars(found):
                    return globals().setdefault(name, vars(found)[name])
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


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
