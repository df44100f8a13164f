"""From an event to the line that the log keeps: the event as it came, and what it says behind it.

An event that holds nothing but the schema is stored in the bytes in which it came, with the reading appended.
The same answer from the same account (headers, status, error) reads the same, so readings are remembered: in a
busy hour nearly every capture repeats the headers of an earlier one.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from tokmon import families, wire
from tokmon.accounts import Account, account_type
from tokmon.errors import WireError
from tokmon.headers import parse_rfc3339
from tokmon.model import Evidence, Reading
from tokmon.scrub import scrub
from tokmon.sidecar.lines import SOURCE, capture_fields, next_reset, suffix
from tokmon.sidecar.recent import Recent
from tokmon.snapshot import Observation, Stamp

_REMEMBERED: Final = 512
_FIRST: Final = datetime(2000, 1, 2, tzinfo=UTC)
_LAST: Final = datetime(2099, 12, 30, tzinfo=UTC)
_NOT_PLAIN: Final = (KeyError, *wire.NotStrict)
_KIND: Final = len('{"kind":"u')
_CAPTURE: Final = b'{"kind":"c'
_USAGE: Final = b'{"kind":"u'
"""How the lines begin that are worth remembering: the tail of one kind is not looked for in the other."""

_RECURS: Final = b',"provider":'
_TEXTS: Final = ("mission", "provider", "model", "member", "host", "api", "error", "origin")


@dataclass(slots=True)
class Told:
    """What one kind of event says: its reading, and that reading as the end of a line."""

    reading: Reading
    suffix: bytes
    provider: str | None
    model: str | None
    http_status: int | None
    log: list[bytes]
    """Where its line goes."""

    type: str | None = None

    end: bytes = b"}\n"
    """What recurs of the event, and what it says: a line is what changes every time, and this."""

    resets_at: datetime | None = None
    """When the binding window starts afresh, for `reset_in_seconds`."""

    changes: dict[str, str] = field(default_factory=dict)
    """Texts of the event that held something like a secret, cleaned."""

    headers: dict[str, str] | None = None
    """The allowed headers, where the event carried others too."""

    repeats: bool = True
    """Whether the same event at another time says the same (it names no waiting time)."""

    evidence: bool = False
    """Whether the snapshot has a use for it: every capture, and a usage event that tells of an error."""

    tail: bytes = b"\0"
    """What recurs of the event, as it comes."""

    latest: wire.Event | None = None
    """The newest such event that the snapshot has not taken yet."""


_NOTHING: Final = Told(Reading(), b"", None, None, None, log=[])


class Ingest:
    """Turns events into lines, in `pending` by kind of event, each event once.

    `accounts` is what models.json says, by provider name.
    """

    def __init__(self, accounts: dict[str, Account], recent: Recent, pending: dict[str, list[bytes]]) -> None:
        self.accounts = accounts
        self.recent = recent
        self.pending = pending
        self.news: list[Told] = []
        """Readings with evidence that the snapshot has not taken yet."""

        self._told: dict[bytes, Told] = {}

    def take(  # noqa: C901 - one loop for speed: each call would cost what it does
        self, lines: Iterable[bytes], refused: Callable[[int, bytes, WireError], None]
    ) -> None:
        """Take event lines; `refused` hears of each that is none, with its place among them (from 0).

        The one hot loop: an event says first what changes every time and from `provider` on what recurs
        (`wire`), so the second part is recognised and only the first is decoded. Both were valid where they were
        read, and an object is its members. Whatever is not plain in this way is read in full.
        """
        decode_head, young, old = wire.head, self.recent.young, self.recent.old
        last = {_USAGE: _NOTHING, _CAPTURE: _NOTHING}
        for place, line in enumerate(lines):
            kind = line[:_KIND]
            try:
                told = last[kind]
                if not line.endswith(told.tail):
                    told = last[kind] = self._told[kind + line[line.find(_RECURS) :]]
                head = line[: -len(told.tail)]
                event = decode_head(head + b"}")
                if not _FIRST < event.ts < _LAST:
                    raise KeyError(place)
            except _NOT_PLAIN:
                try:
                    self._read(line)
                except WireError as error:
                    refused(place, line, error)
                continue
            event_id = event.id
            if event_id in young or event_id in old:
                continue
            young.add(event_id)
            if told.evidence:
                latest = told.latest
                if latest is None:
                    self.news.append(told)
                    told.latest = event
                elif event.ts > latest.ts or (event.ts == latest.ts and event_id > latest.id):
                    told.latest = event
            if told.resets_at is None:
                told.log.append(head + told.end)
            else:
                wait = (told.resets_at - event.ts).total_seconds()
                told.log.append(b'%b,"reset_in_seconds":%d%b' % (head, wait, told.end))
        self.recent.turn()

    def _read(self, line: bytes) -> None:
        """Read a line in full, and remember what will recur. WireError if it is no event."""
        if len(line) > wire.MAX_LINE:
            raise WireError(f"a line has at most {wire.MAX_LINE} bytes", field="line")
        line = line.strip()
        event, as_sent = wire.decode(line)
        if not isinstance(event, (wire.Capture, wire.Usage)):
            raise WireError("`kind` must be an event here", field="kind")
        try:
            at = parse_rfc3339(event.ts.isoformat())
        except (ValueError, OverflowError) as error:
            raise WireError("not an instant of this century", field="ts") from error
        told = self._read_capture(event, at) if isinstance(event, wire.Capture) else self._read_usage(event, at)
        if not self.recent.add(event.id):
            return
        if told.evidence:
            self.news.append(told)
            told.latest = event
        stored = line
        if not as_sent or told.changes or told.headers is not None:
            stored = wire.rewritten(event, told.changes, told.headers)
        cut = stored.find(_RECURS)
        cut = cut if cut > 0 else len(stored) - 1
        told.tail = stored[cut:]
        told.end = b"%b%b}\n" % (told.tail[:-1], told.suffix)
        wait = (
            b"" if told.resets_at is None else b',"reset_in_seconds":%d' % (told.resets_at - event.ts).total_seconds()
        )
        told.log.append(b"%b%b%b" % (stored[:cut], wait, told.end))
        if stored is line and told.repeats and line[:_KIND] in {_CAPTURE, _USAGE} and len(told.tail) > 1:
            if len(self._told) >= _REMEMBERED:
                self._told.clear()
            self._told[line[:_KIND] + told.tail] = told

    def accounts_changed(self, accounts: dict[str, Account]) -> None:
        """models.json says something else now."""
        self.accounts = accounts
        self._told.clear()

    def observations(self) -> list[Observation]:
        """The news since the last call, one observation per reading: its newest event stands for the others."""
        news, self.news = self.news, []
        found = [_observation(told, told.provider, told.latest) for told in news if told.provider and told.latest]
        for told in news:
            told.latest = None
        return found

    def _read_capture(self, event: wire.Capture, at: float) -> Told:
        sent = wire.headers_of(event.headers)
        allowed = {name: scrub(value) for name, value in sent.items() if families.allowed(name)}
        changes = _cleaned(event)
        reading = families.read(Evidence(event.http_status, allowed, at, changes.get("error", event.error)))
        kind = self._type(event, event.key_shape, reading)
        resets_at = next_reset(reading)
        return Told(
            reading=reading,
            type=kind,
            suffix=suffix(capture_fields(reading, kind)),
            resets_at=None if resets_at is None else datetime.fromtimestamp(resets_at, UTC),
            changes=changes,
            headers=None if allowed == sent else allowed,
            repeats="retry-after" not in allowed,
            evidence=True,
            provider=changes.get("provider", event.provider),
            model=changes.get("model", event.model),
            http_status=event.http_status,
            log=self.pending["capture"],
        )

    def _read_usage(self, event: wire.Usage, at: float) -> Told:
        changes = _cleaned(event)
        said: dict[str, Any] = {"source": SOURCE}
        reading = Reading()
        if event.error is not None:
            reading = families.read(Evidence(None, {}, at, changes.get("error", event.error)))
            said |= {"status": reading.status, "substatus": reading.substatus, "scope": reading.scope}
        said["type"] = self._type(event, None, reading)
        end = suffix({name: value for name, value in said.items() if value is not None})
        return Told(
            reading=reading,
            type=said["type"],
            suffix=end,
            changes=changes,
            evidence=event.error is not None,
            provider=changes.get("provider", event.provider),
            model=changes.get("model", event.model),
            http_status=None,
            log=self.pending["usage"],
        )

    def _type(self, event: wire.Event, key_shape: str | None, reading: Reading) -> str | None:
        account = self.accounts.get(event.provider or "", Account())
        return account_type(account, api=event.api, key_shape=key_shape, family=reading.family)


def _cleaned(event: wire.Event) -> dict[str, str]:
    """The texts that hold something like a secret, without it. Ids are not looked at: pi makes them."""
    texts = {name: getattr(event, name, None) for name in _TEXTS}
    return {name: clean for name, text in texts.items() if text is not None and (clean := scrub(text)) != text}


def _observation(told: Told, provider: str, latest: wire.Event) -> Observation:
    """What the newest event of that kind says."""
    reading = told.reading
    return Observation(
        provider=provider,
        stamp=Stamp(latest.ts.timestamp(), latest.id, SOURCE),
        type=told.type,
        status=reading.status,
        substatus=reading.substatus,
        scope=reading.scope,
        model=told.model,
        http_status=told.http_status,
        claim=reading.claim,
        blocked_until=reading.blocked_until,
        windows=reading.windows,
        overage=reading.overage,
    )
