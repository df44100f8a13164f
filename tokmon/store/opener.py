"""Opening files that others may have put in place: regular files only, never a pipe or a device, and bounded reads."""

import errno
import os
import stat
from io import FileIO
from pathlib import Path
from typing import Final

from tokmon.paths import FILE_MODE

_FLAGS: Final = os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_OTHERS_MAY_WRITE: Final = 0o022
_CHUNK: Final = 256 << 10
_SMALLEST_HOLE: Final = 8 << 20
_MAX_HOLES: Final = 10_000


def open_file(path: Path, *, follow_links: bool = True) -> FileIO:
    """A regular file to read from; OSError if there is none, or something else (a folder, a pipe).

    Say `follow_links=False` for a file in a folder where others may place links.
    """
    return FileIO(_open(path, os.O_RDONLY, follow_links=follow_links), "r")


def open_to_append(path: Path, *, create: bool = True) -> int:
    """The descriptor of a regular file to append to and to read (0600 if it is new). Links are not followed."""
    return _open(path, os.O_RDWR | os.O_APPEND | (os.O_CREAT if create else 0), follow_links=False)


def read_file(path: Path, limit: int, *, follow_links: bool = True) -> bytes:
    """A small regular file; OSError if it is missing, something else, or has more than `limit` bytes."""
    with open_file(path, follow_links=follow_links) as file:
        return _read(file, path, limit)


def read_head(path: Path, limit: int) -> bytes:
    """The first bytes of a regular file, also behind links; empty if there is none that can be read."""
    try:
        with open_file(path) as file:
            return file.read(limit) or b""
    except OSError:
        return b""


def read_own_file(path: Path, limit: int) -> bytes:
    """As `read_file`, but only a file which no other user can have written; PermissionError otherwise."""
    with open_file(path, follow_links=False) as file:
        status = os.fstat(file.fileno())
        if status.st_uid != os.geteuid() or status.st_mode & _OTHERS_MAY_WRITE:
            raise PermissionError(errno.EPERM, "another user may have written it", str(path))
        return _read(file, path, limit)


def holes(fd: int) -> list[tuple[int, int]]:
    """The ranges of an open file, in their order, in which nothing was ever written: 8 MiB of zeros or more each.

    A file of 20 GB may be one hole, and reading it would take half a minute. Empty for a file without holes.
    """
    status = os.fstat(fd)
    if status.st_blocks * 512 > status.st_size - _SMALLEST_HOLE:
        return []
    gaps: list[tuple[int, int]] = []
    position, before = 0, os.lseek(fd, 0, os.SEEK_CUR)
    try:
        while position < status.st_size and len(gaps) < _MAX_HOLES:
            try:
                data = os.lseek(fd, position, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                data = status.st_size  # no data after that
            if data - position >= _SMALLEST_HOLE:
                gaps.append((position, data))
            position = os.lseek(fd, data, os.SEEK_HOLE) if data < status.st_size else data
    except OSError:
        return []  # a file system that does not say
    finally:
        os.lseek(fd, before, os.SEEK_SET)
    return gaps


def _read(file: FileIO, path: Path, limit: int) -> bytes:
    if os.fstat(file.fileno()).st_size > limit:
        raise OSError(errno.EFBIG, f"more than {limit} bytes", str(path))
    data = bytearray()
    while chunk := file.read(min(_CHUNK, limit + 1 - len(data))):
        data += chunk
        if len(data) > limit:
            raise OSError(errno.EFBIG, f"more than {limit} bytes", str(path))
    return bytes(data)


def _open(path: Path, flags: int, *, follow_links: bool) -> int:
    try:
        fd = os.open(path, flags | _FLAGS | (0 if follow_links else os.O_NOFOLLOW), FILE_MODE)
    except OSError as error:
        raise _plain(error, path, follow_links=follow_links) from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a file", str(path))
    return fd


def _plain(error: OSError, path: Path, *, follow_links: bool) -> OSError:
    """The error with a reason that names what is in the place of the file; the system's words do not (ENXIO, ELOOP)."""
    try:
        status = path.stat() if follow_links else path.lstat()
    except OSError:
        return error
    if stat.S_ISLNK(status.st_mode):
        return OSError(errno.ELOOP, "a link, which tokmon does not follow", str(path))
    if not stat.S_ISREG(status.st_mode):
        return OSError(errno.EINVAL, "not a file", str(path))
    if isinstance(error, PermissionError) and status.st_uid != os.geteuid():
        return PermissionError(error.errno, f"permission denied, it belongs to user {status.st_uid}", str(path))
    return error
