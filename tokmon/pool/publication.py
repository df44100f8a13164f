"""What a member publishes of its accounts, `evidence.json`, and how it is read: nothing in it is believed by itself.

    {"version": 1, "form": 13, "ts": …, "accounts": {PROVIDER: the form of state.json}, "sessions": [{…}],
     "credentials": {PROVIDER: …}}

`credentials` are those that are configured, since the answer to a probe names none.

Organisations and credentials are keyed hashes. There is no key, text, session, mission or path in it.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from tokmon.evidence.identities import PartKey
from tokmon.evidence.snapshot import VERSION as FORM
from tokmon.evidence.snapshot import Snapshot
from tokmon.pool.folder import FILES
from tokmon.pool.key import hash_of_account
from tokmon.store.codec import encode, encoded
from tokmon.wire.instants import parse_rfc3339, rfc3339
from tokmon.wire.scrub import scrub

VERSION: Final = 1
AHEAD_S: Final = 60.0
"""Seconds by which an instant may be ahead of this clock: members of a host have one clock."""

_SECONDS: Final = len("2026-11-22T06:00:00")
_LONGEST: Final = 120
"""Characters of a text."""

_CREDENTIAL: Final = 40
"""Bytes of the hash of a credential, and of what stands between names and values."""

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")
_ROOM: Final = FILES["evidence"] - (16 << 10)
_MAX_SESSIONS: Final = 100
_ERRORS: Final = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, IndexError)


class RunningSessions(NamedTuple):
    """Sessions that run on an account now: how many, and since when the first of them (epoch seconds)."""

    provider: str
    sessions: int
    since: float


class Publication(NamedTuple):
    """What another member knows. Instants are epoch seconds."""

    member: str
    at: float
    snapshot: Snapshot
    sessions: tuple[RunningSessions, ...] = ()
    problems: tuple[str, ...] = ()
    """What of it is not believed, and why."""

    credentials: Mapping[str, str] = MappingProxyType({})
    """The hash of the credential that is configured for each account, where it is known."""


class Encoder:
    """Encodes what this member knows, again only the accounts with new evidence."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._accounts: dict[str, tuple[int, float, bytes]] = {}

    @property
    def key(self) -> bytes:
        """The key of the hashes."""
        return self._key

    def value(
        self,
        snapshot: Snapshot,
        sessions: Iterable[RunningSessions],
        now: float,
        configured: Mapping[str, PartKey] = MappingProxyType({}),
    ) -> dict[str, Any]:
        """The content of the file: of more accounts than it has room for, those with the newest evidence.

        `configured` are the hashes of the credentials of this member's accounts.
        """
        accounts, size = {}, 0
        for name, (_, _, data) in sorted(self._encoded(snapshot).items(), key=_newest_first):
            size += 2 * len(name) + len(data) + _CREDENTIAL
            if size > _ROOM:
                break
            accounts[name] = encoded(data)
        return {
            "version": VERSION,
            "form": FORM,
            "ts": rfc3339(now),
            "accounts": accounts,
            "credentials": {name: configured[name].credential for name in accounts if name in configured},
            "sessions": [
                {"provider": provider, "count": count, "since": rfc3339(since)}
                for provider, count, since in list(sessions)[:_MAX_SESSIONS]
            ],
        }

    def _encoded(self, snapshot: Snapshot) -> dict[str, tuple[int, float, bytes]]:
        before, self._accounts = self._accounts, {}
        for name in snapshot.providers:
            known, added = before.get(name), snapshot.added(name)
            if known is None or known[0] != added:
                entry = snapshot.provider_json(name)
                known = (added, _newest(entry), encode(_public(entry, self._key)))
            self._accounts[name] = known
        return self._accounts


