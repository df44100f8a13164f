"""Header prefixes that are captured but not read yet.

They are on the allow-list, so log lines keep these headers. A later family takes its prefixes from here and can then
read the old lines too. Sources: the vendors' documentation and captured responses.
"""

from typing import Final

from tokmon.evidence.model import ErrorClass, ErrorText, RawResponse, Reading

NAME: Final = "unread"

PREFIXES: Final = (
    "x-admission-",
    "x-concurrent-limit-",
    "x-tpm-limit-",
)


def parse(response: RawResponse) -> Reading | None:  # noqa: ARG001 - the shape of a family
    """None yet: the raw headers stay in the log line."""
    return None


def classify(error: ErrorText) -> ErrorClass | None:  # noqa: ARG001 - the shape of a family
    """None yet: the text stays in the log line."""
    return None
