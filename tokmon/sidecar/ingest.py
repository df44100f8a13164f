"""From an event to the line that the log keeps: the event as it came, and what it says behind it.

An event that holds nothing but the schema is stored in the bytes in which it came, with the reading appended.
The same answer from the same account (headers, status, error) reads the same, so readings are remembered: in a
busy hour nearly every capture repeats the headers of an earlier one.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from operator import attrgetter
from typing import Final

from tokmon import families
from tokmon.errors import WireError
from tokmon.evidence.history import MINUTE_S
from tokmon.evidence.log_line import SOURCE, next_reset, usage_fields
from tokmon.evidence.model import RawResponse, Reading
from tokmon.evidence.snapshot import Evidence, Stamp
from tokmon.pi.models_json import Account, account_type
from tokmon.sidecar.dedup import RecentIds
from tokmon.sidecar.group_commit import Pending
from tokmon.sidecar.templates import NOTHING, Batch, EventTemplate, ParsedResponse, suffix
from tokmon.wire import messages
from tokmon.wire.scrub import scrub

_REMEMBERED: Final = 512
_SHARED: Final = 64
_LONGEST: Final = 4096
"""Bytes of a line worth remembering: what a hostile client says is not to fill the memory."""

_FIRST: Final = datetime(2000, 1, 2, tzinfo=UTC)
_LAST: Final = datetime(2099, 12, 30, tzinfo=UTC)
_NEVER: Final = _FIRST
_KIND: Final = len('{"kind":"u')
_CAPTURE: Final = b'{"kind":"c'
_USAGE: Final = b'{"kind":"u'
"""How the lines begin that are worth remembering: the tail of one kind is not looked for in the other."""

_RECURS: Final = b',"provider":'
_order: Final = attrgetter("ts", "id")
_TEXTS: Final = ("mission", "provider", "model", "member", "host", "api", "error", "origin")


Refused = Callable[[int, bytes, WireError], None]


class Ingest:
    """Turns events into lines, in `pending` by kind of event, each event once.

    `accounts` is what models.json says, by provider name.
    """

    def __init__(self, accounts: dict[str, Account], recent: RecentIds, pending: dict[str, Pending]) -> None:
        self.accounts = accounts
        self.recent = recent
        self.pending = pending
        self.latest_events: dict[tuple[EventTemplate, int], messages.Event] = {}
        """Readings with evidence that the snapshot has not taken yet, by minute, and the newest event of each."""

        self._templates: dict[bytes, EventTemplate] = {}
        self._responses: dict[tuple[object, ...], ParsedResponse] = {}
        self._types: dict[tuple[str | None, ...], str | None] = {}

    def add_lines(self, data: bytes, refused: Refused) -> tuple[int, int]:
        """Take event lines, each ended by a newline; returns how many, and how many bytes.

        `refused` hears of each line that is no event, with its place among them (from 0).

        An event says first what changes every time and from `provider` on what recurs (`wire`), so the second
        part is recognised and only the first is decoded, that of a whole run of lines at once. Both were valid
        where they were read, and an object is its members. Whatever is not plain in this way is read in full.
        """
        # By `memchr`, where `split` looks at byte after byte.
        lines = BytesIO(data).readlines()
        rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        captures, usages = Batch(messages.decode_capture_heads), Batch(messages.decode_usage_heads)
        for place, line in enumerate(lines):
            if (head := line.removesuffix(captures.tail)) != line:
                captures.heads.append(head)
            elif (head := line.removesuffix(usages.tail)) != line:
                usages.heads.append(head)
            else:
                kind = line[:_KIND]
                run = captures if kind == _CAPTURE else usages
                self._take_run(run, lines[:place], refused)
                run.goes_on(self._templates.get(kind + line[line.find(_RECURS) : -1], NOTHING))
                if run.told is not NOTHING:
                    run.heads.append(line.removesuffix(run.tail))
                    continue
                if kind not in {_CAPTURE, _USAGE}:
                    # What `refused` hears of it is to come after what was before it.
                    self._take_run(captures, lines[:place], refused)
                self._take_one(place, line[:-1], refused)
        for run in (captures, usages):
            self._take_run(run, lines, refused)
        self.recent.rotate()
        return len(lines), len(data) - len(rest)

    def _take_run(self, run: Batch, lines: list[bytes], refused: Refused) -> None:
        """Take the last of `lines` that end alike at once; one by one if a single one of them is not plain."""
        told, heads = run.told, run.heads
        if not heads:
            return
        events = run.decoded() or []
        run.heads = []
        times = [event.ts for event in events] or [_NEVER]
        oldest, newest = min(times), max(times)
        if not _FIRST < oldest <= newest < _LAST or not self.recent.add_all([event.id for event in events]):
            places = [place for place, line in enumerate(lines) if line.endswith(run.tail)][-len(heads) :]
            for place in places:
                self._take_one(place, lines[place][:-1], refused)
            return
        if told.evidence and _minute(oldest) == _minute(newest):
            only = times.count(newest) == 1
            self._latest(told, events[times.index(newest)] if only else max(events, key=_order))
        elif told.evidence:
            for event in events:
                self._latest(told, event)
        end = told.end
        if told.resets_at is not None:
            wait = told.wait(newest)
            if told.wait(oldest) == wait:
                end = wait + end
            else:
                heads = [head + told.wait(ts) for head, ts in zip(heads, times, strict=True)]
        told.log.add(end.join((*heads, b"")), len(heads))

    def _take_one(self, place: int, line: bytes, refused: Refused) -> None:
        try:
            self._read(line)
        except WireError as error:
            refused(place, line, error)

    def _latest(self, told: EventTemplate, event: messages.Event) -> None:
        """The snapshot is to hear of that event, unless a newer one of that minute says the same."""
        of = (told, _minute(event.ts))
        latest = self.latest_events.get(of)
        if latest is None or (event.ts, event.id) > (latest.ts, latest.id):
            self.latest_events[of] = event

    def _read(self, line: bytes) -> None:
        """Read a line in full, and remember what will recur. WireError if it is no event."""
        if len(line) > messages.MAX_LINE:
            raise WireError(f"a line has at most {messages.MAX_LINE} bytes", field="line")
        line = line.strip()
        event, as_sent = messages.decode(line)
        if not isinstance(event, (messages.Capture, messages.Usage)):
            raise WireError("`kind` must be an event here", field="kind")
        if not _FIRST < event.ts < _LAST:
            raise WireError("not an instant of this century", field="ts")
        at = event.ts.timestamp()
        told = self._read_capture(event, at) if isinstance(event, messages.Capture) else self._read_usage(event, at)
        if not self.recent.add(event.id):
            return
        if told.evidence:
            self._latest(told, event)
        stored = line
        if not as_sent or told.changes or told.headers is not None:
            stored = messages.re_encode(event, told.changes, told.headers)
        cut = stored.find(_RECURS)
        cut = cut if cut > 0 else len(stored) - 1
        told.tail = stored[cut:]
        told.end = b"%b%b}\n" % (told.tail[:-1], told.suffix)
        told.log.add(b"%b%b%b" % (stored[:cut], told.wait(event.ts), told.end), 1)
        if (
            stored is line
            and told.repeats
            and len(line) <= _LONGEST
            and line[:_KIND] in {_CAPTURE, _USAGE}
            and len(told.tail) > 1
        ):
            if len(self._templates) >= _REMEMBERED:
                self._templates.clear()
            self._templates[line[:_KIND] + told.tail] = told

    def set_accounts(self, accounts: dict[str, Account]) -> None:
        """models.json says something else now."""
        self.accounts = accounts
        self._templates.clear()
        self._responses.clear()
        self._types.clear()

    def drain_evidence(self) -> list[Evidence]:
        """The news since the last call, one per reading and minute: its newest event stands for the others."""
        news, self.latest_events = self.latest_events, {}
        return [_evidence(told, told.provider, event) for (told, _), event in news.items() if told.provider]

    def _read_capture(self, event: messages.Capture, at: float) -> EventTemplate:
        changes = self._cleaned(event)
        error = changes.get("error", event.error)
        configured = self._type(event, event.key_shape, None)
        # Sessions of one account share its headers: what one was told, another need not be read again.
        of = (bytes(event.headers), event.http_status, error, bytes(event.frame), configured)
        meaning = self._responses.get(of)
        if meaning is None:
            meaning = self._meaning(event, at, error, configured)
            if meaning.repeats and len(event.headers) + len(event.frame) <= _LONGEST:
                if len(self._responses) >= _SHARED:
                    self._responses.clear()
                self._responses[of] = meaning
        kind = self._type(event, event.key_shape, meaning.reading.family)
        return EventTemplate(
            reading=meaning.reading,
            type=kind,
            suffix=meaning.suffix(kind),
            resets_at=meaning.resets_at,
            changes=changes,
            headers=meaning.headers,
            repeats=meaning.repeats,
            evidence=True,
            provider=changes.get("provider", event.provider),
            model=changes.get("model", event.model),
            http_status=event.http_status,
            log=self.pending["capture"],
        )

    @staticmethod
    def _meaning(event: messages.Capture, at: float, error: str | None, configured: str | None) -> ParsedResponse:
        sent = messages.headers_of(event.headers)
        allowed = {name: scrub(value) for name, value in sent.items() if families.allowed(name)}
        evidence = RawResponse(event.http_status, allowed, at, error, configured, messages.frame_of(event.frame))
        reading = families.read(evidence)
        resets_at = next_reset(reading)
        return ParsedResponse(
            reading=reading,
            headers=None if allowed == sent else allowed,
            repeats=families.is_timeless(evidence, reading),
            resets_at=None if resets_at is None else datetime.fromtimestamp(resets_at, UTC),
        )

    def _read_usage(self, event: messages.Usage, at: float) -> EventTemplate:
        changes = self._cleaned(event)
        kind = self._type(event, None, None)
        evidence = RawResponse(None, {}, at, changes.get("error", event.error), kind)
        reading = Reading() if event.error is None else families.read(evidence)
        return EventTemplate(
            reading=reading,
            type=kind,
            suffix=suffix(usage_fields(None if event.error is None else reading, kind)),
            changes=changes,
            repeats=event.error is None or families.is_timeless(evidence, reading),
            evidence=event.error is not None,
            provider=changes.get("provider", event.provider),
            model=changes.get("model", event.model),
            http_status=None,
            log=self.pending["usage"],
        )

    def _type(self, event: messages.Event, key_shape: str | None, family: str | None) -> str | None:
        of = (event.provider, event.api, key_shape, family)
        if of not in self._types:
            if len(self._types) >= _REMEMBERED:
                self._types.clear()
            account = self.accounts.get(event.provider or "", Account())
            self._types[of] = account_type(account, api=event.api, key_shape=key_shape, family=family)
        return self._types[of]

    def _cleaned(self, event: messages.Event) -> dict[str, str]:
        """The texts that hold something like a secret, without it. Ids are not looked at: pi makes them.

        A provider of models.json is called what it is called there (`xai-production`), or it would be another one.
        """
        texts = {name: getattr(event, name, None) for name in _TEXTS}
        if event.provider in self.accounts:
            del texts["provider"]
        return {name: clean for name, text in texts.items() if text is not None and (clean := scrub(text)) != text}


def _minute(ts: datetime) -> int:
    """The minute of the epoch: within one, of events that say the same the newest says it all (`history`)."""
    return int(ts.timestamp() // MINUTE_S)


def _evidence(told: EventTemplate, provider: str, latest: messages.Event) -> Evidence:
    """What the newest event of that kind says."""
    reading = told.reading
    return Evidence(
        provider=provider,
        stamp=Stamp(round(latest.ts.timestamp(), 3), latest.id, SOURCE),
        type=told.type,
        status=reading.status,
        substatus=reading.substatus,
        scope=reading.scope,
        model=told.model,
        http_status=told.http_status,
        claim=reading.claim,
        binding=reading.binding,
        blocked_until=reading.blocked_until,
        windows=reading.windows,
        overage=reading.overage,
        plan=reading.plan,
        credits=reading.credits,
    )
