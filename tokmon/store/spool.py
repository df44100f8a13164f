"""The spool: captures that an extension could not hand over, kept as files until a sidecar takes them.

Maildir rules, since Node has no file locks: a file is written in `tmp/` and renamed into `new/`, so whatever
is in `new/` is whole. A file holds one event line or several; its events keep their ids, so taking one twice
changes nothing. What cannot be understood goes to `bad/` with its good lines taken.
"""

import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tokmon.paths import private_folder

MAX_FILE: Final = 16 << 20
"""Bytes; the extension writes far smaller files."""

_ABANDONED_S: Final = 36 * 3600.0  # maildir's own rule for what was left in tmp/


@dataclass(frozen=True, slots=True)
class Spooled:
    """One file of the spool and its lines, each ended by a newline."""

    path: Path
    data: bytes

    def done(self) -> None:
        """Its events are in the log."""
        self.path.unlink(missing_ok=True)

    def bad(self) -> None:
        """Some of it was not understood: keep it where a person can look."""
        self.path.replace(private_folder(self.path.parent.parent / "bad") / self.path.name)


def pending(spool: Path, say: Callable[[str], None] = lambda _message: None) -> Iterator[Spooled]:
    """Every file in `new/`, oldest name first. Links, folders and other people's files are passed over.

    `say` hears of a file that cannot be taken; the others are.
    """
    for path in _regular(spool / "new"):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue
        except OSError as error:
            say(f"cannot read `{path}`: {error.strerror}")
            continue
        with os.fdopen(fd, "rb") as file:
            if os.fstat(fd).st_size > MAX_FILE:
                say(f"`{path}` is larger than {MAX_FILE >> 20} MiB: no extension writes such")
                continue
            yield Spooled(path, b"".join(line + b"\n" for line in file.read().split(b"\n") if line))


def depth(spool: Path) -> int:
    """How many files wait."""
    return sum(1 for _ in _regular(spool / "new"))


def sweep(spool: Path, now: float | None = None) -> None:
    """Remove what a killed writer left in `tmp/` long ago."""
    limit = (time.time() if now is None else now) - _ABANDONED_S
    for path in _regular(spool / "tmp"):
        if path.lstat().st_mtime < limit:
            path.unlink(missing_ok=True)


def _regular(folder: Path) -> Iterator[Path]:
    if not _ours(folder.parent) or not _ours(folder):
        return
    try:
        names = sorted(path.name for path in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        path = folder / name
        try:
            found = path.lstat()
        except FileNotFoundError:
            continue
        if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
            yield path


def _ours(folder: Path) -> bool:
    """A real folder of this user's: a link in its place is somebody's trap or mistake."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
