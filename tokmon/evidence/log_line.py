"""One line of the log: the evidence in it, and what a reading adds to it (docs/log.md).

Lines are read with distrust: logs are also written by others.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from tokmon.evidence.model import Credits, Overage, RawResponse, Reading, Scope, Status, Value, Window
from tokmon.evidence.reading import (
    credits_from_json,
    instant,
    number,
    overage_from_json,
    overage_json,
    reading_json,
    text,
    window_from_json,
)
from tokmon.evidence.values import plausible
from tokmon.wire.instants import parse_rfc3339, rfc3339

SERVED: Final = frozenset({Status.ALLOWED, Status.ALLOWED_WARNING})
"""What an account says that answers."""

_STATUSES: Final = frozenset(str(status) for status in Status)
_LONGEST_5H_S: Final = 5 * 3600 + 300.0
_LONGEST_7D_S: Final = 7 * 86400 + 300.0
"""Each with some minutes for clocks that disagree."""

_EXACT: Final = 2**53

SOURCE: Final = "piggyback"
"""The source of a line that tells of a response that pi got."""

CHECK: Final = "pi-check"
"""The source of a line that says whether a real session of pi started: `ok` or `error`."""

CONFIRMED: Final = "confirmed"
"""The substatus of a refused key that was refused to a second try too."""


ReadText = Callable[[RawResponse], Reading]
"""Reads a response, as `families.read` does. The families lie above this room, so it is handed in."""


class Stamp(Value, frozen=True):
    """When, and which: the order of evidence. `ts` is epoch seconds, `id` the event's."""

    ts: float
    id: str
    source: str = "piggyback"

    def __lt__(self, other: "Stamp") -> bool:
        return (self.ts, self.id) < (other.ts, other.id)

    def __gt__(self, other: "Stamp") -> bool:
        return (self.ts, self.id) > (other.ts, other.id)


class Evidence(Value, frozen=True):
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
    binding: str | None = None
    blocked_until: float | None = None
    windows: tuple[Window, ...] = ()
    overage: Overage | None = None
    plan: str | None = None
    credits: Credits | None = None


def evidence_in_line(line: Mapping[str, Any], read_text: ReadText | None = None) -> Evidence | None:
    """The evidence in a line of the log, or None if it holds none (no provider, no instant).

    `read_text` reads the error text of a pi check that another tool logged; without it, only that the check failed.
    """
    provider, ts = line.get("provider"), line.get("ts")
    if not isinstance(provider, str) or not provider or not isinstance(ts, str):
        return None
    try:
        # To the millisecond, as it is saved: what is between two of them must not decide before and be lost after.
        stamp = Stamp(round(parse_rfc3339(ts), 3), str(line.get("id", "")), text(line, "source") or "probe")
    except ValueError:
        return None
    outcome = _outcome(line, read_text) if stamp.source == CHECK else _said(line)
    if outcome is None:
        return None
    status, scope, substatus = outcome
    overage, credit = line.get("overage"), line.get("credits")
    return Evidence(
        provider=provider,
        stamp=stamp,
        type=text(line, "type"),
        status=status,
        substatus=substatus,
        scope=scope,
        model=text(line, "model"),
        http_status=line["http_status"] if isinstance(line.get("http_status"), int) else None,
        claim=text(line, "claim"),
        binding=text(line, "binding_window"),
        blocked_until=instant(line.get("blocked_until")),
        windows=_windows(line, stamp.ts),
        overage=overage_from_json(overage) if isinstance(overage, Mapping) else None,
        plan=text(line, "plan"),
        credits=credits_from_json(credit) if isinstance(credit, Mapping) else None,
    )


def _said(line: Mapping[str, Any], key: str = "status") -> tuple[Status, str | None, str | None]:
    """Status, scope and substatus as they stand in the line."""
    status = text(line, key)
    known = Status(status) if status is not None and status in _STATUSES else Status.UNKNOWN
    return known, text(line, "scope"), text(line, "substatus")


def _outcome(line: Mapping[str, Any], read_text: ReadText | None) -> tuple[Status, str | None, str | None] | None:
    """What a pi check says of the account; None where it does not say how it went.

    What an error says stands in `account_status`. Where other tools have written the line, its text says it; no
    instant is taken from that, since it would be counted from the line's own.
    """
    status = text(line, "status")
    if status == "ok":
        return Status.ALLOWED, None, None
    if status != "error":
        return _said(line) if status in _STATUSES else None
    if text(line, "account_status") is not None:
        said = _said(line, "account_status")
    elif read_text is None:
        said = Status.UNKNOWN, None, None
    else:
        error = text(line, "error") or text(line, "reason")
        reading = read_text(RawResponse(None, {}, 0.0, error, text(line, "type")))
        said = reading.status, reading.scope, reading.substatus
    return said if said[0] not in SERVED else (Status.UNKNOWN, Scope.REQUEST, None)


