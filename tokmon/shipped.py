"""Where what tokmon hands out lies: the extension's source, the hook, the scripts and units. Standard library only."""

from pathlib import Path
from typing import Final

from tokmon.errors import StoreError

OURS: Final = "Made by `tokmon extension`"
"""Stands in the head of every extension that is ours."""

_PACKAGE: Final = Path(__file__).resolve().parent


def folder(name: str, package: Path = _PACKAGE) -> Path:
    """The folder `extensions`, `hooks` or `bootstrap`: in a wheel among what is handed out, else beside the package.

    StoreError where it is neither here nor there.
    """
    for found in (package / "_shipped" / name, package.parent / name):
        if found.is_dir():
            return found
    raise StoreError(f"the folder `{name}` of tokmon is missing", hint="install tokmon again")
