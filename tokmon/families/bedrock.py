"""Amazon Bedrock: exceptions by name; no header says anything about limits. Source: AWS's documentation."""

from typing import Final

from tokmon.evidence.model import ErrorClass, ErrorText, RawResponse, Reading, Scope, Status

NAME: Final = "bedrock"
PREFIXES: Final = ()

_NAMES: Final = (
    ("throttlingexception", ErrorClass(Status.REJECTED)),
    ("servicequotaexceededexception", ErrorClass(Status.REJECTED, Scope.ACCOUNT)),
    ("serviceunavailableexception", ErrorClass(Status.OVERLOADED, Scope.PROVIDER)),
    ("modelnotreadyexception", ErrorClass(Status.OVERLOADED, Scope.MODEL)),
    ("expiredtokenexception", ErrorClass(Status.INVALID_KEY, Scope.ACCOUNT, "expired")),
    ("unrecognizedclientexception", ErrorClass(Status.INVALID_KEY, Scope.ACCOUNT)),
    ("accessdeniedexception", ErrorClass(Status.POLICY_REJECTED, Scope.MODEL)),
)


def parse(evidence: RawResponse) -> Reading | None:  # noqa: ARG001 - it sends no headers about limits
    """Nothing: it sends no headers about limits."""
    return None


def classify(error: ErrorText) -> ErrorClass | None:
    """Read an exception by its name."""
    return next((verdict for name, verdict in _NAMES if name in error.lowercase), None)
