"""What a choice takes into account beside evidence: sessions that were just sent to an account, or run there."""

import os
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from tokmon.decision.deadline import seconds_left
from tokmon.decision.policy_cache import LoadedPolicy
from tokmon.paths import Paths
from tokmon.pool import announcements, folder
from tokmon.pool.announcements import PUBLISHES_S, RECENT_S, Announced, decisions_of, own_decisions, published_at
from tokmon.pool.folder import Member, Pool
from tokmon.pool.settings import PoolSettings
from tokmon.pool.view import PoolReader
from tokmon.selection.choose import Decision
from tokmon.selection.reservations import Reservations
from tokmon.store.lock import has_other_holder

_READ_S: Final = 0.25
"""How long reading the others may take in all."""

_READER: Final = PoolReader()
_NO_ACCOUNTS: Final = frozenset[str]()


class Company(NamedTuple):
    """What the members of the pool do, this one included."""

    reservations: Reservations
    unwatched: bool = False
    """Another member may publish at any time what changes the choice, and no sidecar would notice."""


def company(paths: Paths, env: Mapping[str, str], settings: PoolSettings, *, watches: bool = False) -> Company:
    """The sessions of the last minutes; `watches` where this process notices what others publish.

    Those of this member's own decisions count in any case.
    """
    now = time.time()
    sessions = Counter(decision.provider for decision in own_decisions(paths.decisions, now))
    if not settings.share:
        return Company(Reservations(sessions))
    pool = folder.look(paths, env)
    published = {member: published_at(member) for member in pool.others if member.name not in settings.ignore}
    recent = [member for member, at in published.items() if at >= now - RECENT_S]
    recent.sort(key=lambda member: -published[member])
    until = _deadline(env)
    for member in recent:
        if time.monotonic() >= until:
            break
        sessions.update(decision.provider for decision in decisions_of(member, now))
    if pool.own is not None:
        recent.insert(0, Member(pool.own.name, pool.own, os.geteuid()))
    for known in _READER.read(replace(pool, others=tuple(recent)), settings, _NO_ACCOUNTS, now, until)[0]:
        if known.publication.at >= now - RECENT_S:
            sessions.update({running.provider: running.sessions for running in known.publication.sessions})
    others_publish = any(at >= now - PUBLISHES_S for at in published.values())
    unwatched = others_publish and not watches and not has_other_holder(paths.lock)
    return Company(Reservations(sessions, _place(pool, env)), unwatched)


def announce(paths: Paths, env: Mapping[str, str], loaded: LoadedPolicy, decision: Decision) -> None:
    """Publish this decision and those of the last minutes; OSError, StoreError or ValueError if that fails."""
    if loaded.pool.share:
        session = Announced(decision.decided_at, decision.provider, decision.model)
        announcements.announce(paths, env, session, loaded.policy.session_minutes)


def _place(pool: Pool, env: Mapping[str, str]) -> int:
    """The number of this member, by name, among those of the pool; 0 for one that cannot have a folder."""
    own = folder.own_name(env)
    return 0 if own is None else sum(member.name < own for member in pool.others)


def _deadline(env: Mapping[str, str]) -> float:
    """Until when others are read (`time.monotonic`): nobody can make another's wake slower than that."""
    left = seconds_left(env) / 4 if env.get("TOKMON_DEADLINE_MS") else _READ_S
    return time.monotonic() + min(_READ_S, max(0.0, left))
