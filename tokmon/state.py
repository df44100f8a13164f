"""The snapshot on disk: `state.json`, and how far into each log it reaches.

The file is a cache: it holds the fold of the logs up to a byte offset each, and whoever opens it reads on from
there. If it is missing, damaged, of another version or about another file (a log was rotated), the logs are
read from their start, and the result is the same.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokmon import snapshot as snapshots
from tokmon import store
from tokmon.paths import Paths
from tokmon.snapshot import Observation, Snapshot

_STEP = 256
_AHEAD_S = 300.0
_NOT_EVIDENCE = frozenset({"decisions.jsonl"})


@dataclass(slots=True)
class Covered:
    """How far a snapshot reaches into one log: the file's inode, and the offset after the last line read."""

    inode: int
    offset: int


@dataclass(slots=True)
class State:
    """A snapshot and what it covers, by log name."""

    snapshot: Snapshot = field(default_factory=Snapshot)
    covers: dict[str, Covered] = field(default_factory=dict)

    def take(self, seen: Observation) -> None:
        """Fold one observation in, unless its clock runs ahead: it would outrank the truth until its time comes."""
        if seen.stamp.ts <= time.time() + _AHEAD_S:
            self.snapshot.take(seen)

    def to_json(self) -> dict[str, Any]:
        """The form of `state.json`."""
        return {
            "version": snapshots.VERSION,
            "covers": {
                name: {"inode": self.covers[name].inode, "offset": self.covers[name].offset}
                for name in sorted(self.covers)
            },
            "accounts": self.snapshot.to_json(),
        }


def load(paths: Paths) -> State:
    """The state as it was saved, or an empty one."""
    saved = store.read_json(paths.snapshot)
    if saved is None or saved.get("version") != snapshots.VERSION:
        return State()
    try:
        covers = {name: Covered(int(at["inode"]), int(at["offset"])) for name, at in saved["covers"].items()}
        return State(Snapshot.from_json(saved["accounts"]), covers)
    except (KeyError, TypeError, ValueError, AttributeError):
        return State()


def current(paths: Paths) -> State:
    """The state as of now: as saved, and caught up with every log."""
    state = load(paths)
    catch_up(state, paths)
    return state


def catch_up(state: State, paths: Paths) -> None:
    """Fold in what the logs hold beyond what is covered."""
    for _ in catching_up(state, paths):
        pass


def catching_up(state: State, paths: Paths) -> Iterator[None]:
    """The same in steps of some hundred lines, for whoever has other things to do in between."""
    for path in evidence_logs(paths):
        # One log that cannot be read (a folder of that name, another user's file) hides no other.
        with contextlib.suppress(OSError):
            yield from _catching_up_log(state, path)


def evidence_logs(paths: Paths) -> list[Path]:
    """The logs that hold evidence, by name: ours, and those of other writers beside them."""
    return sorted(path for path in paths.logs.glob("*.jsonl") if path.name not in _NOT_EVIDENCE)


def _catching_up_log(state: State, path: Path) -> Iterator[None]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return
    covered = state.covers.get(path.name)
    if covered is None or covered.inode != found.st_ino or covered.offset > found.st_size:
        covered = state.covers[path.name] = Covered(found.st_ino, 0)
    if covered.offset == found.st_size:
        return
    for number, (offset, line) in enumerate(store.lines_from(path, covered.offset), 1):
        if number % _STEP == 0:
            yield
        record = store.parse(line)
        seen = None if record is None else snapshots.observation(record)
        if seen is not None:
            state.take(seen)
        covered.offset = offset


def save(state: State, paths: Paths) -> None:
    """Put the state in the place of the one on disk, at once; OSError if it cannot be written."""
    store.replace(paths.snapshot, store.encode(state.to_json()) + b"\n")
