"""The snapshot on disk, `state.json`: what the logs say, and which bytes of each log are in it.

The file is a cache: it can be deleted, and is rebuilt to the same bytes. If it is damaged or of another version, or a
log was truncated, the logs are read again.

The order of lines does not matter to the snapshot, so the newest lines of every log are read first. After the first
steps the state holds the newest evidence; a process that is ended at its deadline saves what it has read, and the
next one continues with older lines.
"""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import Any, Final

from tokmon.errors import StoreError, reason_of
from tokmon.evidence import snapshot as snapshots
from tokmon.evidence.early import EarlyEvidence, is_early
from tokmon.evidence.model import RawResponse, Reading
from tokmon.evidence.outdated import OutdatedLines
from tokmon.evidence.snapshot import Evidence, Snapshot
from tokmon.paths import Paths
from tokmon.store.atomic import replace_private
from tokmon.store.codec import encode, parse, read_json
from tokmon.store.coverage import Coverage
from tokmon.store.opener import open_file
from tokmon.store.reader import blocks_before
from tokmon.wire.instants import parse_rfc3339, rfc3339

_WORTH_SAVING: Final = 1 << 20
"""Bytes of logs that take longer to read again than to save."""

_SAVE_EVERY_S: Final = 0.5
_SAVING: Final = 0.05
"""The part of the time that saving may take while there is more to read."""


@dataclass(slots=True)
class State:
    """A snapshot as of an instant, and what it covers of each log, by name."""

    snapshot: Snapshot = field(default_factory=Snapshot)
    covered: dict[str, Coverage] = field(default_factory=dict)
    complete: bool = True
    """False if a deadline came before the oldest lines were read. Not saved."""

    early: EarlyEvidence = field(default_factory=EarlyEvidence)
    """What is not in the snapshot yet, because its clock runs ahead."""

    newest: float = 0.0
    """The latest instant of evidence in the snapshot, in epoch seconds; 0 if there is none."""

    now: float = field(default_factory=time.time)
    """The instant that the state is of, in epoch seconds. Not saved."""

    changed: set[str] = field(default_factory=set)
    """Accounts with new evidence since they were last encoded. Not saved."""

    def advance(self, now: float) -> bool:
        """Make it the state of that instant; True if it is empty then and the logs must be read again.

        That is so where the clock was set back: the snapshot holds evidence from ahead of now, which has replaced what
        counts now.
        """
        self.now = now
        due = None if is_early(self.newest, now) else self.early.take_due(now)
        if due is None:
            self.snapshot, self.early, self.newest = Snapshot(), EarlyEvidence(), 0.0
            self.covered.clear()
            return True
        for evidence in due:
            self.add(evidence)
        return False

    def add(self, evidence: Evidence) -> bool:
        """Fold evidence in; False if it is set aside until its time comes."""
        if is_early(evidence.stamp.ts, self.now):
            self.early.add(evidence)
            return False
        self.newest = max(self.newest, evidence.stamp.ts)
        self.snapshot.add(evidence)
        self.changed.add(evidence.provider)
        return True

    def to_json(self) -> dict[str, Any]:
        """The form of `state.json`."""
        return {**self.head_json(), "accounts": self.snapshot.to_json()}

    def head_json(self) -> dict[str, Any]:
        """The same without the accounts."""
        return {
            "version": snapshots.VERSION,
            "newest": rfc3339(self.newest) if self.newest else None,
            "early": self.early.to_json(),
            "logs": {name: self.covered[name].to_json() for name in sorted(self.covered)},
        }


def load(paths: Paths) -> State:
    """The state as it was saved, or an empty one."""
    saved = read_json(paths.snapshot)
    if saved is None or saved.get("version") != snapshots.VERSION:
        return State()
    try:
        covered = {name: Coverage.from_json(entry) for name, entry in saved["logs"].items()}
        early, newest = EarlyEvidence.from_json(saved["early"]), saved["newest"]
        newest = 0.0 if newest is None else parse_rfc3339(newest)
        return State(Snapshot.from_json(saved["accounts"]), covered, early=early, newest=newest)
    except (KeyError, TypeError, ValueError, AttributeError):
        return State()


def save(state: State, paths: Paths) -> None:
    """Replace `state.json`; OSError or StoreError if it cannot be written."""
    write(encode(state.to_json()) + b"\n", paths)


def write(data: bytes, paths: Paths) -> None:
    """Replace `state.json` by an encoded state; OSError or StoreError if it cannot be written."""
    replace_private(paths.snapshot, data)


