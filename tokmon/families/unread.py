"""Families that are captured and not read yet.

Their headers are on the allow-list, so every line keeps them raw and nothing is lost: when a family gets a
module of its own, it takes its prefixes from here and the old lines read as if it had always been there.
Sources: the vendors' documentation and captured responses.
"""

from typing import Final

from tokmon.evidence.model import ErrorClass, ErrorText, RawResponse, Reading

NAME: Final = "unread"

PREFIXES: Final = (
    "x-admission-",
    "x-concurrent-limit-",
    "x-tpm-limit-",
)


def parse(evidence: RawResponse) -> Reading | None:  # noqa: ARG001 - the shape of a family
    """Nothing yet: the raw headers stay in the line."""
    return None


def classify(error: ErrorText) -> ErrorClass | None:  # noqa: ARG001 - the shape of a family
    """Nothing yet: the text stays in the line."""
    return None
