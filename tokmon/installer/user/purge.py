"""What `--purge` removes beside the installation: the logs and the state. Only what tokmon writes, by its name."""

import functools
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tokmon.installer.user import files
from tokmon.installer.user.plan import Step
from tokmon.paths import Paths

_LOGS: Final = re.compile(r"\.?(piggyback|probe|check|usage|decisions)\.jsonl(\..*)?|archive")
_STATE: Final = re.compile(
    r"\.?(state|policy|probes|pi|decision(-.*)?|sidecar|sock|spool|ids|identity)(\.(json|key|lock|log|last))?(\.[0-9a-z]+)?"
)
_ALL: Final = re.compile(r".*", re.DOTALL)


def steps(paths: Paths) -> Iterator[Step]:
    """Remove the logs and the state of a user; what else is in those folders stays, and so do they then.

    A state folder named `tokmon` has nothing else in it; a folder that a variable names may have.
    """
    folders = {paths.logs: _LOGS, paths.state: _ALL if paths.state.name == "tokmon" else _STATE}
    folders |= {socket.parent: _ALL for socket in paths.sockets if socket.parent.name == "tokmon"}
    for folder, pattern in folders.items():
        if not _is_owned(folder):
            continue
        names = files.names_in(folder)
        for path in (folder / name for name in names if pattern.fullmatch(name)):
            yield Step(f"remove {path} ({_size(path)} bytes)", functools.partial(files.remove_tree, path), path)
        if all(map(pattern.fullmatch, names)):
            yield Step(f"remove the folder {folder}", functools.partial(remove_empty, folder, paths.home), folder)


def remove_empty(folder: Path, home: Path) -> None:
    """Remove an empty folder, and those that were made on the way to it, such as `~/.logs`, if nothing is in them."""
    folder.rmdir()
    for above in folder.parents:
        if home not in above.parents or any(above.iterdir()):
            return
        above.rmdir()


def _is_owned(folder: Path) -> bool:
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()


def _size(path: Path) -> int:
    return sum(file.lstat().st_size for file in ([path, *path.rglob("*")] if path.is_dir() else [path]))
