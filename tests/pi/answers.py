"""What the loopback provider is told to say: one `Answer` per request, and the header sets real providers send."""

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

DEFAULT_TEXT: Final = "hello from the loopback"


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of one answer; the four do not overlap."""

    input: int = 11
    output: int = 7
    cache_read: int = 0
    cache_write: int = 0


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool the model asks pi to run, instead of a text."""

    name: str
    arguments: Mapping[str, Any]
    id: str = "call_loopback_1"


@dataclass(frozen=True, slots=True)
class Answer:
    """One response. What is not said is healthy: 200, a short text, every chunk flushed at once.

    `delay` and `gap` are seconds before the headers and between chunks; `hold` and `hold_stream` are events that
    the test sets to let the headers, or the chunks after the first, go (released when the provider stops).
    `cut_after` closes the connection after that many chunks; `stream_error` is an error event inside a 200; `frames`
    are events sent before the reply, such as CODEX_FRAME.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    body: str | None = None
    text: str = DEFAULT_TEXT
    tool: ToolCall | None = None
    tokens: Tokens = Tokens()
    delay: float = 0.0
    gap: float = 0.0
    hold: threading.Event | None = None
    hold_stream: threading.Event | None = None
    cut_after: int | None = None
    stream_error: str | None = None
    frames: Sequence[Mapping[str, Any]] = ()

    def but(self, **changes: Any) -> "Answer":
        """Return this answer with some fields changed."""
        return replace(self, **changes)


def unified(
    five: float = 0.42,
    seven: float = 0.61,
    *,
    status: str = "allowed",
    now: int = 4_070_908_800,
    claim: str = "five_hour",
    **windows: float,
) -> dict[str, str]:
    """Build the header set of an Anthropic plan seat; extra windows as `seven_d_oi`-less slugs: `w7d_sonnet=0.3`."""
    prefix = "anthropic-ratelimit-unified"
    five_reset, seven_reset = now - now % 600 + 14_400, now - now % 3600 + 259_200
    found = {
        f"{prefix}-status": status,
        f"{prefix}-reset": str(five_reset if claim == "five_hour" else seven_reset),
        f"{prefix}-representative-claim": claim,
        f"{prefix}-fallback-percentage": "0.5",
        f"{prefix}-5h-status": status if claim == "five_hour" else "allowed",
        f"{prefix}-5h-reset": str(five_reset),
        f"{prefix}-5h-utilization": str(five),
        f"{prefix}-7d-status": status if claim == "seven_day" else "allowed",
        f"{prefix}-7d-reset": str(seven_reset),
        f"{prefix}-7d-utilization": str(seven),
        f"{prefix}-overage-status": "rejected",
        f"{prefix}-overage-disabled-reason": "org_level_disabled",
        "anthropic-organization-id": "5f3c1b0e-0000-4000-8000-000000000001",
    }
    for slug, utilization in windows.items():
        window = slug.removeprefix("w")
        found[f"{prefix}-{window}-status"] = "allowed"
        found[f"{prefix}-{window}-reset"] = str(seven_reset)
        found[f"{prefix}-{window}-utilization"] = str(utilization)
    return found


ANTHROPIC_CLASSIC: Final = {
    "anthropic-ratelimit-requests-limit": "1000",
    "anthropic-ratelimit-requests-remaining": "999",
    "anthropic-ratelimit-requests-reset": "2099-01-15T08:00:59Z",
    "anthropic-ratelimit-tokens-limit": "96000",
    "anthropic-ratelimit-tokens-remaining": "96000",
    "anthropic-ratelimit-tokens-reset": "2099-01-15T08:00:59Z",
    "anthropic-ratelimit-input-tokens-limit": "80000",
    "anthropic-ratelimit-input-tokens-remaining": "80000",
    "anthropic-ratelimit-input-tokens-reset": "2099-01-15T08:00:59Z",
    "anthropic-ratelimit-output-tokens-limit": "16000",
    "anthropic-ratelimit-output-tokens-remaining": "16000",
    "anthropic-ratelimit-output-tokens-reset": "2099-01-15T08:00:59Z",
}

OPENAI: Final = {
    "x-ratelimit-limit-requests": "15000",
    "x-ratelimit-limit-tokens": "40000000",
    "x-ratelimit-remaining-requests": "14999",
    "x-ratelimit-remaining-tokens": "39999826",
    "x-ratelimit-reset-requests": "4ms",
    "x-ratelimit-reset-tokens": "6m0s",
    "openai-organization": "user-loopback",
    "openai-processing-ms": "1036",
}

XAI: Final = {
    "x-ratelimit-limit-requests": "1400",
    "x-ratelimit-limit-tokens": "4000000",
    "x-ratelimit-remaining-requests": "1050",
    "x-ratelimit-remaining-tokens": "3000000",
}
"""On a 200 alone, and no reset ever."""

GROQ: Final = {
    "x-ratelimit-limit-requests": "14400",
    "x-ratelimit-limit-tokens": "6000",
    "x-ratelimit-remaining-requests": "10800",
    "x-ratelimit-remaining-tokens": "4500",
    "x-ratelimit-reset-requests": "2m59.56s",
    "x-ratelimit-reset-tokens": "7.66s",
    "x-groq-region": "us-east-1",
}
"""Requests are those of a day, tokens those of a minute."""

CODEX: Final = {
    "x-codex-primary-used-percent": "22",
    "x-codex-primary-window-minutes": "300",
    "x-codex-primary-reset-at": "4070923200",
    "x-codex-primary-reset-after-seconds": "14400",
    "x-codex-secondary-used-percent": "12.5",
    "x-codex-secondary-window-minutes": "10080",
    "x-codex-secondary-reset-at": "4071168000",
    "x-codex-secondary-reset-after-seconds": "259200",
    "x-codex-credits-has-credits": "False",
    "x-codex-credits-unlimited": "False",
    "x-codex-credits-balance": "0",
    "x-codex-plan-type": "plus",
    "x-codex-active-limit": "codex",
}

CODEX_FRAME: Final[Mapping[str, Any]] = {
    "type": "codex.rate_limits",
    "plan_type": "plus",
    "rate_limits": {
        "allowed": True,
        "limit_reached": False,
        "primary": {"used_percent": 31, "window_minutes": 300, "reset_at": 4_070_923_200},
        "secondary": {"used_percent": 12, "window_minutes": 10_080, "reset_at": 4_071_168_000},
    },
    "credits": {"has_credits": False, "unlimited": False, "balance": "0"},
}
"""How the quota arrives where there are no response headers: over a WebSocket."""

# The texts of real errors, as `Answer.error`.
ACCOUNT_LIMIT: Final = "This request would exceed your account's rate limit. Please try again later."
EXTRA_USAGE_SPENT: Final = "You're out of extra usage. Add more at claude.ai/settings/usage and keep going."
THIRD_PARTY: Final = (
    "Third-party apps now draw from your extra usage, not your plan limits. "
    "Add more at claude.ai/settings/usage and keep going."
)
CREDIT_TOO_LOW: Final = (
    "Your credit balance is too low to access the Anthropic API. "
    "Please go to Plans & Billing to upgrade or purchase credits."
)
TOKEN_EXPIRED: Final = "OAuth token has expired. Please obtain a new token or refresh your existing token."  # noqa: S105 - an error text
ORG_NOT_ALLOWED: Final = "OAuth authentication is currently not allowed for this organization."
OVERLOADED: Final = "Overloaded"
OPENAI_QUOTA: Final = "You exceeded your current quota, please check your plan and billing details."
CODEX_LIMIT: Final = "The usage limit has been reached"

XAI_SPENT: Final = json.dumps(
    {
        "code": "personal-team-blocked:spending-limit",
        "error": "You have run out of credits or need a Grok subscription. "
        "Add credits at https://grok.com/?_s=usage or upgrade at https://grok.com/supergrok.",
    }
)
"""Bodies as they come, as `Answer.body`; xAI's `error` is a text, and pi shows that text alone."""

