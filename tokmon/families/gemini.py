"""Google's Gemini API and Code Assist: error bodies only. No header has rate limits, and pi does not show the headers.

A quota is named by its id, which also contains its period and whether it counts per model. The retry time of a daily
quota is useless: it is about the minute. Sources: captured error bodies; docs/families.md.
"""

import re
from typing import Final

from tokmon.evidence import values
from tokmon.evidence.model import ErrorClass, ErrorText, RawResponse, Reading, Scope, Status, Window

NAME: Final = "gemini"
PREFIXES: Final = ("x-gemini-service-tier",)

_VIOLATION: Final = re.compile(r'"quotaId": ?"([A-Za-z0-9_-]{1,120})"(.*?)(?="quotaId"|"@type"|$)', re.DOTALL)
_VALUE: Final = re.compile(r'"quotaValue": ?"?(\d{1,15})')
_DELAY: Final = re.compile(r'"retryDelay": ?"([0-9.hms]{1,20})"')
_RETRY: Final = re.compile(r"please retry in ([0-9.hms]{1,20})\b")
_MODEL: Final = re.compile(r'"model": ?"[^"]{1,100}"')
_CODE_ASSIST: Final = ("exhausted your capacity on this model", "individual quota reached", '"quota_exhausted"')
_REFUSED: Final = ("resource_exhausted", "quotafailure", "exceeded your current quota, please check your plan")
_WORDS: Final = (
    (("prepayment credits are depleted", "insufficient_g1_credits"), ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)),
    (("model_capacity_exhausted",), ErrorClass(Status.OVERLOADED, Scope.MODEL)),
    (
        ("api_key_invalid", "api key not valid", "api key expired", "reported as leaked"),
        ErrorClass(Status.INVALID_KEY, Scope.ACCOUNT),
    ),
    (
        ("api_key_service_blocked", "user location is not supported", "service_disabled"),
        ErrorClass(Status.POLICY_REJECTED, Scope.ACCOUNT),
    ),
)


def parse(response: RawResponse) -> Reading | None:  # noqa: ARG001 - the shape of a family
    """None: no header has rate limits."""
    return None


def classify(error: ErrorText) -> ErrorClass | None:
    """Classify an error body, complete or cut."""
    text = error.lowercase
    known = next((error_class for words, error_class in _WORDS if any(word in text for word in words)), None)
    if known is not None:
        return known
    if any(words in text for words in _CODE_ASSIST):
        return _code_assist(error)
    if any(words in text for words in _REFUSED[:2]) or ("gemini" in error.account_type and _REFUSED[2] in text):
        return _quota_exceeded(error)
    if '"unavailable"' in text or "the model is overloaded" in text:
        return ErrorClass(Status.OVERLOADED, Scope.PROVIDER)
    return None


def _code_assist(error: ErrorText) -> ErrorClass:
    """A refusal by Code Assist or Antigravity: the quota of one model, however short the wait."""
    of_model = _MODEL.search(error.lowercase) is not None or "on this model" in error.lowercase
    return ErrorClass(Status.REJECTED, Scope.MODEL if of_model else Scope.ACCOUNT)


def _quota_exceeded(error: ErrorText) -> ErrorClass:
    """An exceeded quota, with one full window for each violation in the body."""
    delay = _DELAY.search(error.text) or _RETRY.search(error.lowercase)
    wait = values.duration(delay[1]) if delay else None
    windows: dict[str, Window] = {}
    per_model = []
    for name, details in _VIOLATION.findall(error.text):
        limit = _VALUE.search(details)
        per_model.append("PerModel" in name or '"model"' in details)
        windows[name] = Window(
            name,
            1.0,
            None if wait is None or "PerDay" in name else values.plausible(error.at + wait),
            limit=values.count(limit[1]) if limit else None,
            scope=Scope.MODEL if per_model[-1] else None,
        )
    daily = any("PerDay" in name for name in windows)
    scope = Scope.MODEL if per_model and all(per_model) else Scope.ACCOUNT if per_model else None
    until = None if daily or wait is None else values.plausible(error.at + wait)
    return ErrorClass(Status.REJECTED, scope, resets_at=until, retry_after_s=wait, windows=tuple(windows.values()))
