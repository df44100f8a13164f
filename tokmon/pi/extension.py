"""The extension where pi loads it: a link to the folder `extensions/tokmon` of the program. Standard library only.

The link never has to be written again: it names no version of tokmon, of Python or of pi. What is tokmon's is known by
its content, also through links, because people keep their dotfiles as copies or links of what was installed.
"""

import contextlib
import os
import shutil
from pathlib import Path
from typing import Final

from tokmon.errors import StoreError, reason_of
from tokmon.paths import Paths, installed_prefix, shipped_folder
from tokmon.store.opener import read_head

MARKS: Final = ("Part of tokmon (`tokmon extension`)", "Made by `tokmon extension`")
"""One of them is in the first 2000 bytes of `index.ts`, or of the single file that tokmon 0.1.0 installed."""

_HEAD: Final = 2000
_TARGET: Final = ("current", "extensions", "tokmon")


def source() -> Path:
    """The folder that the link leads to. In an installed program the path goes through `current`."""
    prefix = installed_prefix()
    return shipped_folder("extensions") / "tokmon" if prefix is None else prefix.joinpath(*_TARGET)


def is_own(path: Path) -> bool:
    """Whether pi would load a tokmon extension from `path`, or would if the program that it links to were there."""
    if path.is_symlink() and not path.exists():
        return path.readlink().parts[-len(_TARGET) :] == _TARGET
    head = read_head(path / "index.ts" if path.is_dir() else path, _HEAD)
    return any(mark.encode() in head for mark in MARKS)


def installed(paths: Paths) -> Path | None:
    """The path from which pi loads this member's tokmon extension; None if it loads none."""
    candidates = (paths.extension, paths.old_extension)
    return next((path for path in candidates if path.exists() and is_own(path)), None)


def install(paths: Paths) -> None:
    """Remove the single file of tokmon 0.1.0, then put the link in its place. Another's file is kept: StoreError."""
    link, target = paths.extension, source()
    if os.path.lexists(link) and not is_own(link):
        raise StoreError(f"`{link}` is not tokmon's", hint="move it away")
    try:
        if is_own(paths.old_extension):
            paths.old_extension.unlink()
        link.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if link.is_dir() and not link.is_symlink():
            shutil.rmtree(link)
        fresh = link.with_name(".tokmon.tokmon-new")
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
        fresh.symlink_to(target)
        fresh.replace(link)
    except OSError as error:
        raise StoreError(f"cannot link `{link}`: {reason_of(error)}") from error
