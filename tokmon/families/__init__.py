"""The table of families: dialects of rate-limit headers and error texts.

A family is one module with these names, and one line in `FAMILIES`:

    NAME        its word, as written in a reading
    PREFIXES    the header prefixes that are its own; they dispatch to it, and they are the allow-list that the
                extension is rendered with
    parse       (headers, at) -> Reading | None: what the headers say, None where they say nothing
    classify    (http_status, text) -> Verdict | None: what an error text says

Families never import each other; what they share is below this package.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Protocol, cast

from tokmon.families import anthropic_unified, unread
from tokmon.families.verdicts import by_status_code, combine, leading_status
from tokmon.model import Evidence, Reading, Verdict


class Family(Protocol):
    """What a family module offers (modules are checked against it by the type checker)."""

    NAME: str
    PREFIXES: tuple[str, ...]

    def parse(self, headers: Mapping[str, str], at: float) -> Reading | None:
        """Read the headers (lower-case names) of a response seen at `at`."""

    def classify(self, http_status: int | None, text: str) -> Verdict | None:
        """Read an error text."""


FAMILIES: Final[tuple[Family, ...]] = (
    cast("Family", anthropic_unified),
    cast("Family", unread),
)

COMPANIONS: Final = ("retry-after", "x-should-retry")
"""Headers of no family that help to read any. Ids of requests have a field of their own."""

ALLOWED_PREFIXES: Final[tuple[str, ...]] = tuple(
    sorted({*COMPANIONS, *(prefix for family in FAMILIES for prefix in family.PREFIXES)})
)
"""The extension sends these headers and no others."""

_DENIED: Final = ("cookie", "authorization", "api-key")


@lru_cache(256)
def allowed(name: str) -> bool:
    """Whether a header (lower-case) may be kept. The sidecar asks again what the extension has asked already."""
    return name.startswith(ALLOWED_PREFIXES) and not any(word in name for word in _DENIED)


def read(evidence: Evidence) -> Reading:
    """What a capture or a probe says, by the first family that has something to say about it."""
    parsed = _parse(evidence)
    verdict = None
    status = evidence.http_status
    if evidence.text:
        status = status if status is not None else leading_status(evidence.text)
        verdict = _classify(status, evidence.text)
    return combine(evidence, status, parsed, verdict or by_status_code(status, evidence.text))


def _parse(evidence: Evidence) -> Reading | None:
    told = {index for name in evidence.headers if (index := _family_of(name)) is not None}
    for index in sorted(told):
        reading = FAMILIES[index].parse(evidence.headers, evidence.at)
        if reading is not None:
            return reading
    return None


@lru_cache(256)
def _family_of(name: str) -> int | None:
    """Whose header that is: the place of its family in the table."""
    return next((index for index, family in enumerate(FAMILIES) if name.startswith(family.PREFIXES)), None)


def _classify(http_status: int | None, text: str) -> Verdict | None:
    for family in FAMILIES:
        verdict = family.classify(http_status, text)
        if verdict is not None:
            return verdict
    return None
