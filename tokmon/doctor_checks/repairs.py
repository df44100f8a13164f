"""What `tokmon doctor --fix` does: modes of this user's files, folders and socket, and the link to the extension.

Only where there is one right answer. Files of others are not touched.
"""

import os
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from tokmon.doctor_checks.places import loose_files, loose_folders
from tokmon.doctor_checks.subject import Subject
from tokmon.errors import StoreError, TokmonError
from tokmon.paths import FILE_MODE, FOLDER_MODE
from tokmon.pi import extension


class Repair(NamedTuple):
    """One repair, in words and as a function; `do` raises OSError or TokmonError if it fails."""

    what: str
    do: Callable[[], None]


def possible(name: str, subject: Subject) -> list[Repair]:
    """The repairs for the finding of that check; none where even looking fails."""
    try:
        return list(_TABLE[name](subject)) if name in _TABLE else []
    except (OSError, TokmonError):
        return []


def _folders(subject: Subject) -> Iterator[Repair]:
    for path in loose_folders(subject):
        yield Repair(f"mode {FOLDER_MODE:o} for `{path}`", partial(_make_private, path, FOLDER_MODE, os.O_DIRECTORY))


def _files(subject: Subject) -> Iterator[Repair]:
    for path in loose_files(subject):
        yield Repair(f"mode {FILE_MODE:o} for `{path}`", partial(_make_private, path, FILE_MODE))


def _make_private(path: Path, mode: int, flags: int = 0) -> None:
    # Opened for its path alone where the system can: this user may not read it yet.
    how = getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK)
    fd = os.open(path, how | os.O_NOFOLLOW | os.O_CLOEXEC | flags)
    try:
        status = os.fstat(fd)
        if stat.S_ISLNK(status.st_mode):
            raise StoreError(f"`{path}` is a symbolic link now")
        _refuse_foreign(path, status)
        # An `O_PATH` descriptor takes no fchmod.
        os.chmod(f"/proc/self/fd/{fd}" if hasattr(os, "O_PATH") else fd, mode)  # noqa: PTH101 - a descriptor is no Path
    finally:
        os.close(fd)


def _refuse_foreign(path: Path, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        raise StoreError(f"`{path}` belongs to another user now")


def _socket(subject: Subject) -> Iterator[Repair]:
    """The existing socket, if no other user can replace it in its folder."""
    path = next((path for path in subject.paths.sockets if os.path.lexists(path)), None)
    if path is None:
        return

    def do() -> None:
        status, folder = path.lstat(), path.parent.lstat()
        if not stat.S_ISSOCK(status.st_mode) or folder.st_uid != os.geteuid() or folder.st_mode & 0o022:
            raise StoreError(f"other users can write to `{path.parent}`")
        _refuse_foreign(path, status)
        path.chmod(FILE_MODE)

    status = path.lstat()
    if stat.S_ISSOCK(status.st_mode) and status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) & 0o077:
        yield Repair(f"mode {FILE_MODE:o} for `{path}`", do)


def _extension(subject: Subject) -> Iterator[Repair]:
    """The link to this program's extension, unless something else is in its place."""
    link = subject.paths.extension
    foreign = os.path.lexists(link) and not extension.is_own(link)
    if subject.env.get("TOKMON_DISABLE") or foreign:
        return
    if extension.is_own(subject.paths.old_extension) or link.resolve() != extension.source().resolve():
        yield Repair(f"the link `{link}` to tokmon's extension", lambda: extension.install(subject.paths))


_TABLE: Final[dict[str, Callable[[Subject], Iterator[Repair]]]] = {
    "folders": _folders,
    "files": _files,
    "socket": _socket,
    "extension": _extension,
}
