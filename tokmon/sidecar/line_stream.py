"""Lines that arrive in pieces, from a connection or from a spooled file."""

from typing import Final

from tokmon.errors import WireError
from tokmon.sidecar.ingest import Ingest, OnRefused
from tokmon.wire import messages

_TOO_LONG: Final = WireError(f"a line has at most {messages.MAX_LINE} bytes", field="line")


class LineStream:
    """Passes whole lines on, and keeps the beginning of the next one. A line that is too long is refused, unread."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False

    def take(self, piece: bytes | memoryview, ingest: Ingest, on_refused: OnRefused) -> int:
        """Add the lines that end in this piece; returns how many lines were added or refused."""
        data = self._rest + piece
        if self._skipping and b"\n" in data:
            # The end of a line that is refused already.
            data = data.partition(b"\n")[2]
            self._skipping = False
        lines, size = ingest.add_lines(data, on_refused)
        self._rest = data[size:]
        if len(self._rest) > messages.MAX_LINE:
            self._rest = b""
            if not self._skipping:
                self._skipping = True
                on_refused(lines, b"...", _TOO_LONG)
                lines += 1
        return lines
