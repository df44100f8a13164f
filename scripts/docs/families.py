"""The table of families, and the reading of each capture of the tests."""

from collections.abc import Iterator

from tests.captures import FIXTURES, response_of
from tokmon import families as room
from tokmon.evidence.model import Reading, Window
from tokmon.wire.instants import rfc3339


def families() -> Iterator[str]:
    """A row for each family."""
    yield "| family | header prefixes | what it is |"
    yield "|---|---|---|"
    for family in room.FAMILIES:
        prefixes = (
            ", ".join(f"`{prefix}`" for prefix in family.PREFIXES)
            or f"none: {'frames' if hasattr(family, 'frame') else 'error texts'} only"
        )
        yield f"| `{family.NAME}` | {prefixes} | {_first_sentence(family.__doc__ or '')} |"
    companions = ", ".join(f"`{name}`" for name in room.COMPANIONS)
    yield f"| (any) | {companions} | Headers of no family that help to read any. |"


def _first_sentence(doc: str) -> str:
    paragraph = " ".join(doc.strip().split("\n\n")[0].split())
    return paragraph.split(". ")[0].rstrip(".") + "."


def captures() -> Iterator[str]:
    """A row for each capture of the tests."""
    yield "| capture | HTTP | status | windows and other values |"
    yield "|---|---|---|---|"
    for fixture in FIXTURES:
        reading = room.read(response_of(fixture))
        scope = reading.scope and f"({reading.scope})"
        status = " ".join(filter(None, (f"`{reading.status}`", reading.substatus, scope)))
        parts = "; ".join(_parts(reading)).replace("|", "\\|")
        yield f"| {fixture['name']} | {fixture['http_status'] or '-'} | {status} | {parts or '-'} |"


def _parts(reading: Reading) -> Iterator[str]:
    for window in reading.windows:
        yield _window(window)
    if reading.overage is not None:
        yield f"overage {reading.overage.status or 'unknown'}{', in use' if reading.overage.in_use else ''}"
    if reading.plan:
        yield f"plan {reading.plan}"
    if reading.cost_usd is not None:
        yield f"${reading.cost_usd:g}"
    if reading.blocked_until is not None:
        yield f"blocked until {rfc3339(reading.blocked_until)}"
    yield from reading.warnings


def _window(window: Window) -> str:
    used = "?" if window.utilization is None else f"{window.utilization:.4g}"
    until = "" if window.resets_at is None else f" until {rfc3339(window.resets_at)}"
    counts = "" if window.limit is None else f" of {window.limit:g}"
    return f"`{window.name}` {used}{counts}{until}"
