"""Anthropic API keys: `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-*`, and service tiers.

These are token buckets. The reset is the instant when a bucket is full again; it may lie before the response itself.
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


def parse(response: RawResponse) -> Reading | None:
    """Read the buckets; None if the headers have none."""
    headers = response.headers
    buckets = _buckets(tuple(headers))
    if not buckets:
        return None
    parsed = [
        values.counted_window(name, {field: headers[header] for field, header in fields}, response.at)
        for name, fields in buckets
    ]
    return Reading(
        windows=tuple(window for window, _ in parsed),
        account=values.first_value(headers.get("anthropic-organization-id")),
        family=NAME,
        warnings=tuple(warning for _, warnings in parsed for warning in warnings),
    )


@lru_cache(256)
def _buckets(names: tuple[str, ...]) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """The header of each field, by bucket: `anthropic-ratelimit-input-tokens-reset` belongs to `input_tokens`."""
    buckets: dict[str, dict[str, str]] = {}
    for name in names:
        match = _FIELD.match(name) if name.startswith(PREFIXES) else None
        if match is not None:
            buckets.setdefault(match[1].replace("-", "_"), {})[match[2]] = name
    return tuple((bucket, tuple(fields.items())) for bucket, fields in sorted(buckets.items()))


def classify(error: ErrorText) -> ErrorClass | None:  # noqa: ARG001 - the shape of a family
    """None: the unified family classifies the error texts of Anthropic's API."""
    return None
