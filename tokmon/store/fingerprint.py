"""Fingerprints of files: equal as long as a file is unchanged."""

import os
from pathlib import Path
from typing import NamedTuple


class Fingerprint(NamedTuple):
    """What changes when a file is written, replaced, or put back with an old time."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


def fingerprint(path: str | Path, *, follow_links: bool = True) -> Fingerprint:
    """The fingerprint of the file that `path` leads to, through links; without `follow_links` that of the link itself.

    A file that is missing or cannot be reached has zeros, and the number of the error in the place of the size.
    """
    try:
        status = os.stat(path, follow_symlinks=follow_links)  # noqa: PTH116 - also for a path as text
    except (OSError, ValueError) as error:
        return Fingerprint(0, 0, getattr(error, "errno", None) or 0, 0, 0)
    return Fingerprint(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
