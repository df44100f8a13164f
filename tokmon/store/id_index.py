"""The index of stored ids: files of 64-bit numbers that only grow, so that ids outlive the logs they are in.

A file takes numbers for a day, or until it has a mebibyte; its name is the time of its first number. Files that are
older than two weeks are removed, and the oldest ones if all have more than 32 MiB: the index has the ids of the last
14 days, and at most 4 million. It is a cache of one process: without it the ids are read from the logs. A number with
its highest bit takes back the same number without it.
"""

import contextlib
import os
import re
import stat
import time
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tokmon.paths import is_own_folder, private_folder
from tokmon.store.atomic import write_all
from tokmon.store.opener import open_file, open_to_append

MAX_AGE_S: Final = 14 * 86400.0
TAKEN_BACK: Final = 1 << 63
_MAX_BYTES: Final = 1 << 20
_MAX_TOTAL: Final = 32 << 20
_NEW_FILE_S: Final = 86400.0
_NUMBER: Final = 8
_NAME: Final = re.compile(r"[0-9]{15}")


class IdIndex:
    """The index in a folder, which only this process writes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fd = -1
        self._size = 0
        self._since = 0.0

    def read(self) -> Iterator[Sequence[int]]:
        """The numbers of each file, the oldest file first; files that are too old are removed."""
        for path in self._remove_old():
            try:
                with open_file(path, follow_links=False) as file:
                    data = file.read(_MAX_BYTES + _NUMBER) or b""
            except OSError:
                continue
            yield array("Q", data[: len(data) // _NUMBER * _NUMBER])

    def append(self, numbers: Sequence[int]) -> None:
        """Append numbers; OSError or StoreError if they are not all in the index."""
        if self._fd < 0 or self._size >= _MAX_BYTES or not 0 <= time.time() - self._since < _NEW_FILE_S:
            self._begin_file()
        data = array("Q", numbers).tobytes()
        written, error = write_all(self._fd, [data])
        self._size += written
        if error is not None:
            if written % _NUMBER:
                os.ftruncate(self._fd, self._size - written % _NUMBER)
            self.close()
            raise error

    def close(self) -> None:
        """Close the file; the index can be appended to again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _begin_file(self) -> None:
        self.close()
        private_folder(self._folder)
        now, files = time.time(), self._remove_old()
        path = files[-1] if files else None
        if path is None or path.lstat().st_size >= _MAX_BYTES or not 0 <= now - int(path.name) / 1000 < _NEW_FILE_S:
            path = self._folder / f"{int(now * 1000):015}"
        self._since = int(path.name) / 1000
        self._fd = open_to_append(path)
        self._size = os.fstat(self._fd).st_size
        if self._size % _NUMBER:
            # The part of a number, by a crash in the middle of a write.
            self._size -= self._size % _NUMBER
            os.ftruncate(self._fd, self._size)

    def _remove_old(self) -> list[Path]:
        """Remove what is too old; returns the files that stay, the oldest first."""
        limit, total = time.time() - MAX_AGE_S, 0
        files: list[Path] = []
        for path, status in sorted(_files(self._folder), reverse=True):
            total += status.st_size
            if status.st_mtime > limit and total <= _MAX_TOTAL:
                files.insert(0, path)
            else:
                with contextlib.suppress(OSError):
                    path.unlink()
        return files


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """The files of the index. The time of a file is that of its last number."""
    if not is_own_folder(folder):
        return
    for name in os.listdir(folder):  # noqa: PTH208 - names are enough
        with contextlib.suppress(OSError):
            status = (folder / name).lstat()
            if stat.S_ISREG(status.st_mode) and _NAME.fullmatch(name):
                yield folder / name, status
