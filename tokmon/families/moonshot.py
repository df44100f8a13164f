"""Moonshot (Kimi): error types by name.

A full window of its coding plan comes as a 403 `permission_error` or `access_terminated_error`, whose sentence the
general reading of usage limits knows. Sources: captured error bodies; docs/families.md.
"""

from typing import Final

from tokmon.evidence.model import ErrorClass, ErrorText, RawResponse, Reading, Scope, Status

NAME: Final = "moonshot"
PREFIXES: Final = ()

_TYPES: Final = (
    ("exceeded_current_quota_error", ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)),
    ("engine_overloaded_error", ErrorClass(Status.OVERLOADED, Scope.PROVIDER)),
    ("engine is currently overloaded", ErrorClass(Status.OVERLOADED, Scope.PROVIDER)),
    ("rate_limit_reached_error", ErrorClass(Status.REJECTED)),
    ("only available for coding agents", ErrorClass(Status.POLICY_REJECTED, Scope.ACCOUNT, "client_unsupported")),
    ("invalid_authentication_error", ErrorClass(Status.INVALID_KEY, Scope.ACCOUNT)),
)


def parse(response: RawResponse) -> Reading | None:  # noqa: ARG001 - the shape of a family
    """None: it sends no headers about limits."""
    return None


def classify(error: ErrorText) -> ErrorClass | None:
    """Classify an error by its type."""
    return next((error_class for words, error_class in _TYPES if words in error.lowercase), None)
