"""OpenRouter: error bodies, which name the limit that was reached and repeat its headers.

Resets are epoch milliseconds. Sources: openrouter.ai/docs, captured error bodies; docs/families.md.
"""

import re
from typing import Final

from tokmon.evidence import values
from tokmon.evidence.limit_words import named_window
from tokmon.evidence.model import ErrorClass, ErrorText, RawResponse, Reading, Scope, Status, Window

NAME: Final = "openrouter"
PREFIXES: Final = ()

_HEADER: Final = re.compile(r'"x-ratelimit-(limit|remaining|reset)": ?"?(\d{1,16})')
_KEY_LIMIT: Final = re.compile(r"\bkey limit (?:exceeded|reached)(?: ?\(([a-z -]{1,30})\))?")
_SHARED: Final = ("openrouter_shared_capacity", "upstream_provider_shared_pool")


def parse(response: RawResponse) -> Reading | None:  # noqa: ARG001 - the shape of a family
    """None: the family `openai` reads its headers."""
    return None


def classify(error: ErrorText) -> ErrorClass | None:
    """Classify a refusal by the free tier (of the account), by shared capacity (of no account), for credit or key."""
    text = error.lowercase
    if any(word in text for word in _SHARED):
        return ErrorClass(Status.REJECTED, Scope.PROVIDER, "shared_capacity")
    if "free-models-per-" in text or "openrouter_free_tier" in text:
        counts = dict(_HEADER.findall(text))
        limit, remaining = values.count(counts.get("limit")), values.count(counts.get("remaining"))
        resets_at = values.instant(counts.get("reset"))
        unit = "minute" if "free-models-per-min" in text else "day"
        window = Window(
            f"free_requests_{unit}", values.used_fraction(limit, remaining), resets_at, limit=limit, remaining=remaining
        )
        return ErrorClass(Status.REJECTED, Scope.ACCOUNT, resets_at=resets_at, windows=(window,) if counts else ())
    key_limit = _KEY_LIMIT.search(text)
    if key_limit is not None:
        name = named_window(key_limit[1] or "")
        windows = () if name is None else (Window(name, 1.0, status=Status.REJECTED),)
        return ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT, "key_limit", windows=windows)
    if "insufficient credits" in text or "requires more credits" in text:
        return ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)
    if "no auth credentials found" in text or '"user not found' in text:
        return ErrorClass(Status.INVALID_KEY, Scope.ACCOUNT)
    return None
