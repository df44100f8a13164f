"""Moonshot (Kimi): error types that say whose fault it is, and the gate of its coding plan.

Sources: captured error bodies; docs/families.md.
"""

import re
from typing import Final

from tokmon.evidence.model import ErrorClass, ErrorText, RawResponse, Reading, Scope, Status, Window

NAME: Final = "moonshot"
PREFIXES: Final = ()

_GATE: Final = re.compile(r"\b(\d{1,3})[ -](hour|day) usage limit|\b(weekly) usage limit")
_FORBIDDEN: Final = 403
_TYPES: Final = (
    ("exceeded_current_quota_error", ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)),
    ("engine_overloaded_error", ErrorClass(Status.OVERLOADED, Scope.PROVIDER)),
    ("engine is currently overloaded", ErrorClass(Status.OVERLOADED, Scope.PROVIDER)),
    ("rate_limit_reached_error", ErrorClass(Status.REJECTED)),
    ("invalid_authentication_error", ErrorClass(Status.INVALID_KEY, Scope.ACCOUNT)),
)


def parse(evidence: RawResponse) -> Reading | None:  # noqa: ARG001 - it sends no headers about limits
    """Nothing: it sends no headers about limits."""
    return None


def classify(error: ErrorText) -> ErrorClass | None:
    """Read an error by its type; a spent window of the coding plan comes as a 403 `permission_error`."""
    asked = "permission_error" in error.lowercase or "kimi" in error.account_type or error.http_status == _FORBIDDEN
    gate = _GATE.search(error.lowercase) if asked else None
    if gate is not None:
        name = "7d" if gate[3] else f"{gate[1]}{gate[2][0]}"
        window = Window(name, 1.0, status=Status.REJECTED)
        return ErrorClass(Status.REJECTED, Scope.ACCOUNT, windows=(window,))
    return next((verdict for words, verdict in _TYPES if words in error.lowercase), None)
