"""OpenCode's Zen and Go plans: error types by name. Source: pi's own list of what is not worth a retry."""

from typing import Final

from tokmon.evidence.model import ErrorText, RawResponse, Reading, Scope, Status, Verdict

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


def classify(error: ErrorText) -> Verdict | None:
    """A spent plan."""
    return Verdict(Status.REJECTED, Scope.ACCOUNT) if any(word in error.said for word in _WORDS) else None
