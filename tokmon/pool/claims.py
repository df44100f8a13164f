"""When accounts were probed: what a member publishes in `probes.json`, before each probe and after it.

    {"version": 1, "accounts": {NAME: {"probed_at": …, "next_at": …, "refusals": 0, "in_progress": true,
                                       "recent": […], "credential": …, "organisation": …}}}

Instants are epoch seconds; `recent` are the probes of the last hour. Organisations and credentials are keyed hashes.
"""

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from tokmon.pool import folder
from tokmon.pool.folder import FILES, Member
from tokmon.pool.publication import AHEAD_S
from tokmon.selection.overrides import name_problem
from tokmon.store.codec import encode
from tokmon.store.fingerprint import Fingerprint, fingerprint
from tokmon.wire.scrub import scrub

VERSION: Final = 1
HOUR_S: Final = 3600.0
MOST_RECENT: Final = 32
_MOST_REFUSALS: Final = 10
_LONGEST_HASH: Final = 40
_OLDEST_S: Final = 3 * 86400.0
"""An older claim says nothing about the present."""


class Claim(NamedTuple):
    """The last probe of an account by a member. Instants are epoch seconds; `next_at` is when it would probe again."""

    member: str
    account: str
    probed_at: float
    next_at: float
    refusals: int = 0
    """Refusals of its probes as too frequent, one after the other."""

    in_progress: bool = False
    recent: tuple[float, ...] = ()
    """Instants of its probes of the last hour."""

    credential: str = ""
    organisation: str = ""


@dataclass(slots=True)
class ClaimReader:
    """Reads the claims of members, again only where a file has changed."""

    _read: dict[str, tuple[Fingerprint, tuple[Claim, ...]]] = field(default_factory=dict)

    def read(self, members: Iterable[Member], now: float, deadline: float) -> list[Claim]:
        """The claims of these members; none of a file that is not believed, and none from the future.

        After `deadline` (`time.monotonic`) no further file is read.
        """
        claims: list[Claim] = []
        for member in members:
            current = fingerprint(member.folder / "probes.json", follow_links=False)
            before = self._read.get(member.name)
            if before is None or before[0] != current:
                if time.monotonic() >= deadline:
                    break
                before = self._read[member.name] = (current, tuple(_claims(member)) if current.mtime_ns else ())
            claims += [claim for claim in before[1] if now - _OLDEST_S < claim.probed_at <= now + AHEAD_S]
        return claims


def publish(target: Path, claims: Iterable[Claim]) -> None:
    """Replace the file of this member by these claims: of more than it has room for, by the newest.

    OSError or ValueError if it cannot be written.
    """
    accounts, size = {}, 64
    for claim in sorted(claims, key=lambda one: -one.probed_at):
        if name_problem(claim.account) is not None or scrub(claim.account) != claim.account:
            continue
        entry = claim._asdict()
        del entry["member"], entry["account"]
        size += len(encode({claim.account: entry})) + 1
        if size > FILES["probes"]:
            break
        accounts[claim.account] = entry
    folder.write(target, "probes", {"version": VERSION, "accounts": accounts})


def _claims(member: Member) -> Iterator[Claim]:
    """The claims in a member's file that are well-formed."""
    try:
        value = folder.read(member, "probes")
    except (OSError, ValueError):
        return
    accounts = value.get("accounts") if value.get("version") == VERSION else None
    for name, entry in accounts.items() if isinstance(accounts, dict) else ():
        if name_problem(name) is None and isinstance(entry, dict) and (claim := _claim(member.name, name, entry)):
            yield claim


def _claim(member: str, name: str, entry: Mapping[str, Any]) -> Claim | None:
    probed_at, next_at, refusals = (
        _instant(entry.get("probed_at")),
        _instant(entry.get("next_at")),
        entry.get("refusals"),
    )
    if probed_at is None or next_at is None or not isinstance(refusals, int):
        return None
    recent = entry.get("recent")
    instants = [_instant(at) for at in recent[:MOST_RECENT]] if isinstance(recent, list) else []
    return Claim(
        member,
        name,
        probed_at,
        next_at,
        max(0, min(refusals, _MOST_REFUSALS)),
        entry.get("in_progress") is True,
        tuple(at for at in instants if at is not None),
        _hash(entry.get("credential")),
        _hash(entry.get("organisation")),
    )


def _instant(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if math.isfinite(value) and value > 0 else None


def _hash(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= _LONGEST_HASH else ""
