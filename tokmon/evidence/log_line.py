"""One line of the log: the evidence in it, and the fields that a reading adds to it (docs/log.md).

Other tools write logs too, so every value is checked when a line is read.
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
"""The statuses of an account that serves requests."""

_RELAYS: Final = frozenset({"gateway", "openrouter", "cloudflare"})
_STATUSES: Final = frozenset(str(status) for status in Status)
_LONGEST_5H_S: Final = 5 * 3600 + 300.0
_LONGEST_7D_S: Final = 7 * 86400 + 300.0
"""Longest wait until the reset of such a window, plus five minutes for clocks that differ."""

_EXACT: Final = 2**53

SOURCE: Final = "piggyback"
"""The source of a line about a response that pi received."""

USAGE: Final = "usage"
"""The kind of a line about an answer's tokens and costs."""

CHECK: Final = "pi-check"
"""The source of a line about a pi check: `ok` if a real session started, else `error`."""

CONFIRMED: Final = "confirmed"
"""The substatus of a key that was refused twice in one pi check."""

GENERIC_TYPE: Final = "anthropic"
"""The type of an account of which only the API is known: neither a plan seat nor a paid key. Any other outranks it."""

ReadText = Callable[[RawResponse], Reading]
"""`families.read`. It is passed in because this room must not import the families."""


class Stamp(Value, frozen=True):
    """The instant (epoch seconds), event id and source of evidence. Evidence is ordered by instant, then id."""

    ts: float
    id: str
    source: str = "piggyback"

    def __lt__(self, other: "Stamp") -> bool:
        return (self.ts, self.id) < (other.ts, other.id)

    def __gt__(self, other: "Stamp") -> bool:
        return (self.ts, self.id) > (other.ts, other.id)


class Evidence(Value, frozen=True):
    """The evidence of one log line about one account: the fields that the snapshot uses."""

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
    account: str | None = None
    """The organisation or ChatGPT account, if it is known: another one is another account of the same name."""

    credential: str | None = None
    """A keyed hash of a configured key; None for a login, whose token is renewed."""


def named_account(account_type: str | None, account: str | None, organisation: str | None) -> str | None:
    """The account that a response names. That in a gateway's response is of the provider behind it."""
    return None if account_type in _RELAYS else account or organisation or None


def evidence_in_line(line: Mapping[str, Any], read_text: ReadText | None = None) -> Evidence | None:
    """The evidence in a log line; None if the line has no provider or no instant, or is about usage alone.

    `read_text` reads the error text of a pi check that another tool logged. Without it, such a line is evidence of
    a failed check and of nothing else.
    """
    provider, ts = line.get("provider"), line.get("ts")
    if not isinstance(provider, str) or not provider or not isinstance(ts, str):
        return None
    if line.get("kind") == USAGE and line.get("status") is None:
        return None  # tokens and costs of an answer, whose capture is the evidence
    try:
        # Rounded as in `state.json`: otherwise a reload could change which of two lines is newer.
        stamp = Stamp(round(parse_rfc3339(ts), 3), str(line.get("id", "")), text(line, "source") or "probe")
    except ValueError:
        return None
    fields = _check_fields(line, read_text) if stamp.source == CHECK else _status_fields(line)
    if fields is None:
        return None
    status, scope, substatus = fields
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
        account=named_account(text(line, "type"), text(line, "account"), text(line, "account_hint")),
        credential=text(line, "credential") or None,
        credits=credits_from_json(credit) if isinstance(credit, Mapping) else None,
    )


StatusFields = tuple[Status, str | None, str | None]
"""Status, scope and substatus of an account."""


def _status_fields(line: Mapping[str, Any], key: str = "status") -> StatusFields:
    word = text(line, key)
    status = Status(word) if word is not None and word in _STATUSES else Status.UNKNOWN
    return status, text(line, "scope"), text(line, "substatus")


def _check_fields(line: Mapping[str, Any], read_text: ReadText | None) -> StatusFields | None:
    """The account's status according to a pi check; None if the line has no result.

    tokmon writes it to `account_status`. In lines of other tools it is read from the error text; instants in that
    text are ignored, because they would be counted from the line's `ts` and not from the response.
    """
    status = text(line, "status")
    if status == "ok":
        return Status.ALLOWED, None, None
    if status != "error":
        return _status_fields(line) if status in _STATUSES else None
    if text(line, "account_status") is not None:
        fields = _status_fields(line, "account_status")
    elif read_text is None:
        fields = Status.UNKNOWN, None, None
    else:
        error = text(line, "error") or text(line, "reason")
        reading = read_text(RawResponse(None, {}, 0.0, error, text(line, "type")))
        fields = reading.status, reading.scope, reading.substatus
    return fields if fields[0] not in SERVED else (Status.UNKNOWN, Scope.REQUEST, None)


