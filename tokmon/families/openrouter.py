"""OpenRouter: whose limit it was that refused stands in the body, with the headers of the limit repeated there.

Its resets are epoch milliseconds. Sources: openrouter.ai/docs, captured error bodies; docs/families.md.
"""

import re
from typing import Final

from tokmon.evidence import values
from tokmon.evidence.model import ErrorClass, ErrorText, RawResponse, Reading, Scope, Status, Window

NAME: Final = "openrouter"
PREFIXES: Final = ()

_HEADER: Final = re.compile(r'"x-ratelimit-(limit|remaining|reset)": ?"?(\d{1,16})')
_SHARED: Final = ("openrouter_shared_capacity", "upstream_provider_shared_pool")


def parse(evidence: RawResponse) -> Reading | None:  # noqa: ARG001 - its headers are OpenAI's
    """Nothing: its headers are read as OpenAI's are."""
    return None


def classify(error: ErrorText) -> ErrorClass | None:
    """Read a refusal: of the free tier (the account's), of a pool that all share (nobody's), of credit or key."""
    said = error.lowercase
    if any(word in said for word in _SHARED):
        return ErrorClass(Status.REJECTED, Scope.PROVIDER, "shared_capacity")
    if "free-models-per-" in said or "openrouter_free_tier" in said:
        counts = dict(_HEADER.findall(said))
        limit, remaining = values.count(counts.get("limit")), values.count(counts.get("remaining"))
        resets_at = values.instant(counts.get("reset"))
        unit = "minute" if "free-models-per-min" in said else "day"
        window = Window(
            f"free_requests_{unit}", values.used_fraction(limit, remaining), resets_at, limit=limit, remaining=remaining
        )
        return ErrorClass(Status.REJECTED, Scope.ACCOUNT, resets_at=resets_at, windows=(window,) if counts else ())
    if "insufficient credits" in said or "requires more credits" in said:
        return ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)
    if "no auth credentials found" in said or '"user not found' in said:
        return ErrorClass(Status.INVALID_KEY, Scope.ACCOUNT)
    return None
