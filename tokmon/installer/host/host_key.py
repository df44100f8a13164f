"""The host's identity key, of which each member gets a copy: root's alone."""

import functools
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from tokmon.errors import InstallError
from tokmon.installer.user import files, identity_key
from tokmon.installer.user.plan import Step
from tokmon.paths import FILE_MODE
from tokmon.pool.key import key_in


def steps(path: Path) -> Iterator[Step]:
    """Have a key at `path` that only root can read. One that another user may have written is replaced."""
    if key_in(path) is None:
        if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
            raise InstallError(f"`{path}` is in the way: it is not a file", hint="move it away, then run this again")
        yield Step(f"make the identity key {path}", lambda: _make(path), path)
    elif stat.S_IMODE(path.lstat().st_mode) != FILE_MODE:
        yield Step(f"close {path} to other users", functools.partial(path.chmod, FILE_MODE), path)


def read(path: Path, *, dry_run: bool) -> bytes | None:
    """The key; in a dry run that comes before it is made, one that stands for it."""
    return key_in(path) or (identity_key.new() if dry_run else None)


def _make(path: Path) -> None:
    files.write(path, identity_key.new(), FILE_MODE, shared=True)
