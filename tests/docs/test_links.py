"""Links between the pages, and the index of them."""

import re
from pathlib import Path

from tests.docs.pages import PAGES, ROOT, anchors, every_page, prose

_LINK = re.compile(r"\]\(([^)\s]+)\)")


@every_page
def test_internal_links_lead_to_a_file_and_a_heading(page: Path) -> None:
    for link in _LINK.findall(prose(page)):
        if link.startswith(("http:", "https:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link}: no such file"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


def test_the_index_lists_every_page_with_its_kind() -> None:
    rows = (ROOT / "docs" / "README.md").read_text(encoding="utf-8").splitlines()
    kinds = {match[2]: match[1] for row in rows if (match := re.match(r"\| (\w+) \| \[.*?\]\((.*?)\) \|", row))}
    index = ROOT / "docs" / "README.md"
    assert {(ROOT / "docs" / link).resolve() for link in kinds} == {page for page in PAGES if page != index}
    assert set(kinds.values()) == {"start", "guide", "reference", "explanation", "developer"}
