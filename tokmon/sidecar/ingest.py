"""From received bytes to log lines: each event as it was sent, with its reading appended, each event once.

An event without fields beyond the schema is stored in the bytes in which it came.
"""

from collections.abc import Callable
from io import BytesIO
from typing import Final

from tokmon.errors import WireError
from tokmon.evidence.history import MINUTE_S
from tokmon.evidence.outdated import Key, slot
from tokmon.evidence.snapshot import Evidence
from tokmon.pi.models_json import ConfiguredAccount
from tokmon.sidecar.dedup import RecentIds
from tokmon.sidecar.event_reader import EventReader
from tokmon.sidecar.group_commit import Pending
from tokmon.sidecar.sessions import Sessions
from tokmon.wire import messages
from tokmon.wire.instants import EARLIEST, LATEST

_DAY_S: Final = 86_400.0
"""The distance of an event from the ends of the century, so that all instants that are counted from it are in it."""

_EMPTY: Final = WireError("an empty line", field="line")

OnRefused = Callable[[int, bytes, WireError], None]
"""Called with the position of a refused line among the lines of one call (from 0), the line, and the error."""


class Ingest:
    """Turns event lines into log lines, collected in `pending` by kind of event.

    `accounts` holds the accounts of pi by name.
    """

    def __init__(self, accounts: dict[str, ConfiguredAccount], recent: RecentIds, pending: dict[str, Pending]) -> None:
        self.sessions = Sessions()
        self.recent = recent
        self.pending = pending
        self.latest: dict[tuple[int, Key], Evidence] = {}
        """Evidence that the snapshot does not have yet: the newest of each slot and minute."""

        self._reader = EventReader(accounts)

    def add_lines(self, data: bytes, on_refused: OnRefused) -> tuple[int, int]:
        """Add the event lines in `data`, each ended by a newline. Returns the number of lines and of their bytes."""
        # `readlines` searches with memchr, which is faster than `split`.
        lines = BytesIO(data).readlines()
        rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        for position, line in enumerate(lines):
            try:
                self._add(line[:-1])
            except WireError as error:
                on_refused(position, line[:-1], error)
        return len(lines), len(data) - len(rest)

    def _add(self, line: bytes) -> None:
        """Add a line; WireError if it is not an event."""
        if not line:
            raise _EMPTY
        if len(line) > messages.MAX_LINE:
            raise WireError(f"a line has at most {messages.MAX_LINE} bytes", field="line")
        line = line.strip()
        event, as_sent = messages.decode(line)
        if not isinstance(event, (messages.Capture, messages.Usage)):
            raise WireError("`kind` must be an event here", field="kind")
        at = event.ts.timestamp()
        if not EARLIEST + _DAY_S < at < LATEST - _DAY_S:
            raise WireError("the instant must be between the years 2000 and 2100", field="ts")
        stored, evidence = self._reader.read(event, at, line if as_sent else None)
        if not self.recent.add(event.id):
            return
        if evidence is not None:
            self._note(evidence)
        if event.session is not None and event.provider is not None:
            self.sessions.note(event.session, event.provider, at)
        self.pending["capture" if isinstance(event, messages.Capture) else "usage"].add(stored, 1)

    def _note(self, evidence: Evidence) -> None:
        """Keep the evidence for the snapshot, unless newer evidence of the same slot and minute is kept."""
        key = (int(evidence.stamp.ts // MINUTE_S), slot(evidence))
        latest = self.latest.get(key)
        if latest is None or evidence.stamp > latest.stamp:
            self.latest[key] = evidence

    def set_accounts(self, accounts: dict[str, ConfiguredAccount]) -> None:
        """Use other accounts from now on."""
        self._reader.set_accounts(accounts)

    def drain_evidence(self) -> list[Evidence]:
        """The evidence since the last call: the newest of each slot and minute."""
        latest, self.latest = self.latest, {}
        return list(latest.values())
