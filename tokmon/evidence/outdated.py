"""Log lines that cannot change a snapshot, recognised without reading them in full.

Logs are read from their ends, so nearly every line is older than one that fills the same parts of the same account.
Which parts a line fills follows from a few of its fields. If a newer line with the same fields has been folded in,
the older one loses everywhere but in the history, which looks at more than the newest line: it keeps one sample a
quarter of an hour and one key refusal a minute. There a newer line of the same minute outranks it, and a line from
before the oldest entry of a full history does not enter.

A line that cannot be judged like this is read in full. So this changes how long reading takes, and no result.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Final

import msgspec

from tokmon.evidence.identities import SEAT
from tokmon.evidence.log_line import CHECK, Evidence, is_bill
from tokmon.evidence.model import Status, Window
from tokmon.evidence.snapshot import Snapshot
from tokmon.wire.instants import parse_rfc3339, rfc3339

_MOST: Final = 16384
"""Keys that are remembered: a few megabytes."""

_SECONDS: Final = len("0000-00-00T00:00:00Z")
_MILLISECONDS: Final = len("0000-00-00T00:00:00.000Z")
_MINUTE: Final = len("0000-00-00T00:00")
_5H_7D: Final = ("5h", "7d")
_5H: Final = ("5h",)
_7D: Final = ("7d",)
"""The windows that a line of the older format has a utilization of."""


Key = tuple[object, ...]
"""The fields of a line that decide which parts of an account it fills."""


class _Window(msgspec.Struct, gc=False):
    name: str | None = None
    utilization: float | None = None
    status: str | None = None
    remaining: float | None = None
    scope: str | None = None
    resets_at: object = None


class _Object(msgspec.Struct, gc=False):
    """An object with any content."""


class _Line(msgspec.Struct, gc=False):
    provider: str | None = None
    ts: str | None = None
    source: str | None = None
    kind: str | None = None
    error_captured: object = None
    status: str | None = None
    scope: str | None = None
    substatus: str | None = None
    model: str | None = None
    type: str | None = None
    account: str | None = None
    account_hint: str | None = None
    credential: str | None = None
    plan: str | None = None
    claim: str | None = None
    binding_window: str | None = None
    windows: list[_Window] | None = None
    overage: _Object | None = None
    credits: _Object | None = None
    utilization_5h: float | None = None
    utilization_7d: float | None = None
    account_status: str | None = None
    error: str | None = None
    reason: str | None = None


_decode: Final = msgspec.json.Decoder(_Line).decode
_UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@dataclass(slots=True)
class _Known:
    """Instants up to which lines with one key are outdated: at any time, and within a minute."""

    before: str = ""
    in_minute: dict[str, str] = field(default_factory=dict)


class OutdatedLines:
    """The lines folded into a snapshot so far, as far as they make older lines outdated.

    One object serves one pass over the logs; the snapshot must not be replaced meanwhile, but may grow.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._known: dict[Key, _Known] = {}
        self._size = 0

    def skip(self, lines: list[bytes]) -> Iterator[tuple[bytes, Key | None]]:
        """Yield the lines that are not outdated, the last one first, each with its key for `add`.

        Call `add` before taking the next line: it may make that one outdated.
        """
        get = self._known.get
        for data in reversed(lines):
            try:
                line = _decode(data)
            except _UNDECODABLE:
                yield data, None
                continue
            ts = line.ts
            if not ts or not line.provider or is_bill(line.kind, line.status, line.error_captured):
                continue
            if len(ts) != _MILLISECONDS:
                ts = _sortable(ts)
            key = _key(line)
            known = get(key)
            if known is None or (ts >= known.before and ts >= known.in_minute.get(ts[:_MINUTE], "")):
                yield data, key

    def add(self, key: Key | None, evidence: Evidence) -> None:
        """Remember that a line with this key has been read and folded into the snapshot."""
        if key is None or key[0] != _parts(evidence.windows):
            return  # the line fills fewer parts than its key promises
        if self._size >= _MOST:
            self._known.clear()
            self._size = 0
        self._size += 1
        known = self._known.setdefault(key, _Known())
        instant = evidence.stamp.ts
        since = self._snapshot.begins(evidence)
        if since > -inf:
            known.before = max(known.before, _limit(min(instant, since)))
        if since < instant:
            minute = rfc3339(instant)[:_MINUTE]
            known.in_minute[minute] = max(known.in_minute.get(minute, ""), _limit(instant))


