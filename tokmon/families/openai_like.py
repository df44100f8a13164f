"""OpenAI and those who speak like it: `x-ratelimit-{limit,remaining,reset}[-DIMENSION]`, and their error texts.

xAI, Groq, Cerebras, Fireworks, Mistral, Together, Azure, SambaNova and OpenRouter say the same words and differ in
the dimension's name, in which of the three they leave out, and in the reset's form (Go durations, float seconds,
epoch milliseconds, nothing at all). Sources: their documentation, captured responses; docs/families.md.
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
_WHAT: Final = {"ratelimit": "requests", "ratelimitbysize": "tokens", "tokenlimit": "tokens"}
"""What is counted where no dimension says it."""

_UNITS: Final = frozenset({"second", "minute", "hour", "day", "week", "month"})
_PERIODS: Final = {
    "groq": {"requests": "requests_day", "tokens": "tokens_minute"},
    "together": {"requests": "requests_second", "tokens": "tokens_second"},
}
"""What the names of a dialect leave out."""

_TOO_MANY: Final = 429


def parse(evidence: RawResponse) -> Reading | None:
    """Read the counts of every dimension; None where there is none of the headers."""
    said = evidence.headers
    dimensions, theirs = _dimensions(tuple(said))
    if not theirs:
        return None
    periods = _PERIODS.get(_dialect(evidence), {})
    read = [
        values.counted_window(periods.get(name, name), {word: said[header] for word, header in fields}, evidence.at)
        for name, fields in dimensions
    ]
    windows = tuple(window for window, _ in read)
    wait = values.number(evidence.headers.get("retry-after-ms"))
    # A limit of nothing at all is no throttle: the plan does not hold this model.
    barred = evidence.http_status == _TOO_MANY and any(window.limit == 0 for window in windows)
    return Reading(
        status=Status.POLICY_REJECTED if barred else Status.UNKNOWN,
        substatus="model_not_on_plan" if barred else None,
        scope=Scope.MODEL if barred else None,
        windows=windows,
        retry_after_s=wait / 1000 if wait is not None and wait >= 0 else None,
        account=values.first_value(evidence.headers.get("openai-organization")),
        family=NAME,
        warnings=tuple(warning for _, warnings in read for warning in warnings),
    )


@lru_cache(256)
def _dimensions(names: tuple[str, ...]) -> tuple[tuple[tuple[str, tuple[tuple[str, str], ...]], ...], bool]:
    """Each dimension with the headers of its fields; and whether any header is of this family."""
    theirs = [name for name in names if name.startswith(PREFIXES)]
    found: dict[str, dict[str, str]] = {}
    for name in theirs:
        place = _place(name)
        if place is not None:
            found.setdefault(place[0], {})[place[1]] = name
    return tuple((dimension, tuple(fields.items())) for dimension, fields in sorted(found.items())), bool(theirs)


def _place(name: str) -> tuple[str, str] | None:
    """`x-ratelimit-remaining-req-minute` is what remains of `requests_minute`."""
    match = _FIELD.match(name)
    if match is None:
        return None
    kind, field, said = match[1], match[2], (match[3] or "").replace("-", "_")
    words = ["requests" if word == "req" else word for word in said.split("_") if word]
    if not words or words[0] in _UNITS or words == ["dynamic"]:
        words = [_WHAT[kind], *words]
    return "_".join(words), field


def _dialect(evidence: RawResponse) -> str:
    headers, kind = evidence.headers, evidence.account_type or ""
    if "x-groq-region" in headers or "groq" in kind:
        return "groq"
    return "together" if "x-tokenlimit-limit" in headers or "together" in kind else ""


_TEXTS: Final = (
    ("insufficient_quota", ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)),
    (
        "you exceeded your current quota, please check your plan and billing",
        ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT),
    ),
    ("billing_hard_limit_reached", ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)),
    ("billing_not_active", ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)),
    ("personal-team-blocked:spending-limit", ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)),
    ("you have run out of credits", ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)),
    ("used all available credits", ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)),
    ("included free usage", ErrorClass(Status.REJECTED, Scope.ACCOUNT, "free_usage_exhausted")),
    ("subscription:free-usage-exhausted", ErrorClass(Status.REJECTED, Scope.ACCOUNT, "free_usage_exhausted")),
    ("insufficient balance", ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)),
    ("payment required", ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)),
    ("account_deactivated", ErrorClass(Status.POLICY_REJECTED, Scope.ACCOUNT)),
    ("invalid_api_key", ErrorClass(Status.INVALID_KEY, Scope.ACCOUNT)),
    ("incorrect api key", ErrorClass(Status.INVALID_KEY, Scope.ACCOUNT)),
    ("invalid api key", ErrorClass(Status.INVALID_KEY, Scope.ACCOUNT)),
    ("rate_limit_exceeded", ErrorClass(Status.REJECTED)),
)


def classify(error: ErrorText) -> ErrorClass | None:
    """Read an error text of OpenAI's form: a spent quota is credit, a rate limit is not."""
    return next((verdict for words, verdict in _TEXTS if words in error.lowercase), None)
