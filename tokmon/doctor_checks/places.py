"""Home, folders, files, disk space: whether they exist, belong to this user and are private."""

import os
import shlex
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from tokmon.doctor_checks.subject import Subject
from tokmon.paths import FILE_MODE, FOLDER_MODE
from tokmon.report.findings import Finding, fail, ok, warn
from tokmon.report.words import plural

START: Final = "`tokmon sidecar --detach` starts one; so does the next pi session"

_LITTLE: Final = 100 * 10**6
_NAMED: Final = 3


def home(subject: Subject) -> Finding:
    """The home folder."""
    path = subject.paths.home
    if not subject.env.get("HOME"):
        return warn(f"HOME is not set; `{path}` is used", "set HOME where pi is started")
    if not path.is_dir():
        return fail(f"HOME is `{path}`, which is not a folder", "set HOME to this user's home")
    if path.stat().st_uid != os.geteuid():
        return fail(
            f"HOME is `{path}`, which belongs to another user", "set HOME to this user's home, as `sudo -H` does"
        )
    return ok(f"`{path}`")


def folders(subject: Subject) -> Finding:
    """The folders that nobody else may use."""
    paths = subject.paths
    needed = [paths.logs, paths.state]
    existing = _folders(subject)
    foreign = [path for path in existing if not _is_own(path, stat.S_ISDIR)]
    if foreign:
        return fail(
            f"{_names(foreign)}: not a folder of this user (links are not followed)",
            "move it away, or choose another with TOKMON_LOG_DIR, TOKMON_STATE_DIR or TOKMON_SOCKET",
        )
    if loose := [path for path in existing if _is_loose(path)]:
        return fail(f"{_names(loose)}: open to other users", _chmod(FOLDER_MODE, loose))
    if closed := [path for path in existing if _is_closed(path)]:
        return fail(f"{_names(closed)}: closed to this user", _chmod(FOLDER_MODE, closed))
    if missing := [path for path in needed if path not in existing]:
        return ok(f"{_names(missing)}: not created yet; the first sidecar creates it")
    return ok(f"`{paths.logs}`, `{paths.state}`")


def loose_folders(subject: Subject) -> list[Path]:
    """Folders of this user with another mode than they should have."""
    own = [path for path in _folders(subject) if _is_own(path, stat.S_ISDIR)]
    return [path for path in own if _is_loose(path) or _is_closed(path)]


def _folders(subject: Subject) -> list[Path]:
    needed = (subject.paths.logs, subject.paths.state)
    return [path for path in dict.fromkeys((*needed, *_inner(subject))) if os.path.lexists(path)]


def _inner(subject: Subject) -> Iterator[Path]:
    yield subject.paths.logs / "archive"
    yield subject.paths.spool
    for name in ("tmp", "new", "bad"):
        yield subject.paths.spool / name
    for path in subject.paths.sockets:
        yield path.parent


def files(subject: Subject) -> Finding:
    """The files in these folders."""
    existing = _all_files(subject)
    if foreign := [path for path in existing if not _is_own(path, stat.S_ISREG)]:
        return fail(f"{_names(foreign)}: not a file of this user", "move it away, or give it back to this user")
    if loose := [path for path in existing if _is_loose(path)]:
        return fail(f"{_names(loose)}: open to other users", _chmod(FILE_MODE, loose))
    return ok(f"{plural(len(existing), 'file')}, all private")


def loose_files(subject: Subject) -> list[Path]:
    """Files of this user that are open to others."""
    return [path for path in _all_files(subject) if _is_own(path, stat.S_ISREG) and _is_loose(path)]


def _all_files(subject: Subject) -> list[Path]:
    return [path for folder in (subject.paths.logs, subject.paths.state) for path in _files(folder)]


def _files(folder: Path) -> Iterator[Path]:
    """What is in a folder, except folders and sockets: other checks look at these."""
    try:
        names = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    for path in names:
        mode = path.lstat().st_mode
        if not stat.S_ISDIR(mode) and not stat.S_ISSOCK(mode):
            yield path


def _is_own(path: Path, kind: Callable[[int], bool]) -> bool:
    status = path.lstat()
    return kind(status.st_mode) and status.st_uid == os.geteuid()


def _is_loose(path: Path) -> bool:
    return bool(stat.S_IMODE(path.lstat().st_mode) & 0o077)


def _is_closed(path: Path) -> bool:
    return stat.S_IMODE(path.lstat().st_mode) & FOLDER_MODE != FOLDER_MODE


def _names(paths: list[Path]) -> str:
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return ", ".join(f"`{path}`" for path in paths[:_NAMED]) + more


def _chmod(mode: int, paths: Iterable[Path]) -> str:
    return f"`chmod {mode:o} {shlex.join(str(path) for path in paths)}`"


def disk(subject: Subject) -> Finding:
    """Free space where the logs are."""
    place = subject.paths.logs
    while not place.is_dir() and place != place.parent:
        place = place.parent
    free, nodes = shutil.disk_usage(place).free, os.statvfs(place)
    fix = f"free some space: `du -xh {shlex.quote(str(subject.paths.home))} | sort -h | tail`"
    if free == 0:
        return fail(f"no space left at `{place}`", fix)
    if nodes.f_files and not nodes.f_favail:
        return fail(f"no inode left at `{place}`: no file can be created there", fix)
    if free < _LITTLE:
        return warn(f"{free / 10**6:.3g} MB free at `{place}`", fix)
    return ok(f"{free / 10**9:.3g} GB free at `{place}`")