def _key(line: _Line) -> Key:
    windows = line.windows
    parts: tuple[object, ...]
    # This runs for every line of a log, so it is written out: the windows as in `_parts`.
    if windows is not None:
        parts = tuple(
            [
                window.name
                if (used := window.utilization) is not None
                and used < 1
                and window.scope is None
                and window.remaining is None
                and window.status != Status.REJECTED
                else _part(window)
                for window in windows
            ]
        )
    elif (line.utilization_5h or 0) >= 1 or (line.utilization_7d or 0) >= 1:
        older = (_Window("5h", line.utilization_5h), _Window("7d", line.utilization_7d))
        parts = tuple([_part(window) for window in older if window.utilization is not None])
    elif line.utilization_5h is not None:
        parts = _5H if line.utilization_7d is None else _5H_7D
    else:
        parts = () if line.utilization_7d is None else _7D
    key = (
        parts,
        line.provider,
        line.source,
        line.status,
        line.scope,
        line.substatus,
        line.model,
        line.type,
        line.account or line.account_hint,
        line.credential,
        _seat(windows) if line.type == SEAT and windows else None,
        line.plan,
        line.claim,
        line.binding_window,
        line.overage is None,
        line.credits is None,
    )
    return key if line.source != CHECK else (*key, line.account_status, line.error, line.reason)


def slot(evidence: Evidence) -> Key:
    """The same of evidence: of two with one key and of one minute, the newer stands for both."""
    return (
        _parts(evidence.windows),
        evidence.provider,
        evidence.stamp.source,
        evidence.status,
        evidence.scope,
        evidence.substatus,
        evidence.model,
        evidence.type,
        evidence.account,
        evidence.credential,
        _seat(evidence.windows) if evidence.type == SEAT else None,
        evidence.plan,
        evidence.claim,
        evidence.binding,
        evidence.overage is None,
        evidence.credits is None,
    )


def _seat(windows: Iterable[_Window | Window]) -> Key:
    """The ends of the windows, which tell the seats of one organisation apart, as they are written."""
    return tuple([str(window.resets_at) for window in windows if window.name in _5H_7D])


def _parts(windows: Iterable[Window]) -> tuple[object, ...]:
    """The windows as parts of an account."""
    return tuple([_part(window) for window in windows])


def _part(window: _Window | Window) -> object:
    """The name alone, unless it fills no sample, is used up, or is of some models."""
    used = window.utilization
    full = window.status == Status.REJECTED or window.remaining == 0 or (used or 0) >= 1
    return (
        window.name
        if used is not None and not full and window.scope is None
        else (window.name, used is None, full, window.scope)
    )


def _sortable(ts: str) -> str:
    """The instant as a text that is less than a limit only if the instant is; "" if it is none (and no evidence)."""
    if len(ts) == _SECONDS or ts.endswith("+00:00"):
        return ts[: _SECONDS - 1] + "Z"
    try:
        return rfc3339(parse_rfc3339(ts))[: _SECONDS - 1] + "Z"
    except ValueError:
        return ""


def _limit(instant: float) -> str:
    """A text that is greater than those of older instants only.

    Never a whole second: a text of seconds alone may be rounded up to one, and midnight may be written as 24:00.
    """
    text = rfc3339(instant)
    return text if len(text) == _MILLISECONDS else rfc3339(instant - 0.001)
