"""Google's Gemini API: no header says anything, pi shows none, and so the error body is all there is.

A quota is named by its id, which also says its period and whether it is one model's. The retry time of a daily
quota is of no use: it is about the minute. Sources: captured error bodies; docs/families.md.
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


def parse(evidence: RawResponse) -> Reading | None:  # noqa: ARG001 - none of its headers counts anything
    """Nothing: no header counts anything."""
    return None


def classify(error: ErrorText) -> ErrorClass | None:
    """Read an error body, whole or cut short."""
    said = error.lowercase
    if "prepayment credits are depleted" in said:
        return ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)
    if any(words in said for words in _BAD_KEY):
        return ErrorClass(Status.INVALID_KEY, Scope.ACCOUNT)
    if any(words in said for words in _POLICY):
        return ErrorClass(Status.POLICY_REJECTED, Scope.ACCOUNT)
    if any(words in said for words in _REFUSED[:2]) or ("gemini" in error.account_type and _REFUSED[2] in said):
        return _spent(error)
    if '"unavailable"' in said or "the model is overloaded" in said:
        return ErrorClass(Status.OVERLOADED, Scope.PROVIDER)
    return None


def _spent(error: ErrorText) -> ErrorClass:
    """A spent quota: one window a violation."""
    delay = _DELAY.search(error.text) or _RETRY.search(error.lowercase)
    wait = values.duration(delay[1]) if delay else None
    windows: dict[str, Window] = {}
    models = []
    for name, rest in _VIOLATION.findall(error.text):
        limit = _VALUE.search(rest)
        of_model = "PerModel" in name or '"model"' in rest
        models.append(of_model)
        soon = wait if wait is not None and "PerDay" not in name else None
        windows[name] = Window(
            name,
            1.0,
            None if soon is None else values.plausible(error.at + soon),
            limit=values.count(limit[1]) if limit else None,
            scope=Scope.MODEL if of_model else None,
        )
    daily = any("PerDay" in name for name in windows)
    scope = Scope.MODEL if models and all(models) else Scope.ACCOUNT if models else None
    until = None if daily or wait is None else values.plausible(error.at + wait)
    return ErrorClass(Status.REJECTED, scope, resets_at=until, retry_after_s=wait, windows=tuple(windows.values()))
