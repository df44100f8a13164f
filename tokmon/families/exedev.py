"""exe.dev's gateway: what a response cost, and that credits are exhausted.

The cost comes on plain JSON responses only, never on a stream, and the headers of whoever is behind are taken
away: for pi, which streams, a response without either is the normal case. Source: boldsoftware/exe.dev.
"""

from typing import Final

from tokmon.evidence import values
from tokmon.evidence.model import ErrorClass, ErrorText, RawResponse, Reading, Scope, Status

NAME: Final = "exedev"
PREFIXES: Final = ("exedev-gateway-cost",)


def parse(evidence: RawResponse) -> Reading | None:
    """Read the cost; None where it is not said."""
    said = evidence.headers.get("exedev-gateway-cost")
    if said is None:
        return None
    cost = values.count(said)
    return Reading(
        cost_usd=cost, family=NAME, warnings=tuple(values.unparseable("gateway", {"cost": said}, {"cost": cost}))
    )


def classify(error: ErrorText) -> ErrorClass | None:
    """Read the gateway's own refusals."""
    if "llm credits exhausted" in error.lowercase:
        return ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)
    if "gateway proxy: upstream request failed" in error.lowercase:
        return ErrorClass(Status.NETWORK_ERROR, Scope.PROVIDER)
    return None
