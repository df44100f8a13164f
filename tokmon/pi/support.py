"""Whether a version of pi is supported."""

from enum import StrEnum
from typing import Final

from packaging.version import InvalidVersion, Version

from tokmon.errors import UsageError

OLDEST: Final = "0.66.1"
NEWEST: Final = "1.6.0"
"""The oldest and the newest version that the tests run."""


class Support(StrEnum):
    """What is promised for a version of pi."""

    SUPPORTED = "supported"
    OLDER = "older than supported"
    NEWER = "newer than tested"


def support(version: str) -> Support:
    """Compare a version as pi states it (`1.5.2`, `v1.5.2`). Raises UsageError if it is none."""
    text = version.strip()
    try:
        number = Version(text)
    except InvalidVersion as error:
        raise UsageError(f"`{text[:80]}` is not a version of pi", hint="use a version such as 1.5.2") from error
    if number < Version(OLDEST):
        return Support.OLDER
    return Support.NEWER if number > Version(NEWEST) else Support.SUPPORTED