def _windows(line: Mapping[str, Any], ts: float) -> tuple[Window, ...]:
    said = line.get("windows")
    if isinstance(said, list):
        return tuple(window for entry in said if isinstance(entry, Mapping) and (window := window_from_json(entry)))
    return tuple(_older_windows(line, ts))


def _older_windows(line: Mapping[str, Any], ts: float) -> Iterable[Window]:
    """The older format knows two utilizations and one reset: the 5h window's, unless that cannot be so long."""
    wait = number(line.get("reset_in_seconds"))
    resets_at = None if wait is None else plausible(ts + wait)
    resets = "5h" if wait is None or wait <= _LONGEST_5H_S else "7d" if wait <= _LONGEST_7D_S else None
    for name in ("5h", "7d"):
        utilization = number(line.get(f"utilization_{name}"))
        if utilization is not None:
            yield Window(name, utilization, resets_at if name == resets else None)


def evidence_json(seen: Evidence) -> dict[str, Any]:
    """What is saved of it: what its parts (windows, plan, type) say is kept apart."""
    entry: dict[str, Any] = {
        **stamp_json(seen.stamp),
        "status": seen.status,
        "substatus": seen.substatus,
        "scope": seen.scope,
        "model": seen.model,
        "http_status": seen.http_status,
        "claim": seen.claim,
        "blocked_until": None if seen.blocked_until is None else rfc3339(seen.blocked_until),
        "overage": None if seen.overage is None else plain_numbers(overage_json(seen.overage)),
    }
    return {key: value for key, value in entry.items() if value is not None}


def plain_numbers(said: Mapping[str, Any]) -> dict[str, Any]:
    """The same with `1.0` and `-0.0` as `1` and `0`: equal numbers, or which was read first would show."""
    return {key: _number(value) if isinstance(value, float | int) else value for key, value in said.items()}


def _number(value: float) -> float:
    if isinstance(value, bool):
        return value
    found = float(value)
    return int(found) if found.is_integer() and abs(found) < _EXACT else found


def stamp_json(stamp: Stamp) -> dict[str, Any]:
    """When, which, and from where."""
    return {"ts": rfc3339(stamp.ts), "id": stamp.id, "source": stamp.source}


def evidence_from_json(provider: str, entry: Mapping[str, Any] | None) -> Evidence | None:
    """What was saved of one; KeyError, TypeError or ValueError if it is not that."""
    if entry is None:
        return None
    stamp_from_json(entry)
    return evidence_in_line({**entry, "provider": provider})


def stamp_from_json(entry: Mapping[str, Any]) -> Stamp:
    """The reverse of `stamp_json`; KeyError, TypeError or ValueError if it is not that."""
    return Stamp(parse_rfc3339(required_text(entry["ts"])), required_text(entry["id"]), required_text(entry["source"]))


def required_text(value: object) -> str:
    """A text; TypeError if it is none."""
    if not isinstance(value, str):
        raise TypeError("a text is missing")
    return value


def capture_fields(reading: Reading, kind: str | None, source: str = SOURCE) -> dict[str, Any]:
    """What a capture or a probe says, in the names of the log; the older format's fields are always there."""
    said: dict[str, Any] = {
        "source": source,
        "type": kind,
        "status": reading.status,
        "utilization_5h": _utilization(reading, "5h"),
        "utilization_7d": _utilization(reading, "7d"),
    }
    said |= _fields(reading)
    if next_reset(reading) is None:
        said["reset_in_seconds"] = None
    return said


def usage_fields(error: Reading | None, kind: str | None) -> dict[str, Any]:
    """What a usage event says: of its error, if it tells of one, since a capture never has the text."""
    said: dict[str, Any] = {"source": SOURCE} | ({} if error is None else _fields(error))
    return said | ({} if kind is None else {"type": kind})


def _fields(reading: Reading) -> dict[str, Any]:
    return {name: value for name, value in reading_json(reading).items() if value is not None and value != []}


def _utilization(reading: Reading, name: str) -> float | None:
    window = reading.window(name)
    return None if window is None else window.utilization


def next_reset(reading: Reading) -> float | None:
    """When the binding window starts afresh; without a claim, the 5h window, as older readers expect."""
    for name in (reading.binding, "5h", "7d"):
        window = reading.window(name) if name else None
        if window is not None and window.resets_at is not None:
            return window.resets_at
    return None
