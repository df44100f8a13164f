"""exe.dev's gateway: the cost of a response, and the error for exhausted credits.

The cost comes with plain JSON responses only, never with a stream, and the gateway removes the headers of the
provider behind it. So a response to pi, which streams, usually has neither. Source: boldsoftware/exe.dev.
"""

from typing import Final

from tokmon.evidence import values
from tokmon.evidence.model import ErrorClass, ErrorText, RawResponse, Reading, Scope, Status

NAME: Final = "exedev"
PREFIXES: Final = ("exedev-gateway-cost",)


def parse(response: RawResponse) -> Reading | None:
    """Read the cost; None if there is no such header."""
    value = response.headers.get("exedev-gateway-cost")
    if value is None:
        return None
    cost = values.count(value)
    warnings = values.unparseable("gateway", {"cost": value}, {"cost": cost})
    return Reading(cost_usd=cost, family=NAME, warnings=tuple(warnings))


def classify(error: ErrorText) -> ErrorClass | None:
    """Classify the gateway's own refusals."""
    if "llm credits exhausted" in error.lowercase:
        return ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)
    if "gateway proxy: upstream request failed" in error.lowercase:
        return ErrorClass(Status.NETWORK_ERROR, Scope.PROVIDER)
    return None
