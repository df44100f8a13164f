"""A user's files in the pool, which the sidecar replaces: in a folder of root's pool, or in a pool of their own."""

import functools
import os
import pwd
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tokmon.installer.user import files
from tokmon.installer.user.plan import Step
from tokmon.paths import Paths, is_own_folder
from tokmon.pool.names import FILES

_PUBLISHED: Final = re.compile(rf"\.?({'|'.join(FILES)})\.json(\.[0-9]+)?")


def gid(paths: Paths) -> int | None:
    """The group that may read the pool, if root chose one and this user is in it."""
    if not paths.pool_is_shared:
        return None
    try:
        status = _folder(paths).lstat()
    except (OSError, KeyError):
        return None
    return status.st_gid if status.st_mode & stat.S_ISGID and status.st_gid in os.getgroups() else None


def steps(paths: Paths) -> Iterator[Step]:
    """Empty this user's folder of root's pool; remove a pool of the user's own with its folders."""
    if paths.pool_is_shared:
        try:
            yield from _empty(_folder(paths))
        except KeyError:
            return
    elif is_own_folder(paths.pool):
        folders = [paths.pool / name for name in files.names_in(paths.pool)]
        for folder in folders:
            yield from _empty(folder)
        if all(map(_is_ours_alone, folders)):
            yield Step(f"remove {paths.pool}", functools.partial(files.remove_tree, paths.pool), paths.pool)


def _folder(paths: Paths) -> Path:
    """The folder of this user in root's pool; KeyError for a user without a name."""
    return paths.pool / pwd.getpwuid(os.geteuid()).pw_name


def _empty(folder: Path) -> Iterator[Step]:
    if is_own_folder(folder):
        for name in filter(_PUBLISHED.fullmatch, files.names_in(folder)):
            path = folder / name
            yield Step(f"remove {path}", functools.partial(path.unlink, missing_ok=True), path)


def _is_ours_alone(folder: Path) -> bool:
    """Whether nothing but published files is in a folder."""
    return is_own_folder(folder) and all(map(_PUBLISHED.fullmatch, files.names_in(folder)))
