"""Files written whole: a reader sees the old content or the new one. Standard library alone."""

import contextlib
import errno
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path

from tokmon.errors import StoreError
from tokmon.paths import FILE_MODE, FOLDER_MODE, private_folder

PUBLIC_MODE = 0o644


def replace_private(path: Path, data: bytes, *, mode: int = FILE_MODE, mtime_ns: int | None = None) -> None:
    """Replace a file in a folder of this user alone, which is made if it is missing. Sweeps leftovers of the killed.

    `mtime_ns` is the file's modification time, the present if not given.
    """
    private_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    _write(temporary, data, mode, os.O_TRUNC)
    if mtime_ns is not None:
        os.utime(temporary, ns=(mtime_ns, mtime_ns))
    _move(temporary, path)
    _sweep(path)


def replace_public(path: Path, data: bytes) -> None:
    """Replace a file that others may read, in a folder that exists. Sweeps leftovers of the killed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    _write(temporary, data, PUBLIC_MODE, os.O_TRUNC)
    _move(temporary, path)
    _sweep(path)


def create_new(path: Path, data: bytes, *, mode: int = FILE_MODE) -> bool:
    """Create a file, and its folders; False, and nothing changed, if there is anything at `path` already.

    A link that leads nowhere counts. OSError if the file cannot be written.
    """
    temporary = _write_temporary(path, data, mode)
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    return True


def write_shared(path: Path, data: bytes, *, mode: int = FILE_MODE) -> None:
    """Write a file in a folder that others may share; the folder stays as it is. A link at `path` is replaced."""
    _move(_write_temporary(path, data, mode), path)


def update_shared(path: Path, data: bytes) -> None:
    """As `write_shared`, but an existing file of this user keeps its mode.

    StoreError if there is anything but a file: a link may lead anywhere.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        status = None
    mode = FILE_MODE
    if status is not None:
        if not stat.S_ISREG(status.st_mode):
            raise StoreError(f"`{path}` is a link, or no file at all", hint="name the file itself, or move it away")
        mode = stat.S_IMODE(status.st_mode) & 0o777 if status.st_uid == os.geteuid() else mode
    write_shared(path, data, mode=mode)


def write_new(path: Path, data: bytes, *, mode: int = FILE_MODE) -> None:
    """Write a file where there is nothing: all of it, or none is left. OSError where there is anything already."""
    _write(path, data, mode, os.O_EXCL)


def _write_temporary(path: Path, data: bytes, mode: int) -> Path:
    """Write a file with an unused name in the folder of `path`, which is made if it is missing."""
    path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    _write(temporary, data, mode, os.O_EXCL)
    return temporary


def _write(temporary: Path, data: bytes, mode: int, flag: int) -> None:
    """Write a temporary file, opened with `flag`; it is removed if it cannot be written whole."""
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | flag | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
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
    """Remove the temporary files of processes that were killed while they replaced `path`."""
    leftover = re.compile(rf"\.{re.escape(path.name)}\.([1-9][0-9]{{0,9}})")
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            match = leftover.fullmatch(entry.name)
            if match is not None and entry.is_file(follow_symlinks=False) and not _is_running(int(match[1])):
                with contextlib.suppress(OSError):
                    Path(entry.path).unlink()


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # a process of another user, or no pid of this machine
    return True


def write_all(fd: int, blocks: Sequence[bytes]) -> tuple[int, OSError | None]:
    """Write all blocks, or as much as possible; returns the bytes written, and the error that stopped it."""
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
