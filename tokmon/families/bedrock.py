"""Amazon Bedrock: exceptions by name; no header says anything about limits. Source: AWS's documentation."""

from typing import Final

from tokmon.evidence.model import ErrorText, RawResponse, Reading, Scope, Status, Verdict

NAME: Final = "bedrock"
PREFIXES: Final = ()

_NAMES: Final = (
    ("throttlingexception", Verdict(Status.REJECTED)),
    ("servicequotaexceededexception", Verdict(Status.REJECTED, Scope.ACCOUNT)),
    ("serviceunavailableexception", Verdict(Status.OVERLOADED, Scope.PROVIDER)),
    ("modelnotreadyexception", Verdict(Status.OVERLOADED, Scope.MODEL)),
    ("expiredtokenexception", Verdict(Status.INVALID_KEY, Scope.ACCOUNT, "expired")),
    ("unrecognizedclientexception", Verdict(Status.INVALID_KEY, Scope.ACCOUNT)),
    ("accessdeniedexception", Verdict(Status.POLICY_REJECTED, Scope.MODEL)),
)


def parse(evidence: RawResponse) -> Reading | None:  # noqa: ARG001 - it sends no headers about limits
    """Nothing: it sends no headers about limits."""
    return None


def classify(error: ErrorText) -> Verdict | None:
    """Read an exception by its name."""
    return next((verdict for name, verdict in _NAMES if name in error.said), None)
