"""The spool: events that an extension could not send, in files until a sidecar stores them.

Maildir rules, since Node has no file locks: a file is written in `tmp/` and renamed into `new/`, so every file in
`new/` is whole. A file holds one event line or several. Events keep their ids, so storing one twice changes nothing.
A file with lines that are no events goes to `bad/` after its other lines are stored.
"""

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final

from tokmon.paths import is_own_folder, private_folder
from tokmon.store.opener import open_file

MAX_FILE: Final = 64 << 20
"""Bytes; the extension writes far smaller files. A larger file is not read."""

_ABANDONED_S: Final = 36 * 3600.0  # maildir's own rule for files in tmp/


@dataclass(frozen=True, slots=True)
class Spooled:
    """One file of the spool. `key` tells it from another one of the same name."""

    path: Path
    key: tuple[str, int]

    def open(self) -> FileIO:
        """The file, to read from; OSError if it cannot be opened or is too large."""
        file = open_file(self.path, follow_links=False)
        if os.fstat(file.fileno()).st_size > MAX_FILE:
            file.close()
            raise OSError(errno.EFBIG, f"more than {MAX_FILE} bytes", str(self.path))
        return file

    def done(self) -> None:
        """Remove the file: its events are in the log."""
        self.path.unlink(missing_ok=True)

    def bad(self) -> None:
        """Move the file to `bad/`, for a person to look at: some of its lines are no events."""
        self.path.replace(private_folder(self.path.parent.parent / "bad") / self.path.name)


def pending(spool: Path) -> Iterator[Spooled]:
    """Every file in `new/`, oldest name first. Links, folders and other users' files are left out."""
    for path, inode in _files(spool / "new"):
        yield Spooled(path, (path.name, inode))


def depth(spool: Path) -> int:
    """The number of files that wait."""
    return sum(1 for _ in _files(spool / "new"))


def waiting_since(spool: Path) -> list[float]:
    """The instants (epoch seconds) at which the waiting files were written."""
    written = []
    for path, _ in _files(spool / "new"):
        with contextlib.suppress(FileNotFoundError):
            written.append(path.lstat().st_mtime)
    return written


def sweep(spool: Path, now: float | None = None) -> None:
    """Remove the files that killed writers left in `tmp/` long ago."""
    limit = (time.time() if now is None else now) - _ABANDONED_S
    for path, _ in _files(spool / "tmp"):
        if path.lstat().st_mtime < limit:
            path.unlink(missing_ok=True)


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    """The regular files of this user, by name, each with its inode."""
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
            yield path, status.st_ino
