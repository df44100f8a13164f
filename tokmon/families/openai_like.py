"""OpenAI and compatible APIs: `x-ratelimit-{limit,remaining,reset}[-DIMENSION]`, and their error texts.

xAI, Groq, Cerebras, Fireworks, Mistral, Together, Azure, SambaNova and OpenRouter use the same headers. They differ
in the name of the dimension, in which of the three fields they leave out, and in the form of the reset (Go
durations, float seconds, epoch milliseconds, or none). Sources: their documentation, captured responses;
docs/families.md.
"""

import re
from functools import lru_cache
from typing import Final

from tokmon.evidence import values
from tokmon.evidence.model import ErrorClass, ErrorText, RawResponse, Reading, Scope, Status

NAME: Final = "openai"
PREFIXES: Final = (
    "fireworks-cached-prompt-tokens",
    "fireworks-prompt-tokens",
    "openai-organization",
    "openai-processing-ms",
    "openai-project",
    "ratelimitbysize-",
    "retry-after-ms",
    "x-groq-region",
    "x-ms-region",
    "x-ratelimit-",
    "x-ratelimitbysize-",
    "x-tokenlimit-",
)

_FIELD: Final = re.compile(
    r"^(?:x-)?(ratelimit|ratelimitbysize|tokenlimit)-(limit|remaining|reset)(?:-([a-z0-9_-]+))?$"
)
_DEFAULT_DIMENSION: Final = {"ratelimit": "requests", "ratelimitbysize": "tokens", "tokenlimit": "tokens"}
"""The dimension of a header that names none."""

_UNITS: Final = frozenset({"second", "minute", "hour", "day", "week", "month"})
_PERIODS: Final = {
    "groq": {"requests": "requests_day", "tokens": "tokens_minute"},
    "together": {"requests": "requests_second", "tokens": "tokens_second"},
}
"""The periods that the header names of a dialect leave out."""

_TOO_MANY: Final = 429


def parse(response: RawResponse) -> Reading | None:
    """Read the counts of every dimension; None if there are no headers of this family."""
    headers = response.headers
    dimensions, is_openai = _dimensions(tuple(headers))
    if not is_openai:
        return None
    periods = _PERIODS.get(_dialect(response), {})
    parsed = [
        values.counted_window(
            periods.get(name, name), {field: headers[header] for field, header in fields}, response.at
        )
        for name, fields in dimensions
    ]
    windows = tuple(window for window, _ in parsed)
    wait = values.number(headers.get("retry-after-ms"))
    # A limit of 0 is not a throttle: the plan does not include this model.
    not_on_plan = response.http_status == _TOO_MANY and any(window.limit == 0 for window in windows)
    return Reading(
        status=Status.POLICY_REJECTED if not_on_plan else Status.UNKNOWN,
        substatus="model_not_on_plan" if not_on_plan else None,
        scope=Scope.MODEL if not_on_plan else None,
        windows=windows,
        retry_after_s=wait / 1000 if wait is not None and wait >= 0 else None,
        account=values.first_value(headers.get("openai-organization")),
        family=NAME,
        warnings=tuple(warning for _, warnings in parsed for warning in warnings),
    )


@lru_cache(256)
def _dimensions(names: tuple[str, ...]) -> tuple[tuple[tuple[str, tuple[tuple[str, str], ...]], ...], bool]:
    """The headers of each field, by dimension; and True if any header belongs to this family."""
    own = [name for name in names if name.startswith(PREFIXES)]
    dimensions: dict[str, dict[str, str]] = {}
    for name in own:
        place = _place(name)
        if place is not None:
            dimensions.setdefault(place[0], {})[place[1]] = name
    return tuple((dimension, tuple(fields.items())) for dimension, fields in sorted(dimensions.items())), bool(own)


def _place(name: str) -> tuple[str, str] | None:
    """Dimension and field: `x-ratelimit-remaining-req-minute` is (`requests_minute`, `remaining`)."""
    match = _FIELD.match(name)
    if match is None:
        return None
    kind, field, dimension = match[1], match[2], (match[3] or "").replace("-", "_")
    words = ["requests" if word == "req" else word for word in dimension.split("_") if word]
    if not words or words[0] in _UNITS or words == ["dynamic"]:
        words = [_DEFAULT_DIMENSION[kind], *words]
    return "_".join(words), field


def _dialect(response: RawResponse) -> str:
    headers, account_type = response.headers, response.account_type or ""
    if "x-groq-region" in headers or "groq" in account_type:
        return "groq"
    return "together" if "x-tokenlimit-limit" in headers or "together" in account_type else ""


_TEXTS: Final = (
    ("insufficient_quota", ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)),
    (
        "you exceeded your current quota, please check your plan and billing",
        ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT),
    ),
    ("insufficient_user_quota", ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)),
    ("billing_hard_limit_reached", ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)),
    ("billing_not_active", ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)),
    ("personal-team-blocked:spending-limit", ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)),
    ("you have run out of credits", ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)),
    ("used all available credits", ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)),
    ("included free usage", ErrorClass(Status.REJECTED, Scope.ACCOUNT, "free_usage_exhausted")),
    ("subscription:free-usage-exhausted", ErrorClass(Status.REJECTED, Scope.ACCOUNT, "free_usage_exhausted")),
    ("insufficient balance", ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)),
    ('"arrearage"', ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)),
    ("payment required", ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)),
    ("account_deactivated", ErrorClass(Status.POLICY_REJECTED, Scope.ACCOUNT)),
    ("invalid_api_key", ErrorClass(Status.INVALID_KEY, Scope.ACCOUNT)),
    ("incorrect api key", ErrorClass(Status.INVALID_KEY, Scope.ACCOUNT)),
    ("invalid api key", ErrorClass(Status.INVALID_KEY, Scope.ACCOUNT)),
    ("rate_limit_exceeded", ErrorClass(Status.REJECTED)),
)


def classify(error: ErrorText) -> ErrorClass | None:
    """Classify an error text in OpenAI's form. An exceeded quota is missing credit, a rate limit is not."""
    return next((error_class for words, error_class in _TEXTS if words in error.lowercase), None)
