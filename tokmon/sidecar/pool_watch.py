"""Watches the folders of the other members, so that the next wake knows at once what they have learned."""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from tokmon.errors import StoreError, reason_of
from tokmon.paths import Paths
from tokmon.pool import folder

if TYPE_CHECKING:
    from pathlib import Path

    from asyncinotify import Inotify

_AFTER_S: Final = 0.2
"""Changes within this time are one."""

_SHARE: Final = 0.1
"""The part of the time that deciding anew may take, but for what `_LONGEST_S` demands."""

_LONGEST_S: Final = 0.6
"""A decision is never older than that, and the time that it takes."""

_UNWATCHED_S: Final = 60.0
"""How often the pool is looked at where the system cannot watch it."""


class PoolWatch:
    """Calls `on_change` soon after another member has published something."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, paths: Paths, on_change: Callable[[], None], say: Callable[[str], None]
    ) -> None:
        self._loop = loop
        self._paths = paths
        self._on_change = on_change
        self._say = say
        self._inotify: Inotify | None = None
        self._watched: set[Path] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._pause_s = _AFTER_S

    def start(self) -> None:
        """Watch from now on. Where that cannot be, the pool is looked at every minute."""
        with contextlib.suppress(OSError, StoreError):
            folder.make_own(self._paths, os.environ)
        try:
            from asyncinotify import Inotify  # noqa: PLC0415 - there is none on macOS

            self._inotify = Inotify()
            os.set_blocking(self._inotify.fd, False)  # its own flag for that (4.4) is another one
            self._watch_all()
            self._loop.add_reader(self._inotify.fd, self._read)
        except (OSError, ImportError) as error:
            self._say(f"cannot watch `{self._paths.pool}`, which is looked at every minute: {reason_of(error)}")
            self._later(_UNWATCHED_S)

    def close(self) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()
        if self._inotify is not None:
            self._loop.remove_reader(self._inotify.fd)
            self._inotify.close()
            self._inotify = None

    def _watch_all(self) -> None:
        """Watch the pool itself, where members appear, and each member's folder, where files are replaced."""
        from asyncinotify import Mask  # noqa: PLC0415

        if self._inotify is None:
            return
        folders = {self._paths.pool, *(member.folder for member in folder.look(self._paths, os.environ).others)}
        for path in folders - self._watched:
            with contextlib.suppress(FileNotFoundError):
                self._inotify.add_watch(path, Mask.MOVED_TO | Mask.CREATE | Mask.ONLYDIR | Mask.ATTRIB | Mask.DELETE)
                self._watched.add(path)
        self._watched &= folders

    def _read(self) -> None:
        relevant = False
        with contextlib.suppress(BlockingIOError):
            while self._inotify is not None and (event := self._inotify.sync_get()) is not None:
                name = "" if event.name is None else event.name.name
                relevant |= not name.startswith(".")
        if relevant and self._timer is None:
            self._later(self._pause_s)

    def _later(self, seconds: float) -> None:
        self._timer = self._loop.call_later(seconds, self._changed)

    def _changed(self) -> None:
        self._timer = None
        start = time.thread_time()
        with contextlib.suppress(OSError):
            self._watch_all()
        self._on_change()
        self._pause_s = min(_LONGEST_S, max(_AFTER_S, (time.thread_time() - start) / _SHARE))
        if self._inotify is None:
            self._later(_UNWATCHED_S)
