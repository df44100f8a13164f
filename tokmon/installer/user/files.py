"""Writing where others may have planted links: never through what is at the target, only into folders that are ours.

A target is replaced by renaming a new file onto it. The names of the new files are fixed, so that the next installer
overwrites what a killed one left.
"""

import contextlib
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from tokmon.errors import InstallError
from tokmon.store import atomic
from tokmon.store.opener import open_file


def state(path: Path) -> str | None:
    """What is at `path`, as a receipt records it: `sha256:…`, `link:TARGET`, another kind, or None for nothing."""
    try:
        with open_file(path, follow_links=False) as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except FileNotFoundError:
        return None
    except OSError:
        return f"link:{path.readlink()}" if path.is_symlink() else "no file"


def digest(content: bytes) -> str:
    """Return the `state` of a file with that content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def text_of(path: Path) -> str:
    """Return the text of a plain file; empty for anything else."""
    if not (state(path) or "").startswith("sha256:"):
        return ""
    return path.read_text(encoding="utf-8", errors="replace")


def names_in(folder: Path) -> list[str]:
    """Return the sorted names in a folder; none where there is no folder."""
    return sorted(os.listdir(folder)) if folder.is_dir() else []  # noqa: PTH208 - names alone are wanted


def missing(folder: Path) -> list[Path]:
    """Return the folders that have to be made for `folder` to exist, the outermost first."""
    folders: list[Path] = []
    while not os.path.lexists(folder):
        folders.insert(0, folder)
        folder = folder.parent
    return folders


def check(folder: Path, hint: str, *, shared: bool = False) -> None:
    """Raise InstallError if nothing can safely be put below a folder, whether or not it exists yet."""
    trust(folder, shared=shared)
    existing = next((path.parent for path in missing(folder)), folder)
    if not existing.is_dir():
        raise InstallError(f"`{existing}` is in the way: it is not a folder", hint="move it away")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InstallError(f"cannot write to the folder `{existing}`", hint=hint)


def trust(folder: Path, *, shared: bool = False) -> None:
    """Raise InstallError if another user could lead astray what is written into `folder`.

    Links on the way must be ours or root's, and no folder of the way may be open to everybody. What root installs for
    everyone is run by everyone: there each folder of the way must be root's. A group may write to some of them on many
    systems (Debian's `staff` below `/usr/local`), which is root's own choice.
    """
    hint = "fix its owner and mode, or choose another place with `--prefix DIR`"
    for place in _way(folder):
        status = place.lstat()
        foreign = status.st_uid not in {0, os.geteuid()}
        if foreign and (shared or stat.S_ISLNK(status.st_mode)):
            raise InstallError(f"`{place}` belongs to another user: nothing is written by way of it", hint=hint)
        if stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
            raise InstallError(f"others may write to the folder `{place}`: nothing is put there", hint=hint)


def _way(folder: Path) -> Iterator[Path]:
    """Every existing link and folder that is passed on the way from `/` to `folder`."""
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


def make_folders(folder: Path, *, shared: bool = False) -> None:
    """Make a folder and what is missing above it, for us alone unless `shared`."""
    trust(folder, shared=shared)
    for path in missing(folder):
        # Another installer may make it at the same time; what exists in the end is checked before it is written to.
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o755 if shared else 0o700)


def write(path: Path, content: bytes, mode: int, *, shared: bool = False) -> None:
    """Put a file at `path` in one step, in an existing folder."""
    fresh = _fresh(path, shared=shared)
    atomic.write_new(fresh, content, mode=mode)
    fresh.replace(path)


def link(path: Path, target: str, *, shared: bool = False) -> None:
    """Make `path` a link to `target` in one step, in an existing folder."""
    fresh = _fresh(path, shared=shared)
    fresh.symlink_to(target)
    fresh.replace(path)


def _fresh(path: Path, *, shared: bool) -> Path:
    """A free name beside `path`, in a trusted folder."""
    trust(path.parent, shared=shared)
    fresh = path.with_name(f".{path.name}.tokmon-new")
    fresh.unlink(missing_ok=True)
    return fresh


def free_name(path: Path) -> Path:
    """Where what is at `path` can be moved aside: `NAME.before-tokmon`, or `.before-tokmon.2` and so on."""
    aside, number = path.with_name(f"{path.name}.before-tokmon"), 1
    while os.path.lexists(aside):
        number += 1
        aside = path.with_name(f"{path.name}.before-tokmon.{number}")
    return aside


def move(path: Path, to: Path) -> None:
    """Rename within a folder, whatever it is; what is at `to` is never replaced."""
    if os.path.lexists(to):
        raise InstallError(f"`{to}` is in the way", hint="move it away")
    path.rename(to)


def remove_tree(path: Path) -> None:
    """Remove a file, or a folder and its contents; no link is followed."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path)
