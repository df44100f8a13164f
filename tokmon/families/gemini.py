"""Google's Gemini API: error bodies only. No header has rate limits, and pi does not show the headers.

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
_REFUSED: Final = ("resource_exhausted", "quotafailure", "exceeded your current quota, please check your plan")
_BAD_KEY: Final = ("api_key_invalid", "api key not valid", "api key expired", "reported as leaked")
_POLICY: Final = ("api_key_service_blocked", "user location is not supported", "service_disabled")


def parse(response: RawResponse) -> Reading | None:  # noqa: ARG001 - the shape of a family
    """None: no header has rate limits."""
    return None


def classify(error: ErrorText) -> ErrorClass | None:
    """Classify an error body, complete or cut."""
    text = error.lowercase
    if "prepayment credits are depleted" in text:
        return ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)
    if any(words in text for words in _BAD_KEY):
        return ErrorClass(Status.INVALID_KEY, Scope.ACCOUNT)
    if any(words in text for words in _POLICY):
        return ErrorClass(Status.POLICY_REJECTED, Scope.ACCOUNT)
    if any(words in text for words in _REFUSED[:2]) or ("gemini" in error.account_type and _REFUSED[2] in text):
        return _quota_exceeded(error)
    if '"unavailable"' in text or "the model is overloaded" in text:
        return ErrorClass(Status.OVERLOADED, Scope.PROVIDER)
    return None


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
