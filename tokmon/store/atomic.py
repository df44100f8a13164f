"""Files replaced whole: a reader sees the old file or the new one. Standard library only, for the installer."""

import contextlib
import errno
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path

from tokmon.errors import StoreError
from tokmon.paths import FILE_MODE, FOLDER_MODE, private_folder


def replace(path: Path, data: bytes, *, mode: int = FILE_MODE, mtime_ns: int | None = None) -> None:
    """Put `data` in the place of `path` at once: a reader sees the old file or the new one, whole.

    `mtime_ns` is its modification time, the present if not given.
    """
    private_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    _write(temporary, data, mode, os.O_TRUNC)
    if mtime_ns is not None:
        os.utime(temporary, ns=(mtime_ns, mtime_ns))
    _move(temporary, path)
    _sweep(path)


def create(path: Path, data: bytes, *, mode: int = FILE_MODE) -> bool:
    """Put a new file at `path`, whole, and make its folders; False, and nothing done, where there is anything already.

    Even a link that leads nowhere is something. OSError where it cannot be written.
    """
    temporary = _beside(path, data, mode)
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    return True


def place(path: Path, data: bytes, *, mode: int = FILE_MODE) -> None:
    """As `replace`, in a folder that need not be ours alone and stays as it is. A link at `path` is replaced itself."""
    _move(_beside(path, data, mode), path)


def replace_shared(path: Path, data: bytes) -> None:
    """As `place`, and the mode of a file of ours stays as it is.

    StoreError where there is something that is no file: what a link leads to may be anybody's choice.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        found = None
    mode = FILE_MODE
    if found is not None:
        if not stat.S_ISREG(found.st_mode):
            raise StoreError(f"`{path}` is a link, or no file at all", hint="name the file itself, or move it away")
        mode = stat.S_IMODE(found.st_mode) & 0o777 if found.st_uid == os.geteuid() else mode
    place(path, data, mode=mode)


def write_new(path: Path, data: bytes, *, mode: int = FILE_MODE) -> None:
    """Write a file where there is nothing: all of it, or none is left. OSError where there is anything already."""
    _write(path, data, mode, os.O_EXCL)


def _beside(path: Path, data: bytes, mode: int) -> Path:
    """Write a file under a name of nobody's in the folder of `path`, which is made if it is missing."""
    path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    _write(temporary, data, mode, os.O_EXCL)
    return temporary


def _write(temporary: Path, data: bytes, mode: int, how: int) -> None:
    """Write all of a file that is to be moved, opened with the flag `how`; or leave none."""
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | how | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    try:
        try:
            os.fchmod(fd, mode)
            _, error = write_all(fd, [data])
        finally:
            os.close(fd)
        if error is not None:
            raise error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _move(temporary: Path, path: Path) -> None:
    try:
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _sweep(path: Path) -> None:
    """Remove what processes left that were killed while they replaced `path`: files named after the pid of nobody."""
    leftover = re.compile(rf"\.{re.escape(path.name)}\.([1-9][0-9]{{0,9}})")
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            named = leftover.fullmatch(entry.name)
            if named is not None and entry.is_file(follow_symlinks=False) and not _lives(int(named[1])):
                with contextlib.suppress(OSError):
                    Path(entry.path).unlink()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # somebody else's, or no pid of this machine: not ours to judge
    return True


def write_all(fd: int, blocks: Sequence[bytes]) -> tuple[int, OSError | None]:
    """Write everything, or as much as goes: (bytes written, what stopped it)."""
    written, size = 0, sum(map(len, blocks))
    while written < size:
        try:
            count = os.writev(fd, blocks)
        except InterruptedError:
            continue
        except OSError as error:
            return written, error
        if count == 0:
            return written, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written += count
        if written < size:
            blocks = [b"".join(blocks)[count:]]
    return written, None
