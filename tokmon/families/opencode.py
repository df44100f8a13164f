"""OpenCode's Zen and Go plans: error types by name. Source: pi's own list of what is not worth a retry."""

from typing import Final

from tokmon.evidence.model import ErrorClass, ErrorText, RawResponse, Reading, Scope, Status

NAME: Final = "opencode"
PREFIXES: Final = ()

_WORDS: Final = (
    "gousagelimiterror",
    "freeusagelimiterror",
    "-hour usage limit reached",
    "weekly usage limit reached",
    "monthly usage limit reached",
)


def parse(evidence: RawResponse) -> Reading | None:  # noqa: ARG001 - it sends no headers about limits
    """Nothing: it sends no headers about limits."""
    return None


def classify(error: ErrorText) -> ErrorClass | None:
    """A spent plan."""
    return ErrorClass(Status.REJECTED, Scope.ACCOUNT) if any(word in error.lowercase for word in _WORDS) else None
