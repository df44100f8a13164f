"""Group commit: the lines that were received in one turn of the event loop are written together, then acknowledged.

While a log cannot be written (a full disk, a missing folder), nothing is acknowledged. The lines stay in memory and
are tried again, and the reason is reported once. Lines that a failed write has completed are not written again. An
event that was stored but not acknowledged is sent again, and is recognised by its id.
"""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from tokmon.errors import StoreError, reason_of
from tokmon.paths import Paths
from tokmon.store.log import AppendResult, Log

Ranges = dict[str, tuple[int, int, int]]
"""The bytes that were appended, by log name: inode, start and end."""

Fsync = Literal["interval", "always", "never"]

_SYNC_INTERVAL_S: Final = 1.0
_RETRY_S: Final = (0.25, 5.0)
_BUSY_S: Final = (0.002, 0.05)
_FULL_BYTES: Final = 3 << 20
_BATCH_BYTES: Final = 1 << 20
"""Pending lines of this size are written at once, so that memory stays small. Usually a turn is one write."""


@dataclass(slots=True)
class Pending:
    """The lines that wait to be written to one log, in blocks of one or more whole lines."""

    blocks: list[bytes] = field(default_factory=list)
    size: int = 0
    lines: int = 0

    def add(self, block: bytes, lines: int) -> None:
        """Add a block, which has that number of lines."""
        self.blocks.append(block)
        self.size += len(block)
        self.lines += lines

    def retain(self, rest: bytes) -> int:
        """Drop everything but the rest; returns the number of dropped lines."""
        before, self.lines = self.lines, rest.count(b"\n")
        self.blocks, self.size = [rest] if rest else [], len(rest)
        return before - self.lines


class Sender(Protocol):
    """A source of lines that waits for their acknowledgement."""

    def acknowledge(self, count: int) -> None:
        """Called when the first `count` lines of this sender are stored or refused."""


