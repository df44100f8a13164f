"""Moonshot (Kimi): error types by name, and the usage limits of its coding plan.

Sources: captured error bodies; docs/families.md.
"""

import re
from typing import Final

from tokmon.evidence.model import ErrorClass, ErrorText, RawResponse, Reading, Scope, Status, Window

NAME: Final = "moonshot"
PREFIXES: Final = ()

_PLAN_LIMIT: Final = re.compile(r"\b(\d{1,3})[ -](hour|day) usage limit|\b(weekly) usage limit")
_FORBIDDEN: Final = 403
_TYPES: Final = (
    ("exceeded_current_quota_error", ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)),
    ("engine_overloaded_error", ErrorClass(Status.OVERLOADED, Scope.PROVIDER)),
    ("engine is currently overloaded", ErrorClass(Status.OVERLOADED, Scope.PROVIDER)),
    ("rate_limit_reached_error", ErrorClass(Status.REJECTED)),
    ("invalid_authentication_error", ErrorClass(Status.INVALID_KEY, Scope.ACCOUNT)),
)


def parse(response: RawResponse) -> Reading | None:  # noqa: ARG001 - the shape of a family
    """None: it sends no headers about limits."""
    return None


def classify(error: ErrorText) -> ErrorClass | None:
    """Classify an error by its type. A full window of the coding plan comes as a 403 `permission_error`."""
    of_plan = "permission_error" in error.lowercase or "kimi" in error.account_type or error.http_status == _FORBIDDEN
    limit = _PLAN_LIMIT.search(error.lowercase) if of_plan else None
    if limit is not None:
        name = "7d" if limit[3] else f"{limit[1]}{limit[2][0]}"
        window = Window(name, 1.0, status=Status.REJECTED)
        return ErrorClass(Status.REJECTED, Scope.ACCOUNT, windows=(window,))
    return next((error_class for words, error_class in _TYPES if words in error.lowercase), None)
