"""What `--purge` takes beside the installation: the logs and the state. Only what tokmon writes, by its name."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tokmon.installer import files
from tokmon.installer.plan import Step
from tokmon.paths import Paths

_LOGS: Final = re.compile(r"\.?(piggyback|probe|check|usage|decisions)\.jsonl(\..*)?|archive")
_STATE: Final = re.compile(
    r"\.?(state|policy|probes|pi|decision|sidecar|sock|spool)(\.(json|lock|log|last))?(\.[0-9a-z]+)?"
)
_ALL: Final = re.compile(r".*", re.DOTALL)


def steps(found: Paths) -> Iterator[Step]:
    """Remove the logs and the state of a member; what else is in those folders stays, and so do they then.

    A folder of state that bears our name has nothing else in it; one that was named by a variable may have.
    """
    places = {found.logs: _LOGS, found.state: _ALL if found.state.name == "tokmon" else _STATE}
    places |= {each.parent: _ALL for each in found.sockets if each.parent.name == "tokmon"}
    for folder, names in places.items():
        if not _is_ours(folder):
            continue
        for name in sorted(os.listdir(folder)):  # noqa: PTH208 - names
            path = folder / name
            if names.fullmatch(name):
                yield Step(f"remove {path} ({_size(path)})", _Remove(path), path)
        yield from _empty(folder, names, found.home)


class _Remove:
    """Remove a file, or a folder and all in it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self) -> None:
        files.remove_tree(self._path)


def _empty(folder: Path, names: re.Pattern[str], home: Path) -> Iterator[Step]:
    def remove() -> None:
        folder.rmdir()
        # What was made on the way to it, as ~/.logs; it stays if anything else is in it.
        for above in folder.parents:
            if home not in above.parents or any(above.iterdir()):
                return
            above.rmdir()

    if all(names.fullmatch(name) for name in os.listdir(folder)):  # noqa: PTH208 - names
        yield Step(f"remove the folder {folder}", remove, folder)


def _is_ours(folder: Path) -> bool:
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _size(path: Path) -> str:
    size = sum(each.lstat().st_size for each in (path, *path.rglob("*"))) if path.is_dir() else path.lstat().st_size
    return f"{size} bytes"
