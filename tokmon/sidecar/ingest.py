"""From an event to the line that the log keeps: the event as it came, and what it says behind it.

An event that holds nothing but the schema is stored in the bytes in which it came, with the reading appended.
The same answer from the same account (headers, status, error) reads the same, so readings are remembered: in a
busy hour nearly every capture repeats the headers of an earlier one.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from tokmon import families, store, wire
from tokmon.accounts import Account, account_type
from tokmon.errors import WireError
from tokmon.headers import parse_rfc3339, rfc3339
from tokmon.model import Evidence, Reading
from tokmon.scrub import scrub
from tokmon.snapshot import Observation, Stamp, overage_json, window_json

_REMEMBERED: Final = 2_048
_SOURCE: Final = "piggyback"
_TEXTS: Final = ("mission", "provider", "model", "member", "host", "api", "error")


@dataclass(slots=True)
class Told:
    """What one kind of event says: its reading, and that reading as the end of a line."""

    reading: Reading
    type: str | None
    suffix: bytes
    resets_at: float | None = None
    """When the binding window starts afresh, for `reset_in_seconds`."""

    changes: dict[str, str] = field(default_factory=dict)
    """Texts of the event that held something like a secret, cleaned."""

    headers: dict[str, str] | None = None
    """The allowed headers, where the event carried others too."""

    repeats: bool = True
    """Whether the same event at another time says the same (it names no waiting time)."""

    latest: wire.Event | None = None
    latest_at: float = 0.0
    """The newest such event that the snapshot has not taken yet."""


class Ingest:
    """Turns events into lines. `accounts` is what models.json says, by provider name."""

    def __init__(self, accounts: dict[str, Account]) -> None:
        self.accounts = accounts
        self.news: list[Told] = []
        """Readings with evidence that the snapshot has not taken yet."""

        self._told: dict[tuple[object, ...], Told] = {}
        self._seconds: dict[str, float] = {}

    def capture(self, event: wire.Capture, raw: bytes | None) -> bytes:
        """The line of a capture; `raw` is the event as it came if it holds nothing but the schema, else None.

        WireError if a header or the instant is not one.
        """
        at = self._epoch(event.ts)
        key = (event.provider, event.model, event.api, event.member, event.host, event.mission, event.error,
               event.key_shape, event.http_status, bytes(event.headers))  # fmt: skip
        told = self._told.get(key)
        if told is None:
            told = self._read_capture(event, at)
            self._remember(key, told)
        self._note(told, event, at)
        if raw is None or told.headers is not None or told.changes:
            raw = wire.encode(wire.changed(event, told.changes, headers=told.headers))[:-1]
        if told.resets_at is None:
            return b"%b%b}\n" % (raw[:-1], told.suffix)
        return b'%b%b,"reset_in_seconds":%d}\n' % (raw[:-1], told.suffix, told.resets_at - at)

    def usage(self, event: wire.Usage, raw: bytes | None) -> bytes:
        """The line of a usage event, likewise."""
        at = self._epoch(event.ts)
        key = (event.provider, event.model, event.api, event.member, event.host, event.mission, event.error)
        told = self._told.get(key)
        if told is None:
            told = self._read_usage(event, at)
            self._remember(key, told)
        if event.error is not None:
            self._note(told, event, at)
        if raw is None or told.changes:
            raw = wire.encode(wire.changed(event, told.changes))[:-1]
        return b"%b%b}\n" % (raw[:-1], told.suffix)

    def accounts_changed(self, accounts: dict[str, Account]) -> None:
        """models.json says something else now."""
        self.accounts = accounts
        self._told.clear()

    def observations(self) -> list[Observation]:
        """The news since the last call, one observation per reading: its newest event stands for the others."""
        news, self.news = self.news, []
        found = []
        for told in news:
            event, told.latest = told.latest, None
            if event is not None and event.provider:
                found.append(_observation(told, event))
        return found

    def _note(self, told: Told, event: wire.Event, at: float) -> None:
        latest = told.latest
        if latest is None:
            self.news.append(told)
        elif at < told.latest_at or (at == told.latest_at and event.id < latest.id):
            return
        told.latest = event
        told.latest_at = at

    def _remember(self, key: tuple[object, ...], told: Told) -> None:
        if told.repeats:
            if len(self._told) >= _REMEMBERED:
                self._told.clear()
            self._told[key] = told

    def _epoch(self, ts: str) -> float:
        """Epoch seconds of an event's instant; the whole second is remembered. WireError if it is none."""
        second = self._seconds.get(ts[:19])
        fraction = ts[19:-1]
        if second is None or ts[-1] != "Z" or not (not fraction or (fraction[0] == "." and fraction[1:].isdigit())):
            try:
                second = parse_rfc3339(ts)
            except ValueError as error:
                raise WireError(str(error), field="ts") from error
            if len(self._seconds) >= _REMEMBERED:
                self._seconds.clear()
            self._seconds[ts[:19]] = float(int(second))
            return second
        return second + float(fraction) if fraction else second

    def _read_capture(self, event: wire.Capture, at: float) -> Told:
        sent = wire.headers_of(event.headers)
        allowed = {name: value for name, value in sent.items() if families.allowed(name)}
        changes = _cleaned(event)
        reading = families.read(Evidence(event.http_status, allowed, at, changes.get("error", event.error)))
        kind = self._type(event, event.key_shape, reading)
        return Told(
            reading=reading,
            type=kind,
            suffix=_suffix(_capture_fields(reading, kind)),
            resets_at=_next_reset(reading),
            changes=changes,
            headers=None if allowed == sent else allowed,
            repeats="retry-after" not in allowed,
        )

    def _read_usage(self, event: wire.Usage, at: float) -> Told:
        changes = _cleaned(event)
        said: dict[str, Any] = {"source": _SOURCE}
        reading = Reading()
        if event.error is not None:
            reading = families.read(Evidence(None, {}, at, changes.get("error", event.error)))
            said |= {"status": reading.status, "substatus": reading.substatus, "scope": reading.scope}
        said["type"] = self._type(event, None, reading)
        suffix = _suffix({name: value for name, value in said.items() if value is not None})
        return Told(reading, said["type"], suffix, changes=changes)

    def _type(self, event: wire.Event, key_shape: str | None, reading: Reading) -> str | None:
        account = self.accounts.get(event.provider or "", Account())
        return account_type(account, api=event.api, key_shape=key_shape, family=reading.family)