def current(paths: Paths, deadline: float | None = None, now: float | None = None) -> State:
    """The state as of now: as saved, and caught up with the logs; `complete` says whether with all of them.

    `now` is epoch seconds, by default those of this clock.

    `deadline` is an instant of `time.monotonic`; one step is done in any case. Progress is saved every half second and
    at the end, unless there was little to read: that is read again as quickly.
    """
    state = load(paths)
    worth_saving = state.advance(time.time() if now is None else now)
    worth_saving |= any(coverage.unfinished for coverage in state.covered.values())
    unsaved, next_save = 0, time.monotonic() + _SAVE_EVERY_S
    for size in _read_logs(state, paths):
        unsaved += size
        at = time.monotonic()
        if deadline is not None and at >= deadline:
            state.complete = False
            break
        if at >= next_save and unsaved > _WORTH_SAVING:
            _try_to_save(state, paths)
            unsaved = 0
            next_save = at + max(_SAVE_EVERY_S, (time.monotonic() - at) / _SAVING)
    if unsaved > _WORTH_SAVING or worth_saving or not state.complete:
        _try_to_save(state, paths)
    return state


def _try_to_save(state: State, paths: Paths) -> None:
    with contextlib.suppress(OSError, StoreError):
        save(state, paths)


def catch_up(state: State, paths: Paths, deadline: float | None = None, now: float | None = None) -> None:
    """Fold in what the logs hold and the state does not cover, the newest first; deadline and `now` as of `current`."""
    for _ in catch_up_steps(state, paths, now):
        if deadline is not None and time.monotonic() >= deadline:
            state.complete = False
            break


def catch_up_steps(state: State, paths: Paths, now: float | None = None) -> Iterator[int]:
    """The same in steps of some hundred lines, for a caller with other work or a deadline; yields the bytes of each.

    Between two steps the state holds all that it covers, and can be saved.
    """
    state.advance(time.time() if now is None else now)
    yield from _read_logs(state, paths)


def _read_logs(state: State, paths: Paths) -> Iterator[int]:
    logs = _newest_first(evidence_logs(paths))
    _follow_renames(state, {path.name: inode for path, inode in logs})
    outdated = OutdatedLines(state.snapshot)
    for steps in (1, None):
        for path, _ in logs:
            # One log that cannot be read (a folder of that name, another user's file) hides no other.
            with contextlib.suppress(OSError), open_file(path) as file:
                yield from islice(_read_gaps(state, path.name, file, outdated), steps)


def _newest_first(logs: list[Path]) -> list[tuple[Path, int]]:
    """The logs by the time of their last line, each with its inode."""
    statuses = []
    for path in logs:
        with contextlib.suppress(OSError):
            status = path.stat()
            statuses.append((status.st_mtime_ns, path, status.st_ino))
    return [(path, inode) for _, path, inode in sorted(statuses, reverse=True)]


def _follow_renames(state: State, inodes: Mapping[str, int]) -> None:
    """Hand on what is covered of a log to its new name, and forget the logs that are gone."""
    moved = {entry.inode: entry for name, entry in state.covered.items() if inodes.get(name) != entry.inode}
    for name, inode in inodes.items():
        if inode in moved:
            state.covered[name] = moved[inode]
    for name in state.covered.keys() - inodes.keys():
        del state.covered[name]


def _read_gaps(state: State, name: str, file: FileIO, outdated: OutdatedLines) -> Iterator[int]:
    """Read what is not covered of an open log, the end first; only to where it ends now, since it may grow as fast."""
    coverage = state.covered.get(name)
    status = os.fstat(file.fileno())
    if coverage is None or not coverage.fits(file.fileno()):
        coverage = state.covered[name] = Coverage(status.st_ino)
    for start, end in coverage.gaps(status.st_size):
        for begin, until, lines in blocks_before(file, start, end):
            for line, key in outdated.skip(lines):
                record = parse(line)
                evidence = None if record is None else snapshots.evidence_in_line(record, read_error_text)
                if evidence is not None and state.add(evidence):
                    outdated.add(key, evidence)
            coverage.add(begin, until)
            yield until - begin


def require_readable(paths: Paths) -> None:
    """StoreError where the folder of the logs exists and cannot be read; a log that cannot be read is left out."""
    try:
        os.stat(f"{paths.logs}/.")  # noqa: PTH116 - a folder that cannot be entered can be listed
        os.scandir(paths.logs).close()
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(
            f"cannot read the logs in `{paths.logs}`: {reason_of(error)}",
            hint="run `tokmon doctor --fix`",
        ) from error


def evidence_logs(paths: Paths) -> list[Path]:
    """The logs that hold evidence, by name: tokmon's, and those of other writers beside them.

    None where the folder is missing or cannot be read: a wake decides without.
    """
    try:
        names = sorted(os.listdir(paths.logs))  # noqa: PTH208 - `iterdir` makes a path of every name
    except OSError:
        return []
    return [paths.logs / name for name in names if name.endswith(".jsonl") and name != paths.decisions.name]


def read_error_text(response: RawResponse) -> Reading:
    """`families.read`, imported when the first line needs it: few logs hold such a line, and a wake must be quick."""
    from tokmon import families  # noqa: PLC0415

    return families.read(response)
