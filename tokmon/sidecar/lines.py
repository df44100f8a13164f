"""What a reading says, as the end of a line of the log (docs/log.md)."""

from typing import Any, Final

from tokmon import store
from tokmon.model import Reading
from tokmon.reading import reading_json

SOURCE: Final = "piggyback"


def suffix(fields: dict[str, Any]) -> bytes:
    """`,"a":1,"b":2`, to go between an event and its closing brace."""
    return b"," + store.encode(fields)[1:-1]


def capture_fields(reading: Reading, kind: str | None, source: str = SOURCE) -> dict[str, Any]:
    """What a capture or a probe says, in the names of the log; the older format's fields are always there."""
    said: dict[str, Any] = {
        "source": source,
        "type": kind,
        "status": reading.status,
        "utilization_5h": _utilization(reading, "5h"),
        "utilization_7d": _utilization(reading, "7d"),
    }
    said |= _said(reading)
    if next_reset(reading) is None:
        said["reset_in_seconds"] = None
    return said


def usage_fields(error: Reading | None, kind: str | None) -> dict[str, Any]:
    """What a usage event says: of its error, if it tells of one, since a capture never has the text."""
    said: dict[str, Any] = {"source": SOURCE} | ({} if error is None else _said(error))
    return said | ({} if kind is None else {"type": kind})


def _said(reading: Reading) -> dict[str, Any]:
    return {name: value for name, value in reading_json(reading).items() if value is not None and value != []}


def _utilization(reading: Reading, name: str) -> float | None:
    window = reading.window(name)
    return None if window is None else window.utilization


def next_reset(reading: Reading) -> float | None:
    """When the binding window starts afresh; without a claim, the 5h window, as older readers expect."""
    for name in (reading.binding, "5h", "7d"):
        window = reading.window(name) if name else None
        if window is not None and window.resets_at is not None:
            return window.resets_at
    return None
