"""The pages of the documentation, and what is written in them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))

_FENCE: Final = re.compile(r"^ *```(?P<language>\w*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
_SPAN: Final = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
_HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)
_NOT_IN_SLUG: Final = re.compile(r"[^\w\- ]")

every_page: Final = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def spans(page: Path) -> Iterator[str]:
    """The text of every code span, on one line."""
    return (" ".join(span.split()) for span in _SPAN.findall(prose(page)))


def commands(page: Path) -> Iterator[str]:
    """Every line that a person may copy: code spans, and the lines of shell blocks."""
    yield from spans(page)
    for fence in _FENCE.finditer(page.read_text(encoding="utf-8")):
        if fence["language"] in {"sh", "console"}:
            yield from fence["text"].replace("\\\n", " ").splitlines()


def anchors(page: Path) -> set[str]:
    """The anchors of the headings, as GitHub makes them."""
    headings = _HEADING.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))
    return {_NOT_IN_SLUG.sub("", heading.lower()).replace(" ", "-") for heading in headings}
