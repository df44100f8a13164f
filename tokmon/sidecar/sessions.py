"""The sessions that run now, by account, as the events show them: counted, and never named."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from tokmon.pool.publication import RunningSessions

QUIET_S: Final = 600.0
"""A session without an event for so long is taken to have ended: no event says that one does."""

_MOST: Final = 1000


class _Session(NamedTuple):
    provider: str
    since: float
    last: float


class Sessions:
    """The sessions with events, the one that was quiet for longest first."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}

    def note(self, session: str, provider: str, at: float) -> None:
        """An event of a session on an account, at that instant (epoch seconds)."""
        before = self._sessions.pop(session, None)
        since = before.since if before is not None and before.provider == provider else at
        self._sessions[session] = _Session(provider, since, at)
        if len(self._sessions) > _MOST:
            del self._sessions[next(iter(self._sessions))]

    def running(self, now: float) -> Iterator[RunningSessions]:
        """How many sessions run on each account, and since when the first of them."""
        active = [session for session in self._sessions.values() if now - QUIET_S < session.last <= now]
        for provider in sorted({session.provider for session in active}):
            since = [session.since for session in active if session.provider == provider]
            yield RunningSessions(provider, len(since), min(since))
