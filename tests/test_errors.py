"""The words of an error on a screen."""

import errno
import os

import pytest

from tokmon.errors import StoreError, reason_of


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/a/file"), "no space left on device"),
        (OSError("no number"), "no number"),
        (ValueError("Not A Number"), "Not A Number"),
        (StoreError("`/a/file` is a link"), "`/a/file` is a link"),
    ],
)
def test_the_reason_of_an_error_is_in_plain_words(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason
