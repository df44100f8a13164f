"""What recurs from event to event: the part of a line that says the same again, and what that means."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from tokmon import store
from tokmon.evidence.log_line import capture_fields
from tokmon.evidence.model import Reading
from tokmon.sidecar.group_commit import Pending
from tokmon.wire import messages


def suffix(fields: dict[str, Any]) -> bytes:
    """`,"a":1,"b":2`, to go between an event and its closing brace."""
    return b"," + store.encode(fields)[1:-1]


@dataclass(slots=True, eq=False)
class ParsedResponse:
    """What a response says, whichever session it came to: `repeats` as of `Told`, `headers` likewise."""

    reading: Reading
    headers: dict[str, str] | None
    repeats: bool
    resets_at: datetime | None
    suffixes: dict[str | None, bytes] = field(default_factory=dict)

    def suffix(self, kind: str | None) -> bytes:
        """The reading as the end of a line, of an account of that type."""
        if kind not in self.suffixes:
            self.suffixes[kind] = suffix(capture_fields(self.reading, kind))
        return self.suffixes[kind]


@dataclass(slots=True, eq=False)
class EventTemplate:
    """What one kind of event says: its reading, and that reading as the end of a line."""

    reading: Reading
    suffix: bytes
    provider: str | None
    model: str | None
    http_status: int | None
    log: Pending
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

    def wait(self, at: datetime) -> bytes:
        """How long it is from then until the binding window starts afresh, as the line says it."""
        return b"" if self.resets_at is None else b',"reset_in_seconds":%d' % (self.resets_at - at).total_seconds()


NOTHING: Final = EventTemplate(Reading(), b"", None, None, None, log=Pending())


@dataclass(slots=True)
class Batch:
    """Events of one kind that came one after another and say the same, apart from what changes every time."""

    decode: Callable[[bytes], list[messages.Event]]
    told: EventTemplate = NOTHING
    tail: bytes = NOTHING.tail
    heads: list[bytes] = field(default_factory=list)

    def decoded(self) -> list[messages.Event] | None:
        """The events of the run, one for each head; None if one of them is not plain.

        No line can lean on its neighbour: an event ends where its line does, or nothing is decoded.
        """
        try:
            events = self.decode(b"}\n".join(self.heads) + b"}")
        except messages.DECODE_ERRORS:
            return None
        return events if len(events) == len(self.heads) else None

    def goes_on(self, told: EventTemplate) -> None:
        """What comes next says that."""
        self.told, self.tail = told, told.tail + b"\n"
