"""Keeps the index of stored ids beside the logs: it is loaded at the start, and written with each group commit.

An id enters the index after its line is in a log and before it is acknowledged. A crash between the two is healed at
the start from the ends of the logs. Lines that a failed sync may have lost leave the index again.
"""

import contextlib
import os
import stat
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from tokmon.errors import StoreError, reason_of
from tokmon.paths import Paths
from tokmon.sidecar.dedup import RecentIds, fingerprints
from tokmon.sidecar.group_commit import Fsync
from tokmon.store.id_index import MAX_AGE_S, TAKEN_BACK, IdIndex
from tokmon.store.reader import lines_from
from tokmon.wire.messages import id_of

_TAIL_BYTES: Final = 8 << 20
"""Of the end of a log, which is read at every start."""

_REBUILT_BYTES: Final = 512 << 20
"""Of the ends of a log and of those that it was renamed to, which are read if there is no index."""

_TAILS: Final = 2
"""Logs of a kind whose ends are read: the newest one, and the one before if it was just rotated."""

_AT_ONCE: Final = 4096
_MAX_UNWRITTEN: Final = 1 << 17

_PACKED: Final = (".gz", ".xz", ".zst", ".bz2", ".lock")


class StoredIds:
    """The ids of stored events. `ids` is the set that new events are compared with."""

    def __init__(self, paths: Paths, fsync: Fsync, say: Callable[[str], None]) -> None:
        self.ids = RecentIds()
        self._paths = paths
        self._fsync = fsync
        self._say = say
        self._index = IdIndex(paths.ids)
        self._unsynced = array("Q")  # a list would take five times the memory
        self._unwritten: list[int] = []
        self._failing = False

    def load(self) -> None:
        """Load the index, then the ids of the logs that are not in it; all of them if there is no index."""
        if self._load_index():
            self._load_tails()
        else:
            for log in self._logs():
                left = _REBUILT_BYTES
                for path in _newest_first(log):
                    left -= self._load_log(path, left)

    def on_stored(self) -> None:
        """Note that the lines of all ids in `ids.unstored` are in the logs."""
        stored, self.ids.unstored = self.ids.unstored, []
        if self._fsync != "never":
            self._unsynced.extend(stored)
        if self._fsync != "always":
            self._write(stored)
        if self.ids.is_full:
            self.ids.clear()
            self._load_index()

    def before_sync(self) -> int:
        """A mark for `on_synced`."""
        return len(self._unsynced)

    def on_synced(self, mark: int) -> None:
        """Note that the lines before the mark are on the disk."""
        if self._fsync == "always":
            self._write(self._unsynced[:mark])
        del self._unsynced[:mark]

    def on_lost_sync(self) -> None:
        """Forget the ids whose lines may be lost, but for those that the logs show."""
        lost, self._unsynced = self._unsynced, array("Q")
        self.ids.remove(lost)
        if self._fsync != "always":
            self._write([fingerprint | TAKEN_BACK for fingerprint in lost])
        self._load_tails()

    def close(self) -> None:
        """Close the index."""
        self._index.close()

    def _load_index(self) -> bool:
        """Add what is in the index; False if there is none."""
        exists = False
        for numbers in self._index.read():
            exists = True
            for number in numbers:
                if number & TAKEN_BACK:
                    self.ids.remove((number ^ TAKEN_BACK,))
                else:
                    self.ids.insert(number)
        return exists

    def _load_tails(self) -> None:
        for log in self._logs():
            for path in _newest_first(log)[:_TAILS]:
                self._load_log(path, _TAIL_BYTES)

    def _logs(self) -> tuple[Path, Path]:
        return self._paths.piggyback, self._paths.usage

    def _load_log(self, path: Path, limit: int) -> int:
        """Add the ids in the last bytes of a log; returns the number of bytes read."""
        try:
            size = path.stat().st_size
            start = max(0, size - limit)
            names = (name for _, line in lines_from(path, start) if (name := id_of(line)) is not None)
            while some := list(islice(names, _AT_ONCE)):
                self._write(self.ids.insert_new(fingerprints(some)))
        except OSError:
            return 0  # reported when the log was opened to write
        return size - start

    def _write(self, stored: Iterable[int]) -> None:
        """Write to the index. What cannot be written is tried again with the next ids."""
        self._unwritten += stored
        if not self._unwritten:
            return
        try:
            self._index.append(self._unwritten)
        except (OSError, StoreError) as error:
            if not self._failing:
                self._say(
                    f"cannot write to `{self._paths.ids}`: {reason_of(error)}; events sent again may be stored twice"
                )
            self._failing = True
            del self._unwritten[:-_MAX_UNWRITTEN]
            return
        self._unwritten = []
        self._failing = False


def _newest_first(log: Path) -> list[Path]:
    """The log and what it was renamed to (`piggyback.jsonl.1`, `piggyback-20261128.jsonl`), but for old files."""
    limit = (time.time() - MAX_AGE_S) * 1e9
    return [path for at, path in sorted(_generations(log), reverse=True) if at > limit]


def _generations(log: Path) -> Iterator[tuple[int, Path]]:
    try:
        names = os.listdir(log.parent)  # noqa: PTH208 - the folder may have many other files
    except OSError:
        return
    for name in names:
        if name.startswith(log.stem) and not name.endswith(_PACKED):
            path = log.with_name(name)
            with contextlib.suppress(OSError):
                status = path.lstat()
                if stat.S_ISREG(status.st_mode):
                    yield status.st_mtime_ns, path
