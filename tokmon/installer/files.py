"""Writing where others may have planted links: never through what is at the target, only into folders that are ours.

A target is replaced by renaming a new file onto it, in a folder that was opened before and looked at. The names of the
new files are fixed, so that what a killed installer left is overwritten by the next one.
"""

import contextlib
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from tokmon.errors import InstallError


def state(path: Path) -> str | None:
    """What is at `path`, as a receipt keeps it: `sha256:…`, `link:TARGET`, what else it is, or None for nothing."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError:
        return f"link:{path.readlink()}" if path.is_symlink() else "unreadable"
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        return "no file"
    with os.fdopen(fd, "rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def digest(content: bytes) -> str:
    """What `state` says of a file with that content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def text_of(path: Path) -> str:
    """The text of a plain file; empty for anything else."""
    if not (state(path) or "").startswith("sha256:"):
        return ""
    return path.read_text(encoding="utf-8", errors="replace")


def check(place: Path, hint: str) -> None:
    """Raise InstallError if nothing can be put below the folder `place`, whether or not it is there yet."""
    there = place
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        raise InstallError(f"`{there}` is in the way: it is not a folder", hint="move it away")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InstallError(f"cannot write to the folder `{there}`", hint=hint)


def missing(folder: Path) -> list[Path]:
    """The folders that have to be made for `folder` to be there, the outermost first."""
    found: list[Path] = []
    while not os.path.lexists(folder):
        found.insert(0, folder)
        folder = folder.parent
    return found


def trust(folder: Path, *, shared: bool = False) -> None:
    """Raise InstallError if somebody else could lead astray what is written into `folder`.

    Links on the way must be ours or root's, and no folder of the way may be open to everybody. What root installs for
    everyone is run by everyone: there each folder of the way must be root's. A group may write to some of them on many
    systems (Debian's `staff` below `/usr/local`), which is root's own choice.
    """
    hint = "mend its owner and mode, or choose another place with `--prefix DIR`"
    for place in _way(folder):
        found = place.lstat()
        theirs = found.st_uid not in {0, os.geteuid()}
        if theirs and (shared or stat.S_ISLNK(found.st_mode)):
            raise InstallError(f"`{place}` belongs to another user: nothing is written by way of it", hint=hint)
        if stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
            raise InstallError(f"others may write to the folder `{place}`: nothing is put there", hint=hint)


def _way(folder: Path) -> Iterator[Path]:
    """Every link and folder that is passed on the way from `/` to `folder`, as far as it is there."""
    todo, at, left = [*reversed(folder.parts[1:])], Path("/"), 40
    while todo:
        part = todo.pop()
        at = at.parent if part == ".." else at / part
        if not os.path.lexists(at):
            return
        yield at
        if at.is_symlink():
            left -= 1
            if not left:
                raise InstallError(f"too many links on the way to `{folder}`", hint="make it a plain folder")
            target = at.readlink()
            todo += [part for part in reversed(target.parts) if part != "/"]
            at = Path("/") if target.is_absolute() else at.parent


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[int]:
    """The folder as a descriptor, so that what is done in it cannot be done elsewhere."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def make_folders(folder: Path, *, shared: bool = False) -> None:
    """Make a folder and what is missing above it, for us alone unless `shared`."""
    trust(folder, shared=shared)
    for each in missing(folder):
        # Another installer may make it as well: what is there in the end is looked at before it is written to.
        with contextlib.suppress(FileExistsError):
            each.mkdir(mode=0o755 if shared else 0o700)


def write(path: Path, content: bytes, mode: int, *, shared: bool = False) -> None:
    """Put a file at `path` in one step, in a folder that is there."""
    trust(path.parent, shared=shared)
    with opened(path.parent) as folder:
        fresh = _fresh(path, folder)
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            os.fchmod(fd, mode)
            file.flush()
            os.fsync(fd)
        os.replace(fresh, path.name, src_dir_fd=folder, dst_dir_fd=folder)


def link(path: Path, target: str, *, shared: bool = False) -> None:
    """Make `path` a link to `target` in one step, in a folder that is there."""
    trust(path.parent, shared=shared)
    with opened(path.parent) as folder:
        fresh = _fresh(path, folder)
        os.symlink(target, fresh, dir_fd=folder)
        os.replace(fresh, path.name, src_dir_fd=folder, dst_dir_fd=folder)


def _fresh(path: Path, folder: int) -> str:
    """A name beside `path` with nothing there."""
    name = f".{path.name}.tokmon-new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
    return name


def free_name(path: Path) -> Path:
    """Where what is at `path` can be kept: `NAME.before-tokmon`, or `.before-tokmon.2` and so on."""
    kept, number = path.with_name(f"{path.name}.before-tokmon"), 1
    while os.path.lexists(kept):
        number += 1
        kept = path.with_name(f"{path.name}.before-tokmon.{number}")
    return kept


def move(path: Path, to: Path) -> None:
    """Rename within a folder, whatever it is; what is at `to` is never replaced."""
    with opened(path.parent) as folder:
        if os.path.lexists(to):
            raise InstallError(f"`{to}` is in the way", hint="move it away")
        os.rename(path.name, to.name, src_dir_fd=folder, dst_dir_fd=folder)


def remove_tree(folder: Path) -> None:
    """Remove a folder and what is in it; no link is followed."""
    if folder.is_symlink() or not folder.is_dir():
        folder.unlink(missing_ok=True)
        return
    shutil.rmtree(folder)
