"""The snapshot: the newest evidence about every provider, window by window, each with its age and source.

It is a fold over log lines that does not care for their order or repetition: of two pieces of evidence about
the same thing the newer one stays, and of two of one instant the one with the greater id. So late lines,
replayed spools and archives give the same snapshot. An error says something about the status and nothing
about windows, and so erases none.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tokmon.headers import parse_rfc3339, rfc3339
from tokmon.model import Overage, Scope, Status, Window
from tokmon.reading import instant, number, overage_from, overage_json, text, window_from, window_json

VERSION: Final = 1
"""Of the serialised form; another version is rebuilt from the logs."""


_STATUSES: Final = frozenset(str(status) for status in Status)


@dataclass(frozen=True, slots=True, order=True)
class Stamp:
    """When, and which: the order of evidence. `ts` is epoch seconds, `id` the event's."""

    ts: float
    id: str
    source: str = field(compare=False, default="piggyback")


@dataclass(frozen=True, slots=True)
class Observation:
    """One line's evidence about one provider, as far as the snapshot cares."""

    provider: str
    stamp: Stamp
    type: str | None = None
    status: Status = Status.UNKNOWN
    substatus: str | None = None
    scope: str | None = None
    model: str | None = None
    http_status: int | None = None
    claim: str | None = None
    blocked_until: float | None = None
    windows: tuple[Window, ...] = ()
    overage: Overage | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """A window as last told, and by what."""

    window: Window
    stamp: Stamp


@dataclass(slots=True)
class Account:
    """What is known of one provider. `last` is the newest evidence of its status, `paid` that of its overage."""

    provider: str
    last: Observation | None = None
    paid: Observation | None = None
    type: tuple[Stamp, str] | None = None
    windows: dict[str, Seen] = field(default_factory=dict)

    def take(self, seen: Observation) -> None:
        """Fold one observation in."""
        if _says_status(seen) and (self.last is None or seen.stamp > self.last.stamp):
            self.last = seen
        if seen.overage is not None and (self.paid is None or seen.stamp > self.paid.stamp):
            self.paid = seen
        if seen.type is not None and (self.type is None or (seen.stamp, seen.type) > self.type):
            self.type = (seen.stamp, seen.type)
        for window in seen.windows:
            known = self.windows.get(window.name)
            if known is None or seen.stamp > known.stamp:
                self.windows[window.name] = Seen(window, seen.stamp)


def _says_status(seen: Observation) -> bool:
    """A refusal of one request or a status nobody knows says nothing about the account."""
    return seen.status is not Status.UNKNOWN and seen.scope != Scope.REQUEST


class Snapshot:
    """All accounts, by provider name."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}

    def take(self, seen: Observation) -> None:
        """Fold one observation in."""
        account = self.accounts.get(seen.provider)
        if account is None:
            account = self.accounts[seen.provider] = Account(seen.provider)
        account.take(seen)

    def to_json(self) -> dict[str, Any]:
        """A plain form with keys in a fixed order, so that equal snapshots are equal bytes."""
        return {name: _account_to_json(self.accounts[name]) for name in sorted(self.accounts)}

    @classmethod
    def from_json(cls, accounts: Mapping[str, Any]) -> "Snapshot":
        """The reverse of `to_json`; KeyError, TypeError or ValueError if it is not what `to_json` made."""
        snapshot = cls()
        for name, entry in accounts.items():
            snapshot.accounts[name] = _account_from_json(name, entry)
        return snapshot


def fold(snapshot: Snapshot, lines: Iterable[Mapping[str, Any]]) -> Snapshot:
    """Fold log lines in, whichever log they are from; what is no evidence is passed over."""
    for line in lines:
        seen = observation(line)
        if seen is not None:
            snapshot.take(seen)
    return snapshot


def observation(line: Mapping[str, Any]) -> Observation | None:
    """The evidence in a line of the log, or None if it holds none (no provider, no instant)."""
    provider, ts = line.get("provider"), line.get("ts")
    if not isinstance(provider, str) or not provider or not isinstance(ts, str):
        return None
    try:
        stamp = Stamp(parse_rfc3339(ts), str(line.get("id", "")), text(line, "source") or "probe")
    except ValueError:
        return None
    status = text(line, "status")
    overage = line.get("overage")
    return Observation(
        provider=provider,
        stamp=stamp,
        type=text(line, "type"),
        status=Status(status) if status is not None and status in _STATUSES else Status.UNKNOWN,
        substatus=text(line, "substatus"),
        scope=text(line, "scope"),
        model=text(line, "model"),
        http_status=line["http_status"] if isinstance(line.get("http_status"), int) else None,
        claim=text(line, "claim"),
        blocked_until=instant(line.get("blocked_until")),
        windows=_windows(line, stamp.ts),
        overage=overage_from(overage) if isinstance(overage, Mapping) else None,
    )


def _windows(line: Mapping[str, Any], ts: float) -> tuple[Window, ...]:
    said = line.get("windows")
    if isinstance(said, list):
        return tuple(window for entry in said if isinstance(entry, Mapping) and (window := window_from(entry)))
    return tuple(_older_windows(line, ts))


def _older_windows(line: Mapping[str, Any], ts: float) -> Iterable[Window]:
    """The older format knows two utilizations and one reset, which is the 5h window's."""
    for name in ("5h", "7d"):
        utilization = number(line.get(f"utilization_{name}"))
        wait = number(line.get("reset_in_seconds")) if name == "5h" else None
        if utilization is not None:
            yield Window(name, utilization, None if wait is None else ts + wait)


def _observation_json(seen: Observation) -> dict[str, Any]:
    entry: dict[str, Any] = {
        **_stamp_json(seen.stamp),
        "status": seen.status,
        "substatus": seen.substatus,
        "scope": seen.scope,
        "model": seen.model,
        "http_status": seen.http_status,
        "claim": seen.claim,
        "blocked_until": None if seen.blocked_until is None else rfc3339(seen.blocked_until),
        "overage": None if seen.overage is None else overage_json(seen.overage),
    }
    return {key: value for key, value in entry.items() if value is not None}


def _account_to_json(account: Account) -> dict[str, Any]:
    return {
        "type": None if account.type is None else {**_stamp_json(account.type[0]), "type": account.type[1]},
        "last": None if account.last is None else _observation_json(account.last),
        "paid": None if account.paid is None else _observation_json(account.paid),
        "windows": [
            {**window_json(seen.window), **_stamp_json(seen.stamp)} for _, seen in sorted(account.windows.items())
        ],
    }


def _stamp_json(stamp: Stamp) -> dict[str, Any]:
    return {"ts": rfc3339(stamp.ts), "id": stamp.id, "source": stamp.source}


def _account_from_json(name: str, entry: Mapping[str, Any]) -> Account:
    account = Account(name)
    for key in ("last", "paid"):
        if entry[key] is not None:
            setattr(account, key, observation({**entry[key], "provider": name}))
    if entry["type"] is not None:
        account.type = (_stamp(entry["type"]), entry["type"]["type"])
    for item in entry["windows"]:
        window = window_from(item)
        if window is not None:
            account.windows[window.name] = Seen(window, _stamp(item))
    return account


def _stamp(entry: Mapping[str, Any]) -> Stamp:
    return Stamp(parse_rfc3339(entry["ts"]), entry["id"], entry["source"])
