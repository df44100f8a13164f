"""Amazon Bedrock: exceptions by name. No header has rate limits. Source: AWS's documentation."""

from typing import Final

from tokmon.evidence.model import ErrorClass, ErrorText, RawResponse, Reading, Scope, Status

NAME: Final = "bedrock"
PREFIXES: Final = ()

_NAMES: Final = (
    ("too many tokens per day", ErrorClass(Status.REJECTED, Scope.MODEL)),
    ("throttlingexception", ErrorClass(Status.REJECTED)),
    ("servicequotaexceededexception", ErrorClass(Status.REJECTED, Scope.ACCOUNT)),
    ("serviceunavailableexception", ErrorClass(Status.OVERLOADED, Scope.PROVIDER)),
    ("modelnotreadyexception", ErrorClass(Status.OVERLOADED, Scope.MODEL)),
    ("expiredtokenexception", ErrorClass(Status.INVALID_KEY, Scope.ACCOUNT, "expired")),
    ("unrecognizedclientexception", ErrorClass(Status.INVALID_KEY, Scope.ACCOUNT)),
    ("accessdeniedexception", ErrorClass(Status.POLICY_REJECTED, Scope.MODEL)),
)


def parse(response: RawResponse) -> Reading | None:  # noqa: ARG001 - the shape of a family
    """None: it sends no headers about limits."""
    return None


def classify(error: ErrorText) -> ErrorClass | None:
    """Classify an exception by its name."""
    return next((error_class for name, error_class in _NAMES if name in error.lowercase), None)
