"""Render the generated parts of docs/families.md: the table of families and the reading of each capture.

`python -m scripts.docs` writes them; with `--check` it exits 1 if they are out of date. Run it in the root.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.captures import FIXTURES, response_of
from tokmon import families
from tokmon.evidence.model import Reading, Window
from tokmon.wire.instants import rfc3339

PAGE: Final = Path("docs/families.md")


def main() -> int:
    """Render the regions; 1 if `--check` finds a difference."""
    before = PAGE.read_text(encoding="utf-8")
    after = before
    for name, lines in (("families", _families()), ("captures", _captures())):
        begin, end = f"<!-- {name}: rendered by scripts/docs.py -->\n", f"<!-- /{name} -->"
        head, separator, rest = after.partition(begin)
        if not separator or end not in rest:
            raise SystemExit(f"error: `{PAGE}` has no region `{name}`")
        after = f"{head}{begin}\n{chr(10).join(lines)}\n\n{end}{rest.partition(end)[2]}"
    if "--check" not in sys.argv:
        PAGE.write_text(after, encoding="utf-8")
    elif after != before:
        print(f"`{PAGE}` is out of date: run `scripts/fix`")
        return 1
    return 0


def _families() -> Iterator[str]:
    yield "| family | header prefixes | what it is |"
    yield "|---|---|---|"
    for family in families.FAMILIES:
        prefixes = (
            ", ".join(f"`{prefix}`" for prefix in family.PREFIXES)
            or f"none: {'frames' if hasattr(family, 'frame') else 'error texts'} only"
        )
        yield f"| `{family.NAME}` | {prefixes} | {_first_sentence(family.__doc__ or '')} |"
    companions = ", ".join(f"`{name}`" for name in families.COMPANIONS)
    yield f"| (any) | {companions} | Headers of no family that help to read any. |"


def _first_sentence(doc: str) -> str:
    paragraph = " ".join(doc.strip().split("\n\n")[0].split())
    return paragraph.split(". ")[0].rstrip(".") + "."


def _captures() -> Iterator[str]:
    yield "| capture | HTTP | status | windows and other values |"
    yield "|---|---|---|---|"
    for fixture in FIXTURES:
        reading = families.read(response_of(fixture))
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


if __name__ == "__main__":
    sys.exit(main())