class Committer:
    """Writes pending lines to the logs and acknowledges them.

    Callbacks: `on_stored` after each commit, with the appended ranges; `before_sync`, and `on_synced` with what that
    returned (both `on_…` before the acknowledgements); `on_lost_sync` after a failed sync, which may have lost lines;
    `on_full` with True if too many lines wait and with False when they are written.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, paths: Paths, fsync: Fsync, say: Callable[[str], None]) -> None:
        self._loop = loop
        self._fsync = fsync
        self._say = say
        self.logs: Final = {"capture": Log(paths.piggyback), "usage": Log(paths.usage)}
        self.pending: Final = {"capture": Pending(), "usage": Pending()}
        self.stored = 0
        self.trouble: str | None = None
        self.on_stored: Callable[[Ranges], None] = lambda _ranges: None
        self.before_sync: Callable[[], int] = lambda: 0
        self.on_synced: Callable[[int], None] = lambda _mark: None
        self.on_lost_sync: Callable[[], None] = lambda: None
        self.on_full: Callable[[bool], None] = lambda _full: None
        self._waiting: dict[Sender, int] = {}
        self._unsynced: dict[Sender, int] = {}
        self._timer: asyncio.Handle | None = None
        self._sync_timer: asyncio.TimerHandle | None = None
        self._syncing: asyncio.Future[None] | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._ranges: Ranges = {}
        self._failures: list[str] = []
        self._delay = 0.0
        self._full = False

    @property
    def idle(self) -> bool:
        """True if all lines are written and acknowledged."""
        return self._size() == 0 and not self._waiting and not self._unsynced

    def request_ack(self, sender: Sender, count: int) -> None:
        """Acknowledge `count` lines to the sender when everything that is pending now is stored."""
        self._waiting[sender] = count
        if self._timer is None:
            self._timer = self._loop.call_soon(self.commit)
        elif self._delay == 0.0 and self._size() >= _BATCH_BYTES:
            self._timer.cancel()
            self.commit()
        if self.trouble is not None and not self._full and self._size() > _FULL_BYTES:
            self._full = True
            self.on_full(True)  # noqa: FBT003 - a callback

    def _size(self) -> int:
        return sum(pending.size for pending in self.pending.values())

    def is_waiting(self, sender: Sender) -> bool:
        """True if the sender has lines that are not acknowledged."""
        return sender in self._waiting or sender in self._unsynced

    def forget(self, sender: Sender) -> None:
        """Do not acknowledge anything to this sender, which is gone."""
        self._waiting.pop(sender, None)
        self._unsynced.pop(sender, None)

    def commit(self) -> None:
        """Write the pending lines and acknowledge them; on failure keep them and try again later."""
        self._timer = None
        self._failures.clear()
        # One log that cannot be written keeps no lines of the other in memory.
        locked = [kind for kind in self.pending if not self._store(kind)]
        if self._failures:
            self._retry_later("; ".join(dict.fromkeys(self._failures)))
            return
        if locked:
            self._delay = min(_BUSY_S[1], max(_BUSY_S[0], self._delay * 2))
            self._timer = self._loop.call_later(self._delay, self.commit)
            return
        self._delay = 0.0
        if self.trouble is not None:
            self._say(f"writing again, the problem is over: {self.trouble}")
            self.trouble = None
        ranges, self._ranges = self._ranges, {}
        self.on_stored(ranges)
        self._acknowledge_stored()
        if self._full:
            self._full = False
            self.on_full(False)  # noqa: FBT003 - a callback

    def check_logs(self) -> None:
        """End incomplete last lines with a newline. A log that cannot be opened is reported, and tried again."""
        for log in self.logs.values():
            self._append(log, [])
        if self._failures:
            self._retry_later("; ".join(dict.fromkeys(self._failures)))

    def _append(self, log: Log, blocks: list[bytes]) -> AppendResult | None:
        """The result; None if another process holds the lock, or the log cannot be opened (a failure)."""
        try:
            return log.append(blocks, blocking=False)
        except StoreError as error:
            self._failures.append(str(error))
            return None

    def _store(self, kind: str) -> bool:
        """Append the pending lines of one log; False if another process holds its lock.

        While there is trouble a log without such lines is opened too, since it may be the cause.
        """
        pending = self.pending[kind]
        if not pending.blocks and self.trouble is None:
            return True
        result = self._append(self.logs[kind], pending.blocks)
        if result is None:
            return False
        self.stored += pending.retain(result.rest)
        name = self.logs[kind].path.name
        earlier = self._ranges.get(name)
        continues = earlier is not None and (earlier[0], earlier[2]) == (result.inode, result.start)
        start = earlier[1] if earlier is not None and continues else result.start
        self._ranges[name] = (result.inode, start, result.end)
        if result.error is not None:
            self._failures.append(f"cannot write `{self.logs[kind].path}`: {reason_of(result.error)}")
        return True

    def _retry_later(self, reason: str) -> None:
        first, self.trouble = self.trouble is None, reason
        if first:
            self._say(f"{reason}; nothing is acknowledged until it can be written")
            self._delay = 0.0
        self._delay = min(_RETRY_S[1], max(_RETRY_S[0], self._delay * 2))
        self._timer = self._loop.call_later(self._delay, self.commit)

    def _acknowledge_stored(self) -> None:
        waiting, self._waiting = self._waiting, {}
        if self._fsync == "always":
            self._unsynced.update(waiting)
            self._sync_soon()
            return
        for sender, count in waiting.items():
            sender.acknowledge(count)
        if self._fsync == "interval" and self._sync_timer is None:
            self._sync_timer = self._loop.call_later(_SYNC_INTERVAL_S, self._sync_soon)

    def _sync_soon(self) -> None:
        self._sync_timer = None
        if self._syncing is None:
            unsynced, self._unsynced = self._unsynced, {}
            mark = self.before_sync()
            self._pool = self._pool or ThreadPoolExecutor(1, "fdatasync")
            self._syncing = self._loop.run_in_executor(self._pool, self._sync)
            self._syncing.add_done_callback(lambda done: self._synced(done, unsynced, mark))

    def _sync(self) -> None:
        for log in self.logs.values():
            log.sync()

    def _synced(self, done: asyncio.Future[None], unsynced: dict[Sender, int], mark: int) -> None:
        self._syncing = None
        error = done.exception()
        if error is not None:
            # It is not known which lines a failed sync has dropped: reopen the files and let clients send again.
            self._say(f"cannot sync the logs: {reason_of(error)}; clients will send unacknowledged events again")
            for log in self.logs.values():
                log.close()
            self.on_lost_sync()
            return
        self.on_synced(mark)
        for sender, count in unsynced.items():
            sender.acknowledge(count)
        if self._unsynced:
            self._sync_soon()

    async def finish(self) -> None:
        """Write and acknowledge the pending lines, once; then sync and close the logs."""
        if self._timer is not None:
            self._timer.cancel()
        if not self.idle:
            self.commit()
        if self._sync_timer is not None:
            self._sync_timer.cancel()
            self._sync_soon()
        while self._syncing is not None:
            with contextlib.suppress(OSError):  # reported by `_synced`
                await self._syncing
            await asyncio.sleep(0)
        for handle in (self._timer, self._sync_timer):
            if handle is not None:
                handle.cancel()
        for log in self.logs.values():
            log.close()
        if self._pool is not None:
            self._pool.shutdown()
