"""Plain English: words that make things of accounts into persons, or that have a plainer one."""

import re
from pathlib import Path

from tests.docs.pages import every_page, prose

_AVOIDED = re.compile(
    r"\b(?:whom|whoever|mend(?:s|ed|ing)?|is told|are told|stands|the rim|nobody is asked)\b", re.IGNORECASE
)


@every_page
def test_no_page_uses_a_word_that_has_a_plainer_one(page: Path) -> None:
    assert _AVOIDED.findall(prose(page)) == []
