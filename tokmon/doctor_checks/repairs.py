"""What `tokmon doctor --fix` mends by itself: what is ours, and where there is one right answer.

Modes of our files, folders and socket, and the extension. What is somebody else's is not touched.
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
from tokmon.store.opener import open_file, open_folder


class Repair(NamedTuple):
    """What is wanted, in words, and how to get there; `do` raises OSError or TokmonError where it cannot."""

    what: str
    do: Callable[[], None]


def possible(name: str, subject: Subject) -> list[Repair]:
    """What can be mended of what that check found; nothing where that cannot even be looked at."""
    try:
        return list(_TABLE[name](subject)) if name in _TABLE else []
    except (OSError, TokmonError):
        return []


def _folders(subject: Subject) -> Iterator[Repair]:
    for path in loose_folders(subject):
        yield Repair(f"mode {FOLDER_MODE:o} for `{path}`", partial(_make_folder_private, path))


def _files(subject: Subject) -> Iterator[Repair]:
    for path in loose_files(subject):
        yield Repair(f"mode {FILE_MODE:o} for `{path}`", partial(_make_file_private, path))


def _make_folder_private(path: Path) -> None:
    fd = open_folder(path)
    try:
        _change_mode(path, fd, FOLDER_MODE)
    finally:
        os.close(fd)


def _make_file_private(path: Path) -> None:
    with open_file(path, follow_links=False) as file:
        _change_mode(path, file.fileno(), FILE_MODE)


def _change_mode(path: Path, fd: int, mode: int) -> None:
    _refuse_foreign(path, os.fstat(fd))
    os.fchmod(fd, mode)


def _refuse_foreign(path: Path, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        raise StoreError(f"`{path}` is another user's by now")


def _socket(subject: Subject) -> Iterator[Repair]:
    """The one that is there, in a folder where nobody else can put another in its place."""
    path = next((path for path in subject.paths.sockets if os.path.lexists(path)), None)
    if path is None:
        return

    def do() -> None:
        found, folder = path.lstat(), path.parent.lstat()
        if not stat.S_ISSOCK(found.st_mode) or folder.st_uid != os.geteuid() or folder.st_mode & 0o022:
            raise StoreError(f"`{path.parent}` is open to others")
        _refuse_foreign(path, found)
        path.chmod(FILE_MODE)

    found = path.lstat()
    if stat.S_ISSOCK(found.st_mode) and found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & 0o077:
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