def decode(value: Mapping[str, Any], member: str, names: Collection[str] | None, now: float) -> Publication:
    """What a member published of the accounts with these names (of all if None).

    ValueError where none of it can be used. A malformed account is left out, and so is one with an instant from the
    future; both are among the problems. `value` is changed.
    """
    if value.get("version") != VERSION or value.get("form") != FORM:
        raise ValueError("of another version of tokmon")
    accounts, problems = value.get("accounts"), []
    at, latest = _instant(value.get("ts"), now), rfc3339(now)[:_SECONDS]
    snapshot = Snapshot()
    for name, entry in accounts.items() if isinstance(accounts, dict) else ():
        if names is not None and name not in names:
            continue
        try:
            _name_member(entry, member, now, latest)
            snapshot.add_saved(name, entry)
        except _ERRORS as error:
            future = isinstance(error, FutureError)
            problems.append(f"`{name}`: {'an instant from the future' if future else 'malformed'}")
    sessions = tuple(_sessions(value.get("sessions"), now))
    return Publication(
        member, at, snapshot, sessions, tuple(problems), _credentials(value.get("credentials"), snapshot)
    )


class FutureError(ValueError):
    """An instant that has not come yet."""


def _instant(text: object, now: float) -> float:
    at = parse_rfc3339(text) if isinstance(text, str) else 0.0
    if at > now + AHEAD_S:
        raise FutureError("from the future")
    return at


def _sessions(entries: object, now: float) -> Iterable[RunningSessions]:
    for entry in entries[:_MAX_SESSIONS] if isinstance(entries, list) else ():
        try:
            provider, count, since = entry["provider"], entry["count"], _instant(entry["since"], now)
            if isinstance(provider, str) and isinstance(count, int) and 0 < count <= _MAX_SESSIONS:
                yield RunningSessions(provider, count, since)
        except _ERRORS:
            continue


def _credentials(entries: object, snapshot: Snapshot) -> dict[str, str]:
    known = entries if isinstance(entries, dict) else {}
    return {name: hashed for name in snapshot.providers if isinstance(hashed := known.get(name), str)}


def _newest_first(item: tuple[str, tuple[int, float, bytes]]) -> tuple[float, str]:
    return -item[1][1], item[0]


def _newest(entry: Mapping[str, Any]) -> float:
    """The newest instant of the evidence under a name."""
    used = [part.get("used") or {} for part in (entry, *entry["identities"])]
    stamps = [stamp["newest"]["ts"] for stamp in used if stamp.get("newest")]
    return max(map(parse_rfc3339, stamps), default=0.0)


def _public(value: Any, key: bytes) -> Any:  # noqa: ANN401 - JSON of every type
    """The saved form without what is private: an organisation becomes a hash, a text is scrubbed and cut."""
    if isinstance(value, str):
        return scrub(value)[:_LONGEST]
    if isinstance(value, list):
        return [_public(entry, key) for entry in value]
    if not isinstance(value, dict):
        return value
    public = {scrub(name)[:_LONGEST]: _public(entry, key) for name, entry in value.items()}
    if "id" in value and not _ID.fullmatch(str(value["id"])):
        public["id"] = ""
    if "seat" in value:
        public["account"] = hash_of_account(key, value["account"])
    return public


def _name_member(value: Any, member: str, now: float, latest: str) -> None:  # noqa: ANN401
    """Add the member to each stamp, in place; FutureError if one has not come yet.

    `latest` is the last second that has come: most instants need not be parsed to be compared.
    """
    if isinstance(value, list):
        for entry in value:
            _name_member(entry, member, now, latest)
    if not isinstance(value, dict):
        return
    for entry in value.values():
        if isinstance(entry, (dict, list)):
            _name_member(entry, member, now, latest)
    if "ts" in value:
        ts = value["ts"]
        if not (isinstance(ts, str) and ts.isascii() and ts[-1:] == "Z" and ts[:_SECONDS] < latest):
            _instant(ts, now)
        value["member"] = member
    if any(ts > now + AHEAD_S for ts in value.get("key_refusal_times", ())):
        raise FutureError
