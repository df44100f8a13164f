"""Event templates: the fields that repeat between events, pre-encoded, with the reading parsed from them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from tokmon.evidence.log_line import capture_fields
from tokmon.evidence.model import Reading
from tokmon.sidecar.group_commit import Pending
from tokmon.store.codec import encode
from tokmon.wire import messages


def encode_suffix(fields: dict[str, Any]) -> bytes:
    """`,"a":1,"b":2`: fields encoded for the place before an event's closing brace."""
    return b"," + encode(fields)[1:-1]


@dataclass(slots=True, eq=False)
class ParsedResponse:
    """The reading of a response, shared by all sessions that get the same headers, status and error."""

    reading: Reading
    headers: dict[str, str] | None
    """The allowed headers, scrubbed; None if they are equal to those that were sent."""

    timeless: bool
    """True if the same response at another time gives the same reading."""

    resets_at: datetime | None
    suffixes: dict[str | None, bytes] = field(default_factory=dict)
    """The encoded log fields, by account type."""

    def suffix(self, account_type: str | None) -> bytes:
        """The log fields of the reading for that account type, encoded."""
        if account_type not in self.suffixes:
            self.suffixes[account_type] = encode_suffix(capture_fields(self.reading, account_type))
        return self.suffixes[account_type]


@dataclass(slots=True, eq=False)
class EventTemplate:
    """The repeating fields of one kind of event: its reading, and the end of its log line."""

    reading: Reading
    suffix: bytes
    """The log fields of the reading, encoded."""

    provider: str | None
    model: str | None
    http_status: int | None
    log: Pending
    """The log that its lines go to."""

    type: str | None = None
    account: str | None = None
    """The account that the event names."""

    credential: str | None = None
    """The hash of the key that the event names."""

    end: bytes = b"}\n"
    """The end of its log line: the repeating fields of the event, then the log fields of the reading."""

    resets_at: datetime | None = None
    """The next reset of the binding window, from which `reset_in_seconds` is computed."""

    changes: dict[str, str] = field(default_factory=dict)
    """Texts of the event that held a secret, scrubbed."""

    headers: dict[str, str] | None = None
    """The allowed headers, if the event has others too."""

    reusable: bool = True
    """True if the template holds for the same event at another time."""

    evidence: bool = False
    """True if the event is evidence for the snapshot: a capture, or a usage event with an error."""

    tail: bytes = b"\n"
    """The repeating fields of the event as they were received, up to the closing brace; by default no line's end."""

    def reset_field(self, at: datetime) -> bytes:
        """The field `reset_in_seconds` of an event at that instant, encoded; empty if no reset is known."""
        return b"" if self.resets_at is None else b',"reset_in_seconds":%d' % (self.resets_at - at).total_seconds()


NO_TEMPLATE: Final = EventTemplate(Reading(), b"", None, None, None, log=Pending())


@dataclass(slots=True)
class Batch:
    """The heads (changing fields) of consecutive events of one template."""

    decode: Callable[[bytes], list[messages.Event]]
    template: EventTemplate = NO_TEMPLATE
    tail: bytes = NO_TEMPLATE.tail + b"\n"
    heads: list[bytes] = field(default_factory=list)
    since: int = 0
    """Number of the line from which the lines with this tail are those of the batch."""

    def decoded(self) -> list[messages.Event] | None:
        """The events of the batch, one for each head; None if one of the heads is not valid by itself.

        The number of events is compared, so that two invalid heads cannot complete each other.
        """
        try:
            events = self.decode(b"}\n".join(self.heads) + b"}")
        except messages.DECODE_ERRORS:
            return None
        return events if len(events) == len(self.heads) else None

    def start(self, template: EventTemplate) -> None:
        """Start a new batch with this template."""
        self.template, self.tail = template, template.tail + b"\n"
