"""Anthropic's API key accounts: `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-*`, and tiers.

Token buckets: the reset is when a bucket is full again, and may lie before the response itself.
Sources: Anthropic's documentation, captured responses; docs/families.md.
"""

import re
from functools import lru_cache
from typing import Final

from tokmon import headers as values
from tokmon.model import ErrorText, Evidence, Reading, Verdict, Window

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


def parse(evidence: Evidence) -> Reading | None:
    """Read the buckets; None where there is none of them."""
    groups: dict[str, dict[str, str]] = {}
    for name, value in evidence.headers.items():
        place = _place(name)
        if place is not None:
            groups.setdefault(place[0], {})[place[1]] = value
    if not groups:
        return None
    windows, warnings = [], []
    for bucket in sorted(groups):
        said = groups[bucket]
        limit, remaining = values.count(said.get("limit")), values.count(said.get("remaining"))
        resets_at = values.reset(said.get("reset"), evidence.at)
        windows.append(Window(bucket, values.used(limit, remaining), resets_at, limit=limit, remaining=remaining))
        warnings += values.unread(bucket, said, {"limit": limit, "remaining": remaining, "reset": resets_at})
    return Reading(
        windows=tuple(windows),
        account=values.single(evidence.headers.get("anthropic-organization-id")),
        family=NAME,
        warnings=tuple(warnings),
    )


@lru_cache(256)
def _place(name: str) -> tuple[str, str] | None:
    """`anthropic-ratelimit-input-tokens-reset` is the `reset` of the bucket `input_tokens`."""
    match = _FIELD.match(name) if name.startswith(PREFIXES) else None
    return None if match is None else (match[1].replace("-", "_"), match[2])


def classify(error: ErrorText) -> Verdict | None:  # noqa: ARG001 - the texts are those of the unified family
    """Nothing: Anthropic has one set of error texts."""
    return None
