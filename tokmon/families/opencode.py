"""OpenCode's Zen and Go plans: error types by name. Source: pi's own list of errors that it does not retry."""

from typing import Final

from tokmon.evidence.model import ErrorClass, ErrorText, RawResponse, Reading, Scope, Status

NAME: Final = "opencode"
PREFIXES: Final = ()

_TYPES: Final = ("gousagelimiterror", "freeusagelimiterror")


def parse(response: RawResponse) -> Reading | None:  # noqa: ARG001 - the shape of a family
    """None: it sends no headers about limits."""
    return None


def classify(error: ErrorText) -> ErrorClass | None:
    """A plan that is used up."""
    return ErrorClass(Status.REJECTED, Scope.ACCOUNT) if any(word in error.lowercase for word in _TYPES) else None
