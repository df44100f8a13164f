"""Cloudflare's AI gateway: that a response went through it. What it cost stands in its own log only.

Source: captured responses; docs/families.md.
"""

from typing import Final

from tokmon.evidence.model import ErrorClass, ErrorText, RawResponse, Reading, Scope, Status

NAME: Final = "cloudflare"
PREFIXES: Final = ("cf-aig-",)


def parse(evidence: RawResponse) -> Reading | None:
    """Know the gateway by its marks."""
    return Reading(family=NAME) if any(name.startswith(PREFIXES) for name in evidence.headers) else None


def classify(error: ErrorText) -> ErrorClass | None:
    """Read the gateway's refusal of its own token (code 2009)."""
    if "aigatewayerror" in error.lowercase and "2009" in error.lowercase:
        return ErrorClass(Status.INVALID_KEY, Scope.ACCOUNT, "gateway_token")
    return None
