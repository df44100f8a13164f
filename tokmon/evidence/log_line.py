"""One line of the log: the evidence in it, and the fields that a reading adds to it (docs/log.md).

Other tools write logs too, so every value is checked when a line is read.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from tokmon.evidence.model import Credits, Overage, RawResponse, Reading, Scope, Status, Value, Window
from tokmon.evidence.reading import (
    credits_from_json,
    instant,
    known_json,
    number,
    overage_from_json,
    text,
    window_from_json,
)
from tokmon.evidence.values import plausible
from tokmon.wire.instants import parse_rfc3339

SERVED: Final = frozenset({Status.ALLOWED, Status.ALLOWED_WARNING})
"""The statuses of an account that serves requests."""

_RELAYS: Final = frozenset({"gateway", "openrouter", "cloudflare"})
_STATUSES: Final = frozenset(str(status) for status in Status)
_LONGEST_5H_S: Final = 5 * 3600 + 300.0
_LONGEST_7D_S: Final = 7 * 86400 + 300.0
"""Longest wait until the reset of such a window, plus five minutes for clocks that differ."""

SOURCE: Final = "piggyback"
"""The source of a line about a response that pi received."""

UNATTRIBUTED: Final = "none"
"""The attribution of a response that belongs to no account: its line is kept, and is no evidence."""

USAGE: Final = "usage"
"""The kind of a line about an answer's tokens and costs."""

CHECK: Final = "pi-check"
"""The source of a line about a pi check: `ok` if a real session started, else `error`."""

CONFIRMED: Final = "confirmed"
"""The substatus of a key that was refused twice in one pi check."""

LIMITED: Final = frozenset({Status.REJECTED, Status.NO_CREDIT})

GENERIC_TYPE: Final = "anthropic"
"""The type of an account of which only the API is known: neither a plan seat nor a paid key. Any other outranks it."""

ReadText = Callable[[RawResponse], Reading]
"""`families.read`. It is passed in because this room must not import the families."""


class Stamp(Value, frozen=True):
    """The instant (epoch seconds), event id and source of evidence. Evidence is ordered by instant, then id."""

    ts: float
    id: str
    source: str = "piggyback"
    member: str = ""
    """Which member of the pool it is of, "" for evidence of one's own."""

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

    @property
    def refusing(self) -> tuple[Window, ...]:
        """The windows that refuse, by this evidence: those that say so, else the full ones, else the one it names.

        Windows of some models refuse the account only where no other one does.
        """
        if self.status not in LIMITED:
            return ()
        scope = Scope.MODEL if self.scope == Scope.MODEL else None
        windows = [window for window in self.windows if window.scope is scope] or self.windows
        refusing = tuple(window for window in windows if window.status == Status.REJECTED)
        full = refusing or tuple(window for window in windows if window.is_full)
        named = self.binding if self.status is Status.REJECTED else None
        return full or tuple(window for window in windows if window.name == named)


def named_account(account_type: str | None, account: str | None, organisation: str | None) -> str | None:
    """The account that a response names. That in a gateway's response is of the provider behind it."""
    return None if account_type in _RELAYS else account or organisation or None


def is_bill(kind: object, status: object, error_captured: object) -> bool:
    """Whether a line with these fields is about tokens, or an error, of a response whose capture is the evidence."""
    return kind == USAGE and (status is None or error_captured is True)


def evidence_in_line(line: Mapping[str, Any], read_text: ReadText | None = None) -> Evidence | None:
    """The evidence in a log line; None if it has no provider or instant, is attributed to none, or about usage alone.

    `read_text` reads the error text of a pi check that another tool logged. Without it, such a line is evidence of
    a failed check and of nothing else.
    """
    provider, ts = line.get("provider"), line.get("ts")
    if not isinstance(provider, str) or not provider or not isinstance(ts, str):
        return None
    if line.get("attribution") == UNATTRIBUTED:
        return None
    if is_bill(line.get("kind"), line.get("status"), line.get("error_captured")):
        return None
    try:
        # Rounded as in `state.json`: otherwise a reload could change which of two lines is newer.
        stamp = Stamp(round(parse_rfc3339(ts), 3), str(line.get("id", "")), text(line, "source") or "probe")
    except ValueError:
        return None
    fields = _check_fields(line, read_text) if stamp.source == CHECK else _status_fields(line)
    if fields is None:
        return None
    status, scope, substatus = fields
    windows = _windows(line, stamp.ts)
    if scope is None and status is Status.REJECTED and _of_some_models(windows):
        scope = Scope.MODEL
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
        blocked_until=_blocked_until(line, stamp.ts),
        windows=windows,
        overage=overage_from_json(overage) if isinstance(overage, Mapping) else None,
        plan=text(line, "plan"),
        account=named_account(text(line, "type"), text(line, "account"), text(line, "account_hint")),
        credential=text(line, "credential") or None,
        credits=credits_from_json(credit) if isinstance(credit, Mapping) else None,
    )


_OLDER_WORDS: Final = {
    "quota_exhausted": Status.REJECTED,
    "rate_limited": Status.REJECTED,
    "exhausted": Status.REJECTED,
}
"""Statuses in lines of older tools."""

StatusFields = tuple[Status, str | None, str | None]
"""Status, scope and substatus of an account."""


def _status_fields(line: Mapping[str, Any], key: str = "status") -> StatusFields:
    word = text(line, key)
    status = Status(word) if word in _STATUSES else _OLDER_WORDS.get(word or "", Status.UNKNOWN)
    return status, text(line, "scope"), text(line, "substatus")


def _blocked_until(line: Mapping[str, Any], ts: float) -> float | None:
    """The end of a refusal; in a line of an older tool the reset of the window that was used up."""
    wait = number(line.get("reset_in_seconds")) if text(line, "status") in _OLDER_WORDS else None
    return instant(line.get("blocked_until")) if wait is None else plausible(ts + wait)


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


def _of_some_models(windows: tuple[Window, ...]) -> bool:
    """Whether windows are full, and only such as apply to some models."""
    full = [window for window in windows if window.is_full]
    return bool(full) and all(window.scope is Scope.MODEL for window in full)


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


def capture_fields(reading: Reading, account_type: str | None, at: float, source: str = SOURCE) -> dict[str, Any]:
    """The log fields of a capture's or probe's reading, received at that instant (epoch seconds).

    The fields of the older format are always present.
    """
    windows = {window.name: window for window in reversed(reading.windows)}  # of two with one name the first
    of_5h, of_7d = windows.get("5h"), windows.get("7d")
    reset = _next_reset((windows.get(reading.binding or ""), of_5h, of_7d))
    return {
        "source": source,
        "type": account_type,
        "status": reading.status,
        "utilization_5h": None if of_5h is None else of_5h.utilization,
        "utilization_7d": None if of_7d is None else of_7d.utilization,
        **known_json(reading),
        "reset_in_seconds": None if reset is None else int(reset - at),
    }


def usage_fields(error: Reading | None, account_type: str | None) -> dict[str, Any]:
    """The log fields of a usage event. `error` is the reading of its error text, which no capture contains."""
    fields: dict[str, Any] = {"source": SOURCE} | ({} if error is None else known_json(error))
    return fields | ({} if account_type is None else {"type": account_type})


def _next_reset(windows: Iterable[Window | None]) -> float | None:
    """The first known reset. Readers of older logs expect that of the binding window, else of 5h, else of 7d."""
    for window in windows:
        if window is not None and window.resets_at is not None:
            return window.resets_at
    return None