def _cleaned(event: wire.Event) -> dict[str, str]:
    """The texts that hold something like a secret, without it. Ids are not looked at: pi makes them."""
    texts = {name: getattr(event, name) for name in _TEXTS}
    return {name: clean for name, text in texts.items() if text is not None and (clean := scrub(text)) != text}


def _suffix(fields: dict[str, Any]) -> bytes:
    """`,"a":1,"b":2`, to go between an event and its closing brace."""
    return b"," + store.encode(fields)[1:-1]


def _capture_fields(reading: Reading, kind: str | None) -> dict[str, Any]:
    """What a capture says, in the names of the log; the older format's fields are always there."""
    said: dict[str, Any] = {
        "source": _SOURCE,
        "type": kind,
        "status": reading.status,
        "utilization_5h": _utilization(reading, "5h"),
        "utilization_7d": _utilization(reading, "7d"),
    }
    more: dict[str, Any] = {
        "substatus": reading.substatus,
        "scope": reading.scope,
        "claim": reading.claim,
        "binding_window": reading.binding,
        "windows": [window_json(window) for window in reading.windows] or None,
        "overage": None if reading.overage is None else overage_json(reading.overage),
        "billing": reading.billing,
        "retry_after_s": reading.retry_after_s,
        "blocked_until": None if reading.blocked_until is None else rfc3339(reading.blocked_until),
        "account": reading.account,
        "family": reading.family,
        "warnings": list(reading.warnings) or None,
    }
    said.update((name, value) for name, value in more.items() if value is not None)
    if _next_reset(reading) is None:
        said["reset_in_seconds"] = None
    return said


def _utilization(reading: Reading, name: str) -> float | None:
    window = reading.window(name)
    return None if window is None else window.utilization


def _next_reset(reading: Reading) -> float | None:
    """When the binding window starts afresh; without a claim, the 5h window, as older readers expect."""
    for name in (reading.binding, "5h", "7d"):
        window = reading.window(name) if name else None
        if window is not None and window.resets_at is not None:
            return window.resets_at
    return None


def _observation(told: Told, event: wire.Event) -> Observation:
    reading = told.reading
    return Observation(
        provider=event.provider or "",
        stamp=Stamp(told.latest_at, event.id, _SOURCE),
        type=told.type,
        status=reading.status,
        substatus=reading.substatus,
        scope=reading.scope,
        model=event.model,
        http_status=event.http_status if isinstance(event, wire.Capture) else None,
        claim=reading.claim,
        blocked_until=reading.blocked_until,
        windows=reading.windows,
        overage=reading.overage,
    )
