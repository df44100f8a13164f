"""LiteLLM's proxy: the cost of a response, the budget of a virtual key, and the headers of the provider behind it.

The provider's headers come as `llm_provider-NAME` and are read by their own families (`UPSTREAM`). Their windows are
named `upstream:NAME`, because they belong to the proxy's account and not to the key.
Sources: docs.litellm.ai, its source.
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


def parse(response: RawResponse) -> Reading | None:
    """Read the cost and the budget of the key; None if the response has no header of the proxy."""
    headers = response.headers
    if not any(name.startswith("x-litellm-") for name in headers):
        return None
    fields = {field: headers[name] for field, name in _BUDGET.items() if name in headers}
    used_usd, budget = values.count(fields.get("spend")), values.count(fields.get("max-budget"))
    windows: tuple[Window, ...] = ()
    if budget is not None:
        used = round(used_usd / budget, 9) if used_usd is not None and budget > 0 else None
        windows = (Window("budget", used, None, limit_usd=budget, used_usd=used_usd),)
    cost = values.count(headers.get("x-litellm-response-cost"))
    return Reading(
        windows=windows,
        cost_usd=cost,
        family=NAME,
        warnings=tuple(values.unparseable("budget", fields, {"spend": used_usd, "max-budget": budget})),
    )


_BUDGET: Final = {"spend": "x-litellm-key-spend", "max-budget": "x-litellm-key-max-budget"}


def classify(error: ErrorText) -> ErrorClass | None:
    """Classify a refusal of the proxy itself."""
    if "budget_exceeded" in error.lowercase or "budget has been exceeded" in error.lowercase:
        return ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT, "budget")
    return None
