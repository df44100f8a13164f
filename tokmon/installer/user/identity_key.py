"""The key of the hashes of organisations and credentials: one for a host, so that its members' hashes compare.

Root makes it and hands it to each member's part on its standard input. It is neither printed nor among arguments or
variables, which other processes could see. A key that the extension made before is replaced.
"""

import functools
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tokmon.errors import InstallError
from tokmon.installer.user.plan import Step
from tokmon.paths import FILE_MODE
from tokmon.store.atomic import replace_private
from tokmon.store.opener import read_own_file

BYTES: Final = 32


def read(path: Path) -> bytes | None:
    """The key in a file; None if there is none, or none that this user wrote."""
    try:
        key = read_own_file(path, BYTES)
    except OSError:
        return None
    return key if len(key) == BYTES else None


def received() -> bytes:
    """The key on standard input. Raises InstallError."""
    key = sys.stdin.buffer.read(BYTES + 1)
    if len(key) != BYTES:
        raise InstallError("no key on standard input", hint="`--identity-key` is for root's install")
    return key


def steps(path: Path, key: bytes) -> Iterator[Step]:
    """Have that key at `path`, in the state folder, for its user alone."""
    if read(path) == key and stat.S_IMODE(path.lstat().st_mode) == FILE_MODE:
        return
    yield Step(f"write {path}", functools.partial(replace_private, path, key), path)


def new() -> bytes:
    """A random key."""
    return os.urandom(BYTES)
