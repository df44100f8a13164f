"""LiteLLM's proxy: the cost of a response, the budget of a virtual key, and the headers of whoever is behind.

Those come again as `llm_provider-NAME`, and are read by their own families (`UPSTREAM`); windows read so are named
`upstream:NAME`, for they are the proxy's account and not the key's. Sources: docs.litellm.ai, its source.
"""

from typing import Final

from tokmon.evidence import values
from tokmon.evidence.model import ErrorClass, ErrorText, RawResponse, Reading, Scope, Status, Window

NAME: Final = "litellm"
UPSTREAM: Final = "llm_provider-"
PREFIXES: Final = (
    "llm_provider-anthropic-ratelimit-",
    "llm_provider-retry-after",
    "llm_provider-x-codex-",
    "llm_provider-x-ratelimit-",
    "x-litellm-",
)


def parse(evidence: RawResponse) -> Reading | None:
    """Read the cost and the budget of the key; None where the proxy says nothing."""
    headers = evidence.headers
    if not any(name.startswith("x-litellm-") for name in headers):
        return None
    said = {word: headers[name] for word, name in _BUDGET.items() if name in headers}
    spent, budget = values.count(said.get("spend")), values.count(said.get("max-budget"))
    windows: tuple[Window, ...] = ()
    if budget is not None:
        used = round(spent / budget, 9) if spent is not None and budget > 0 else None
        windows = (Window("budget", used, None, limit_usd=budget, used_usd=spent),)
    cost = values.count(headers.get("x-litellm-response-cost"))
    return Reading(
        windows=windows,
        cost_usd=cost,
        family=NAME,
        warnings=tuple(values.unparseable("budget", said, {"spend": spent, "max-budget": budget})),
    )


_BUDGET: Final = {"spend": "x-litellm-key-spend", "max-budget": "x-litellm-key-max-budget"}


def classify(error: ErrorText) -> ErrorClass | None:
    """Read a refusal of the proxy itself."""
    if "budget_exceeded" in error.lowercase or "budget has been exceeded" in error.lowercase:
        return ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT, "budget")
    return None
