"""Cloudflare's AI gateway: marks that a response went through it. The cost is only in the gateway's own log.

Source: captured responses; docs/families.md.
"""

from typing import Final

from tokmon.evidence.model import ErrorClass, ErrorText, RawResponse, Reading, Scope, Status

NAME: Final = "cloudflare"
PREFIXES: Final = ("cf-aig-",)


def parse(response: RawResponse) -> Reading | None:
    """A reading with the family only, if the response has the gateway's marks."""
    return Reading(family=NAME) if any(name.startswith(PREFIXES) for name in response.headers) else None


def classify(error: ErrorText) -> ErrorClass | None:
    """Classify the gateway's refusal of its own token (code 2009)."""
    if "aigatewayerror" in error.lowercase and "2009" in error.lowercase:
        return ErrorClass(Status.INVALID_KEY, Scope.ACCOUNT, "gateway_token")
    return None