XAI_BAD_KEY: Final = json.dumps(
    {
        "code": "Client specified an invalid argument",
        "error": "Incorrect API key provided: xai-***. You can obtain an API key from https://console.x.ai.",
    }
)
GROQ_THROTTLED: Final = json.dumps(
    {
        "error": {
            "message": "Rate limit reached for model `loopback-1` in organization `org_loopback` service tier "
            "`on_demand` on tokens per minute (TPM): Limit 6000, Used 5700, Requested 935. Please try again in 6.35s. "
            "Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing",
            "type": "tokens",
            "code": "rate_limit_exceeded",
        }
    }
)
OPENAI_SPENT: Final = json.dumps(
    {
        "error": {
            "message": f"{OPENAI_QUOTA} For more information on this error, read the docs: "
            "https://platform.openai.com/docs/guides/error-codes/api-errors.",
            "type": "insufficient_quota",
            "param": None,
            "code": "insufficient_quota",
        }
    }
)
GEMINI_BAD_KEY: Final = json.dumps(
    {
        "error": {
            "code": 400,
            "message": "API key not valid. Please pass a valid API key.",
            "status": "INVALID_ARGUMENT",
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "API_KEY_INVALID",
                    "domain": "googleapis.com",
                    "metadata": {"service": "generativelanguage.googleapis.com"},
                }
            ],
        }
    },
    indent=2,
)


def gemini_spent(quota: str, limit: int, delay: str) -> str:
    """The body of Gemini's 429 for one quota, by its id."""
    metric = "generativelanguage.googleapis.com/generate_content_free_tier_requests"
    place = {"model": "gemini-loopback", "location": "global"}
    violation = {"quotaMetric": metric, "quotaId": quota, "quotaDimensions": place, "quotaValue": str(limit)}
    error = {
        "code": 429,
        "message": f"{OPENAI_QUOTA} For more information on this error, head to: "
        "https://ai.google.dev/gemini-api/docs/rate-limits. \n"
        f"* Quota exceeded for metric: {metric}, limit: {limit}, model: gemini-loopback\nPlease retry in {delay}.",
        "status": "RESOURCE_EXHAUSTED",
        "details": [
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay},
        ],
    }
    return json.dumps({"error": error}, indent=2)


FINAL: Final = {"x-should-retry": "false"}
"""Keeps the SDKs of the older versions from sending it again."""

QUICK: Final = {"retry-after-ms": "1"}
"""Lets the retries inside the SDKs of the older versions follow at once (they honour it before `retry-after`)."""
