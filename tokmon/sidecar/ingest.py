"""From received bytes to log lines: each event as it was sent, with its reading appended, each event once.

An event without fields beyond the schema is stored in the bytes in which it came. Templates of events are cached, so
that only the changing fields of most events are decoded, and those of a whole batch of lines at once.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from operator import attrgetter
from typing import Final

from tokmon.errors import WireError
from tokmon.evidence.history import MINUTE_S
from tokmon.evidence.log_line import SOURCE, named_account
from tokmon.evidence.snapshot import Evidence, Stamp
from tokmon.pi.models_json import ConfiguredAccount
from tokmon.sidecar.dedup import RecentIds
from tokmon.sidecar.event_reader import EventReader
from tokmon.sidecar.group_commit import Pending
from tokmon.sidecar.templates import NO_TEMPLATE, Batch, EventTemplate
from tokmon.wire import messages

_MAX_TEMPLATES: Final = 512
_MAX_CACHED: Final = 4096
"""Bytes of a line whose template is cached: a hostile client must not fill the memory."""

_FIRST: Final = datetime(2000, 1, 2, tzinfo=UTC)
_LAST: Final = datetime(2099, 12, 30, tzinfo=UTC)
_INVALID: Final = _FIRST
_KIND: Final = len('{"kind":"u')
_CAPTURE: Final = b'{"kind":"c'
_USAGE: Final = b'{"kind":"u'
"""The beginnings of event lines. They are part of a template's key, since captures and usage events may end alike."""

_REPEATING: Final = b',"provider":'
_EMPTY: Final = WireError("an empty line", field="line")
_order: Final = attrgetter("ts", "id")

OnRefused = Callable[[int, bytes, WireError], None]
"""Called with the position of a refused line among the lines of one call (from 0), the line, and the error."""


