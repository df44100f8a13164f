"""Appending to logs without a lock, and what appending with one (`log`) shares with it.

A single write with O_APPEND never mixes with another, but a kill can cut it short. So whoever appends closes a torn
last line with a newline first. A write that fails half-way is never undone by truncation: that could cut another
writer's line.
"""

import os
from pathlib import Path

from tokmon.errors import StoreError
from tokmon.paths import private_folder
from tokmon.store.opener import open_to_append


def append_unlocked(path: Path, line: bytes) -> None:
    """Append one line (without its newline) in one write, without a lock; OSError or StoreError if that fails.

    For a process that must not wait. The line begins with a newline if the last one is torn, or if another process is
    just writing it: readers pass over an empty line.
    """
    private_folder(path.parent)
    fd = open_to_append(path)
    try:
        data = b"\n" * is_torn(fd, os.fstat(fd).st_size) + line + b"\n"
        if os.write(fd, data) != len(data):
            raise StoreError(f"`{path}` took only a part of a line", hint="check the space of that folder")
    finally:
        os.close(fd)


def is_torn(fd: int, size: int) -> bool:
    """Whether the last of `size` bytes ends no line."""
    return size > 0 and os.pread(fd, 1, size - 1) != b"\n"
