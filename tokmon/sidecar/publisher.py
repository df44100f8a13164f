"""Publishes to the other members what the sidecar has just learned."""

import asyncio
import os
import time
from collections.abc import Callable
from typing import Final

from tokmon.decision import policy_cache, sharing
from tokmon.errors import StoreError, reason_of
from tokmon.paths import Paths
from tokmon.pool.key import read_key
from tokmon.pool.publication import Encoder
from tokmon.sidecar.sessions import Sessions
from tokmon.store.state_file import State

_AFTER_S: Final = 0.1
"""Events of one turn come within this time, and are published together."""

_SHARE: Final = 0.1
"""The part of the time that publishing may take: many accounts are published less often."""


class Publisher:
    """Replaces `evidence.json` of this member. A failure is reported once, and tried again after the next event."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        paths: Paths,
        state: Callable[[], State | None],
        sessions: Sessions,
        say: Callable[[str], None],
    ) -> None:
        """`state` is what is known now; None while the logs are read for the first time."""
        self._loop = loop
        self._paths = paths
        self._state = state
        self._sessions = sessions
        self._say = say
        self._key: bytes | None = None
        self._encoder = Encoder(b"")
        self._timer: asyncio.TimerHandle | None = None
        self._pause_s = _AFTER_S
        self._failing = False

    def soon(self) -> None:
        """There is new evidence."""
        if self._timer is None:
            self._timer = self._loop.call_later(self._pause_s, self._publish)

    def close(self) -> None:
        """Publish what is waiting."""
        if self._timer is not None:
            self._timer.cancel()
            self._publish()

    def _publish(self) -> None:
        self._timer = None
        start = time.thread_time()
        try:
            self._publish_now()
            self._failing = False
        except (OSError, StoreError, ValueError) as error:
            if not self._failing:
                self._say(f"cannot publish to the other members in `{self._paths.pool}`: {reason_of(error)}")
            self._failing = True
        self._pause_s = max(_AFTER_S, (time.thread_time() - start) / _SHARE)

    def _publish_now(self) -> None:
        loaded, key, state = policy_cache.cached(self._paths, os.environ), read_key(self._paths), self._state()
        if key is None or state is None or (loaded is not None and not loaded.pool.share):
            return
        if key != self._key:
            self._key, self._encoder = key, Encoder(key)
        sharing.publish_all(self._paths, os.environ, self._encoder, state, [*self._sessions.running(time.time())])
