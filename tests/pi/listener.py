"""A listener that says what pi has handed over, by whichever way."""

import json
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from tests.extension.listener import Event, Listener


class PiListener(Listener):
    """Listens on `tmp_path / "sock"` for the pi whose home is `tmp_path / "pi"`, or `home`."""

    def __init__(self, tmp_path: Path, home: Path | None = None) -> None:
        super().__init__(tmp_path / "sock")
        self._spool = (home or tmp_path / "pi") / ".local" / "state" / "tokmon" / "spool" / "new"

    def of(self, kind: str) -> list[Event]:
        """The captures, or the usages, of processes that have ended, in the order in which they were made.

        On a busy machine an acknowledgement comes too late for a pi that ends or reloads: it has spooled the event.
        """
        self.finish()
        spooled = [json.loads(line) for path in self._spool.glob("*") for line in path.read_text().splitlines()]
        events = {event["id"]: event for event in (*spooled, *self.events) if event["kind"] == kind}
        return in_order(events.values())


def in_order(*events: Iterable[Event]) -> list[Event]:
    """The order in which events were made."""
    return sorted(chain(*events), key=_made)


def _made(event: Event) -> tuple[str, int]:
    """The instant, and the number of the event in its process."""
    return event["ts"], int(event["id"].rpartition("-")[2], 36)
