"""Anthropic's API key accounts: `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-*`, and tiers.

Token buckets: the reset is when a bucket is full again, and may lie before the response itself.
Sources: Anthropic's documentation, captured responses; docs/families.md.
"""

import re
from functools import lru_cache
from typing import Final

from tokmon.evidence import values
from tokmon.evidence.model import ErrorClass, ErrorText, RawResponse, Reading

NAME: Final = "anthropic-classic"
PREFIXES: Final = (
    "anthropic-fast-",
    "anthropic-organization-id",
    "anthropic-priority-",
    "anthropic-ratelimit-input-tokens-",
    "anthropic-ratelimit-output-tokens-",
    "anthropic-ratelimit-requests-",
    "anthropic-ratelimit-tokens-",
)

_FIELD: Final = re.compile(r"^anthropic-(?:ratelimit-)?((?:fast-|priority-)?[a-z-]+)-(limit|remaining|reset)$")


def parse(evidence: RawResponse) -> Reading | None:
    """Read the buckets; None where there is none of them."""
    said = evidence.headers
    buckets = _buckets(tuple(said))
    if not buckets:
        return None
    read = [
        values.counted_window(name, {word: said[header] for word, header in fields}, evidence.at)
        for name, fields in buckets
    ]
    return Reading(
        windows=tuple(window for window, _ in read),
        account=values.first_value(said.get("anthropic-organization-id")),
        family=NAME,
        warnings=tuple(warning for _, warnings in read for warning in warnings),
    )


@lru_cache(256)
def _buckets(names: tuple[str, ...]) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """Each bucket with the headers of its fields: `anthropic-ratelimit-input-tokens-reset` is of `input_tokens`."""
    found: dict[str, dict[str, str]] = {}
    for name in names:
        match = _FIELD.match(name) if name.startswith(PREFIXES) else None
        if match is not None:
            found.setdefault(match[1].replace("-", "_"), {})[match[2]] = name
    return tuple((bucket, tuple(fields.items())) for bucket, fields in sorted(found.items()))


def classify(error: ErrorText) -> ErrorClass | None:  # noqa: ARG001 - the texts are those of the unified family
    """Nothing: Anthropic has one set of error texts."""
    return None