class Ingest:
    """Turns event lines into log lines, collected in `pending` by kind of event.

    `accounts` holds the accounts of pi by name.
    """

    def __init__(self, accounts: dict[str, ConfiguredAccount], recent: RecentIds, pending: dict[str, Pending]) -> None:
        self.recent = recent
        self.pending = pending
        self.latest_events: dict[tuple[EventTemplate, int], messages.Event] = {}
        """Evidence that the snapshot does not have yet: the newest event of each template and minute."""

        self._reader = EventReader(accounts, pending)
        self._templates: dict[bytes, EventTemplate] = {}

    def add_lines(self, data: bytes, on_refused: OnRefused) -> tuple[int, int]:
        """Add the event lines in `data`, each ended by a newline. Returns the number of lines and of their bytes.

        The repeating fields of a line are looked up as bytes, and only its changing fields are decoded. The result
        is the same as that of decoding the whole line: both parts were valid when the template was made, and the
        order of fields in an object has no meaning. Any line that does not fit a template is decoded as a whole.
        """
        # `readlines` searches with memchr, which is faster than `split`.
        lines = BytesIO(data).readlines()
        rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        captures, usages = Batch(messages.decode_capture_heads), Batch(messages.decode_usage_heads)
        for position, line in enumerate(lines):
            if (head := line.removesuffix(captures.tail)) != line:
                captures.heads.append(head)
            elif (head := line.removesuffix(usages.tail)) != line:
                usages.heads.append(head)
            else:
                kind = line[:_KIND]
                batch = captures if kind == _CAPTURE else usages
                self._add_batch(batch, lines, position, on_refused)
                batch.start(self._templates.get(kind + line[line.find(_REPEATING) : -1], NO_TEMPLATE))
                if batch.template is not NO_TEMPLATE:
                    batch.heads.append(line.removesuffix(batch.tail))
                    continue
                if kind not in {_CAPTURE, _USAGE}:
                    # Earlier lines must be refused before this one.
                    self._add_batch(captures, lines, position, on_refused)
                self._add_line(position, line[:-1], on_refused)
        for batch in (captures, usages):
            self._add_batch(batch, lines, len(lines), on_refused)
        return len(lines), len(data) - len(rest)

    def _add_batch(self, batch: Batch, lines: list[bytes], until: int, on_refused: OnRefused) -> None:
        """Add the events of a batch: the lines before `until` with its tail. One by one if one is not valid."""
        template, heads = batch.template, batch.heads
        start, batch.since = batch.since, until
        if not heads:
            return
        events = batch.decoded() or []
        batch.heads = []
        times = [event.ts for event in events] or [_INVALID]
        oldest, newest = min(times), max(times)
        if not _FIRST < oldest <= newest < _LAST or not self.recent.add_all([event.id for event in events]):
            for position in range(start, until):
                if lines[position].endswith(batch.tail):
                    self._add_line(position, lines[position][:-1], on_refused)
            return
        if template.evidence and _minute(oldest) == _minute(newest):
            is_only = times.count(newest) == 1
            self._note_latest(template, events[times.index(newest)] if is_only else max(events, key=_order))
        elif template.evidence:
            for event in events:
                self._note_latest(template, event)
        end = template.end
        if template.resets_at is not None:
            reset = template.reset_field(newest)
            if template.reset_field(oldest) == reset:
                end = reset + end
            else:
                heads = [head + template.reset_field(ts) for head, ts in zip(heads, times, strict=True)]
        template.log.add(end.join((*heads, b"")), len(heads))

    def _add_line(self, position: int, line: bytes, on_refused: OnRefused) -> None:
        if not line:
            on_refused(position, line, _EMPTY)
            return
        try:
            self._decode_and_add(line)
        except WireError as error:
            on_refused(position, line, error)

    def _note_latest(self, template: EventTemplate, event: messages.Event) -> None:
        """Keep the event for the snapshot, unless a newer one of the same template and minute is kept."""
        key = (template, _minute(event.ts))
        latest = self.latest_events.get(key)
        if latest is None or (event.ts, event.id) > (latest.ts, latest.id):
            self.latest_events[key] = event

    def _decode_and_add(self, line: bytes) -> None:
        """Decode a whole line, add it, and cache its template. Raises WireError if it is not an event."""
        if len(line) > messages.MAX_LINE:
            raise WireError(f"a line has at most {messages.MAX_LINE} bytes", field="line")
        line = line.strip()
        event, as_sent = messages.decode(line)
        if not isinstance(event, (messages.Capture, messages.Usage)):
            raise WireError("`kind` must be an event here", field="kind")
        if not _FIRST < event.ts < _LAST:
            raise WireError("the instant must be between the years 2000 and 2100", field="ts")
        template = self._reader.read(event)
        if not self.recent.add(event.id):
            return
        if template.evidence:
            self._note_latest(template, event)
        stored = line
        if not as_sent or template.changes or template.headers is not None:
            stored = messages.re_encode(event, template.changes, template.headers)
        cut = stored.find(_REPEATING)
        cut = cut if cut > 0 else len(stored) - 1
        template.tail = stored[cut:]
        template.end = b"%b%b}\n" % (template.tail[:-1], template.suffix)
        template.log.add(b"%b%b%b" % (stored[:cut], template.reset_field(event.ts), template.end), 1)
        if stored is line and template.reusable:
            self._cache(line, template)

    def _cache(self, line: bytes, template: EventTemplate) -> None:
        kind = line[:_KIND]
        if len(line) > _MAX_CACHED or kind not in {_CAPTURE, _USAGE} or len(template.tail) <= 1:
            return
        if len(self._templates) >= _MAX_TEMPLATES:
            self._templates.clear()
        self._templates[kind + template.tail] = template

    def set_accounts(self, accounts: dict[str, ConfiguredAccount]) -> None:
        """Use other accounts from now on."""
        self._reader.set_accounts(accounts)
        self._templates.clear()

    def drain_evidence(self) -> list[Evidence]:
        """The evidence since the last call: the newest event of each template and minute."""
        events, self.latest_events = self.latest_events, {}
        return [
            _evidence(template, template.provider, event)
            for (template, _), event in events.items()
            if template.provider
        ]


def _minute(ts: datetime) -> int:
    """The minute of the epoch. Of equal readings within one minute, `History` needs the newest only."""
    return int(ts.timestamp() // MINUTE_S)


def _evidence(template: EventTemplate, provider: str, event: messages.Event) -> Evidence:
    reading = template.reading
    return Evidence(
        provider=provider,
        stamp=Stamp(round(event.ts.timestamp(), 3), event.id, SOURCE),
        type=template.type,
        status=reading.status,
        substatus=reading.substatus,
        scope=reading.scope,
        model=template.model,
        http_status=template.http_status,
        claim=reading.claim,
        binding=reading.binding,
        blocked_until=reading.blocked_until,
        windows=reading.windows,
        overage=reading.overage,
        plan=reading.plan,
        credits=reading.credits,
        account=named_account(template.type, template.account, reading.account),
        credential=template.credential,
    )
