"""All members of the pool, each with what it knows first hand: for a person, never for a choice."""

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from tokmon.evidence.snapshot import Snapshot
from tokmon.paths import Paths
from tokmon.pool import folder
from tokmon.pool.folder import Member, Pool, Problem
from tokmon.pool.publication import Publication, RunningSessions
from tokmon.pool.settings import PoolSettings
from tokmon.pool.view import SILENT_S, PoolReader
from tokmon.store import state_file
from tokmon.store.fingerprint import fingerprint

_READ_S: Final = 10.0
_RUNNING_S: Final = 600.0
"""Sessions that were published longer ago have ended, or their member has."""


class RosterEntry(NamedTuple):
    """A member, and what it knows; `note` says why that is nothing, or not read."""

    name: str
    snapshot: Snapshot
    sessions: tuple[RunningSessions, ...] = ()
    note: str = ""
    is_own: bool = False


class Roster(NamedTuple):
    """The members, this one first, the others by name; and what of the pool is not believed."""

    entries: tuple[RosterEntry, ...]
    problems: tuple[Problem, ...]


def roster(paths: Paths, env: Mapping[str, str], settings: PoolSettings, now: float) -> Roster:
    """All members now (epoch seconds). What this member knows is read from its own logs, published or not."""
    pool = folder.look(paths, env)
    own = [] if pool.own is None else [Member(pool.own.name, pool.own, os.geteuid())]
    read_until = time.monotonic() + _READ_S
    known, problems = PoolReader().read(replace(pool, others=(*own, *pool.others)), settings, None, now, read_until)
    publications = {one.member: one.publication for one in known}
    snapshot = state_file.current(paths).snapshot
    sessions = tuple(running for member in own for running in _running(publications.get(member), now))
    entries = [RosterEntry(_own_name(pool, env), snapshot, sessions, is_own=True)]
    for member in pool.others:
        publication = publications.get(member)
        if publication is None:
            entries.append(RosterEntry(member.name, Snapshot(), note=_why_unknown(member, settings, problems, now)))
        else:
            note = "" if publication.snapshot.providers else "knows of no account"
            entries.append(RosterEntry(member.name, publication.snapshot, _running(publication, now), note))
    return Roster(tuple(entries), tuple(problems))


def _own_name(pool: Pool, env: Mapping[str, str]) -> str:
    return pool.own.name if pool.own is not None else folder.own_name(env) or "this member"


def _running(publication: Publication | None, now: float) -> tuple[RunningSessions, ...]:
    """The sessions that run now, if the member has published them just now."""
    recent = publication is not None and publication.at >= now - _RUNNING_S
    return publication.sessions if publication is not None and recent else ()


def _why_unknown(member: Member, settings: PoolSettings, problems: list[Problem], now: float) -> str:
    """Why nothing of a member was read."""
    if not settings.share:
        return "not read (`[pool] share = false`)"
    if member.name in settings.ignore:
        return "ignored (`[pool] ignore`)"
    evidence = member.folder / "evidence.json"
    for problem in problems:
        if problem.path == evidence:
            return f"not believed: {problem.why}"
    published_at = fingerprint(evidence).mtime_ns / 1e9
    if not published_at:
        return "has published nothing yet"
    silent = now - published_at
    return f"has published nothing for {silent // 86400:.0f} days" if silent > SILENT_S else "not read in time"