def _windows(line: Mapping[str, Any], ts: float) -> tuple[Window, ...]:
    entries = line.get("windows")
    if isinstance(entries, list):
        return tuple(window for entry in entries if isinstance(entry, Mapping) and (window := window_from_json(entry)))
    return tuple(_older_windows(line, ts))


def _older_windows(line: Mapping[str, Any], ts: float) -> Iterable[Window]:
    """The windows of the older format, which has two utilizations and one reset: of 5h if the wait is short enough."""
    wait = number(line.get("reset_in_seconds"))
    resets_at = None if wait is None else plausible(ts + wait)
    resets = "5h" if wait is None or wait <= _LONGEST_5H_S else "7d" if wait <= _LONGEST_7D_S else None
    for name in ("5h", "7d"):
        utilization = number(line.get(f"utilization_{name}"))
        if utilization is not None:
            yield Window(name, utilization, resets_at if name == resets else None)


def evidence_json(evidence: Evidence) -> dict[str, Any]:
    """Evidence as saved in `state.json`, without windows, plan and type, which are saved with the account."""
    entry: dict[str, Any] = {
        **stamp_json(evidence.stamp),
        "status": evidence.status,
        "substatus": evidence.substatus,
        "scope": evidence.scope,
        "model": evidence.model,
        "http_status": evidence.http_status,
        "claim": evidence.claim,
        "blocked_until": None if evidence.blocked_until is None else rfc3339(evidence.blocked_until),
        "overage": None if evidence.overage is None else plain_numbers(overage_json(evidence.overage)),
    }
    return {key: value for key, value in entry.items() if value is not None}


def plain_numbers(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The entry with `1.0` as `1` and `-0.0` as `0`, so that the saved bytes do not depend on the order of lines."""
    return {key: _plain(value) if isinstance(value, float | int) else value for key, value in entry.items()}


def _plain(value: float) -> float:
    if isinstance(value, bool):
        return value
    number = float(value)
    return int(number) if number.is_integer() and abs(number) < _EXACT else number


def stamp_json(stamp: Stamp) -> dict[str, Any]:
    """The fields of a stamp."""
    return {"ts": rfc3339(stamp.ts), "id": stamp.id, "source": stamp.source}


def evidence_from_json(provider: str, entry: Mapping[str, Any] | None) -> Evidence | None:
    """The evidence in the output of `evidence_json`; KeyError, TypeError or ValueError if it is anything else."""
    if entry is None:
        return None
    stamp_from_json(entry)
    return evidence_in_line({**entry, "provider": provider})


def stamp_from_json(entry: Mapping[str, Any]) -> Stamp:
    """The stamp in the output of `stamp_json`; KeyError, TypeError or ValueError if it is anything else."""
    return Stamp(parse_rfc3339(required_text(entry["ts"])), required_text(entry["id"]), required_text(entry["source"]))


def required_text(value: object) -> str:
    """The value if it is a string; TypeError if not."""
    if not isinstance(value, str):
        raise TypeError("a string is missing")
    return value


def capture_fields(reading: Reading, account_type: str | None, source: str = SOURCE) -> dict[str, Any]:
    """The log fields of a capture's or probe's reading. The fields of the older format are always present."""
    fields: dict[str, Any] = {
        "source": source,
        "type": account_type,
        "status": reading.status,
        "utilization_5h": _utilization(reading, "5h"),
        "utilization_7d": _utilization(reading, "7d"),
    }
    fields |= _known_fields(reading)
    if next_reset(reading) is None:
        fields["reset_in_seconds"] = None
    return fields


def usage_fields(error: Reading | None, account_type: str | None) -> dict[str, Any]:
    """The log fields of a usage event. `error` is the reading of its error text, which no capture contains."""
    fields: dict[str, Any] = {"source": SOURCE} | ({} if error is None else _known_fields(error))
    return fields | ({} if account_type is None else {"type": account_type})


def _known_fields(reading: Reading) -> dict[str, Any]:
    return {name: value for name, value in reading_json(reading).items() if value is not None and value != []}


def _utilization(reading: Reading, name: str) -> float | None:
    window = reading.window(name)
    return None if window is None else window.utilization


def next_reset(reading: Reading) -> float | None:
    """The reset (epoch seconds) of the binding window, else of 5h, else of 7d, as readers of older logs expect."""
    for name in (reading.binding, "5h", "7d"):
        window = reading.window(name) if name else None
        if window is not None and window.resets_at is not None:
            return window.resets_at
    return None
