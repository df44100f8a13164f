"""The spool: events that an extension could not send, in files until a sidecar stores them.

Maildir rules, since Node has no file locks: a file is written in `tmp/` and renamed into `new/`, so every file in
`new/` is whole. A file holds one event line or several. Events keep their ids, so storing one twice changes nothing.
A file with lines that are no events goes to `bad/` after its other lines are stored.
"""

import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tokmon.paths import is_own_folder, private_folder
from tokmon.store.opener import read_file

MAX_FILE: Final = 16 << 20
"""Bytes; the extension writes far smaller files."""

_ABANDONED_S: Final = 36 * 3600.0  # maildir's own rule for files in tmp/


@dataclass(frozen=True, slots=True)
class Spooled:
    """One file of the spool, and its lines with their newlines."""

    path: Path
    data: bytes

    def done(self) -> None:
        """Remove the file: its events are in the log."""
        self.path.unlink(missing_ok=True)

    def bad(self) -> None:
        """Move the file to `bad/`, for a person to look at: some of its lines are no events."""
        self.path.replace(private_folder(self.path.parent.parent / "bad") / self.path.name)


def pending(spool: Path, say: Callable[[str], None] = lambda _message: None) -> Iterator[Spooled]:
    """Every file in `new/`, oldest name first. Links, folders and other users' files are left out.

    `say` is called with a message about each file that cannot be read.
    """
    for path in _files(spool / "new"):
        try:
            data = read_file(path, MAX_FILE, follow_links=False)
        except FileNotFoundError:
            continue
        except OSError as error:
            say(f"cannot read `{path}`: {error.strerror}")
            continue
        yield Spooled(path, b"".join(line + b"\n" for line in data.split(b"\n") if line))


def depth(spool: Path) -> int:
    """The number of files that wait."""
    return sum(1 for _ in _files(spool / "new"))


def sweep(spool: Path, now: float | None = None) -> None:
    """Remove the files that killed writers left in `tmp/` long ago."""
    limit = (time.time() if now is None else now) - _ABANDONED_S
    for path in _files(spool / "tmp"):
        if path.lstat().st_mtime < limit:
            path.unlink(missing_ok=True)


def _files(folder: Path) -> Iterator[Path]:
    if not is_own_folder(folder.parent) or not is_own_folder(folder):
        return
    try:
        names = sorted(path.name for path in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        path = folder / name
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue
        if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
            yield path
