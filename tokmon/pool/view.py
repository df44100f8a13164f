"""What the other members know, merged into the snapshot of this one."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tokmon.errors import reason_of
from tokmon.evidence.identities import PartKey
from tokmon.evidence.shared import Doubt, with_others
from tokmon.evidence.snapshot import Snapshot
from tokmon.pool import folder
from tokmon.pool.folder import Member, Pool, Problem
from tokmon.pool.publication import Publication, decode
from tokmon.pool.settings import PoolSettings
from tokmon.store.fingerprint import Fingerprint, fingerprint

SILENT_S: Final = 15 * 24 * 3600.0
"""A member that has published nothing for so long knows of no window that still counts."""


class Known(NamedTuple):
    """A member, and what it published."""

    member: Member
    publication: Publication


@dataclass(slots=True)
class PoolReader:
    """What the others know, read again only where a file has changed: for a process that looks often."""

    _read: dict[str, tuple[Fingerprint, frozenset[str] | None, Publication | str]] = field(default_factory=dict)

    def read(
        self,
        pool: Pool,
        settings: PoolSettings,
        names: Collection[str] | None,
        now: float,
        deadline: float | None = None,
    ) -> tuple[list[Known], list[Problem]]:
        """What the members know of the accounts with these names (all if None), and what is not believed.

        `now` is epoch seconds. After `deadline` (`time.monotonic`) no further member is read; the newest come first.
        """
        known: list[Known] = []
        problems: list[Problem] = [*pool.problems]
        wanted = None if names is None else frozenset(names)
        members = [member for member in pool.others if settings.share and member.name not in settings.ignore]
        prints = {member.name: fingerprint(member.folder / "evidence.json", follow_links=False) for member in members}
        for member in sorted(members, key=lambda one: -prints[one.name].mtime_ns):
            if not prints[member.name].mtime_ns or prints[member.name].mtime_ns / 1e9 < now - SILENT_S:
                continue
            if deadline is not None and time.monotonic() >= deadline:
                break
            publication = self._publication(member, prints[member.name], wanted, now)
            if isinstance(publication, str):
                problems.append(Problem(member.folder / "evidence.json", publication))
            else:
                known.append(Known(member, publication))
                problems += [Problem(member.folder / "evidence.json", why) for why in publication.problems]
        return known, problems

    def _publication(
        self, member: Member, state: Fingerprint, names: frozenset[str] | None, now: float
    ) -> Publication | str:
        before = self._read.get(member.name)
        if before is not None and before[:2] == (state, names):
            return before[2]
        try:
            publication: Publication | str = decode(folder.read(member, "evidence"), member.name, names, now)
        except (OSError, ValueError) as error:
            publication = reason_of(error)
        self._read[member.name] = (state, names, publication)
        return publication


def merge(
    own: Snapshot,
    known: Iterable[Known],
    configured: Mapping[str, PartKey],
    settings: PoolSettings,
    hashed: Callable[[str], str],
    doubts: list[Doubt] | None = None,
) -> Snapshot:
    """The snapshot of this member with what the others know; `hashed` is how they name an organisation."""
    known = list(known)
    others = {one.member.name: one.publication.snapshot for one in known}
    credentials = {one.member.name: one.publication.credentials for one in known}
    return with_others(own, others, configured, settings.alias, hashed, doubts, credentials) if others else own
