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

from tokmon.errors import InstallError
from tokmon.installer.user.plan import Step
from tokmon.paths import FILE_MODE
from tokmon.pool.key import KEY_BYTES, key_in
from tokmon.store.atomic import replace_private


def received() -> bytes:
    """The key on standard input. Raises InstallError."""
    key = sys.stdin.buffer.read(KEY_BYTES + 1)
    if len(key) != KEY_BYTES:
        raise InstallError("no key on standard input", hint="`--identity-key` is for root's install")
    return key


def steps(path: Path, key: bytes) -> Iterator[Step]:
    """Have that key at `path`, in the state folder, for its user alone."""
    if key_in(path) == key and stat.S_IMODE(path.lstat().st_mode) == FILE_MODE:
        return
    yield Step(f"write {path}", functools.partial(replace_private, path, key), path)


def new() -> bytes:
    """A random key."""
    return os.urandom(KEY_BYTES)
