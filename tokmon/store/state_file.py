"""The snapshot on disk: `state.json`, and how far into each log it reaches.

The file is a cache: it holds the fold of the logs up to a byte offset each, and whoever opens it reads on from
there. If it is missing, damaged, of another version or about another file (a log was rotated), the logs are
read from their start, and the result is the same.
"""

import contextlib
import os
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from io import FileIO
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from tokmon import store
from tokmon.errors import StoreError
from tokmon.evidence import snapshot as snapshots
from tokmon.evidence.model import RawResponse, Reading, replace
from tokmon.evidence.snapshot import Evidence, Snapshot, Stamp
from tokmon.paths import Paths
from tokmon.wire.instants import parse_rfc3339

_STEP = 256
_AHEAD_S = 300.0

_RECURS: Final = b',"provider":'
_KNOWN: Final = 1024
_LONGEST: Final = 4096
"""How many tails are remembered, and of how many bytes at most: a few megabytes in all."""

_FEW: Final = 32
_WORTH_SAVING: Final = 1 << 20
"""Bytes of logs that take longer to read again than to save what they say."""

_DIGITS: Final = bytes.maketrans(b"123456789", b"000000000")
_SHAPE: Final = b"0000-00-00T00:00:00.000Z"
_MINUTE: Final = len("0000-00-00T00:00")


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
    ahead: bool = False
    """Whether something was left out because its clock runs ahead; of what was read just now, and not saved."""

    def take(self, seen: Evidence) -> None:
        """Fold one observation in, unless its clock runs ahead: it would outrank the truth until its time comes."""
        if _ahead(seen.stamp):
            self.ahead = True
        else:
            self.snapshot.add(seen)

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
    """The state as of now: as saved, and caught up with every log.

    Where that was much to read (no sidecar keeps the file), it is saved for the next who looks, if it can be.
    """
    state = load(paths)
    before = {name: (covered.inode, covered.offset) for name, covered in state.covers.items()}
    catch_up(state, paths)
    read = 0
    for name, covered in state.covers.items():
        inode, offset = before.get(name, (covered.inode, 0))
        read += covered.offset - offset if inode == covered.inode else covered.offset
    if read > _WORTH_SAVING:
        with contextlib.suppress(OSError, StoreError):
            save(state, paths)
    return state


def catch_up(state: State, paths: Paths) -> None:
    """Fold in what the logs hold beyond what is covered."""
    for _ in catching_up(state, paths):
        pass


def catching_up(state: State, paths: Paths) -> Iterator[None]:
    """The same in steps of some hundred lines, for whoever has other things to do in between."""
    reader = _Reader()
    for path in evidence_logs(paths):
        # One log that cannot be read (a folder of that name, another user's file) hides no other.
        with contextlib.suppress(OSError):
            yield from _catching_up_log(state, path, reader)
    for name in [name for name in state.covers if not (paths.logs / name).exists()]:
        del state.covers[name]


def require_readable(paths: Paths) -> None:
    """StoreError where the folder of the logs exists and cannot be read; a log that cannot be read is left out."""
    try:
        os.scandir(paths.logs).close()
    except FileNotFoundError:
        return
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StoreError(
            f"cannot read the logs in `{paths.logs}`: {reason}", hint="`tokmon doctor --fix` corrects its permissions"
        ) from error


def evidence_logs(paths: Paths) -> list[Path]:
    """The logs that hold evidence, by name: ours, and those of other writers beside them."""
    return sorted(path for path in paths.logs.glob("*.jsonl") if path.name != paths.decisions.name)


def _catching_up_log(state: State, path: Path, reader: "_Reader") -> Iterator[None]:
    with store.opened(path) as file:
        covered, size = _covered(state, path.name, file)
        if covered.offset == size:
            return
        # Only to where the log ends now: it may grow as fast as it is read.
        for offset, lines in store.blocks_from(file, covered.offset, size):
            seen = yield from reader.observations(lines)
            for each in seen:
                state.take(each)
            covered.offset = offset
            yield


def _covered(state: State, name: str, file: FileIO) -> tuple[Covered, int]:
    """What is covered of an open log, and its size: nothing, if it is another one or was cut since."""
    found = os.fstat(file.fileno())
    covered = state.covers.get(name)
    if (
        covered is None
        or covered.inode != found.st_ino
        or not 0 <= covered.offset <= found.st_size
        or (covered.offset and os.pread(file.fileno(), 1, covered.offset - 1) != b"\n")
    ):
        covered = state.covers[name] = Covered(found.st_ino, 0)
    return covered, found.st_size


@dataclass(slots=True)
class _Recurring:
    """The end that lines have in common, from `provider` on: what they say but for when, and where they are now."""

    size: int
    says: Evidence | None
    places: list[int] = field(default_factory=list)


class _Reader:
    """Reads lines as `snapshot.observation` does, in a fraction of its time.

    Our own lines say first what changes every time and from `provider` on what recurs (`wire`, `sidecar.ingest`).
    What a tail says is read once and remembered; of the lines of a minute that end in it, the newest says all
    that the others say (`history`), so of a head only the stamp is needed. What is not plain in this way is read in
    full.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, _Recurring] = {}

    def observations(self, lines: list[bytes]) -> Generator[None, None, list[Evidence]]:
        """The evidence in lines, in their order, without that which a newer one among them repeats.

        Pauses after some hundred lines that had to be read in full.
        """
        seen: list[tuple[int, Evidence]] = []
        get, full = self._known.get, 0
        for place, line in enumerate(lines):
            recurring = get(line[line.find(_RECURS) :])
            if recurring is not None:
                recurring.places.append(place)
                continue
            # Where each line says something new (some providers count every request), it is not worth remembering.
            seen += self._in_full(place, line, learn=full <= place // 2 + _FEW)
            full += 1
            if full % _STEP == 0:
                yield
        for recurring in self._known.values():
            places, recurring.places = recurring.places, []
            if not places or recurring.says is None:
                continue
            newest = _newest(lines, places, recurring.size, recurring.says)
            if newest is not None:
                seen += newest
                continue
            for place in places:
                seen += self._in_full(place, lines[place], learn=False)
                full += 1
                if full % _STEP == 0:
                    yield
        if len(self._known) > _KNOWN:
            self._known.clear()
        # In the order of the lines: of two that claim one id at one instant, the first stays.
        return [each for _, each in sorted(seen, key=itemgetter(0))]

    def _in_full(self, place: int, line: bytes, *, learn: bool) -> list[tuple[int, Evidence]]:
        record = store.parse(line)
        if record is None:
            return []
        seen = snapshots.evidence_in_line(record, read_error_text)
        if learn:
            self._learn(line, record, seen)
        return [] if seen is None else [(place, seen)]

    def _learn(self, line: bytes, record: dict[str, Any], seen: Evidence | None) -> None:
        """Remember what the tail of a line says, if it is the tail alone that says it."""
        cut = line.find(_RECURS)
        if cut <= 0 or len(line) - cut > _LONGEST:
            return
        if seen is None and record.get("provider"):
            return  # it is the instant that is off, and another line's may be right
        if seen is not None and seen.windows and not isinstance(record.get("windows"), list):
            return  # the older format counts the reset from the instant
        if store.stands_alone(line[cut + 1 :]) and store.heads([line[:cut]]) is not None:
            self._known[line[cut:]] = _Recurring(len(line) - cut, seen)


def _newest(lines: list[bytes], places: list[int], size: int, says: Evidence) -> list[tuple[int, Evidence]] | None:
    """Of the lines that end alike, the newest of each minute with its place; None if the lines must be read in full."""
    heads = store.heads([lines[place][:-size] for place in places])
    if heads is None:
        return None
    times = [head.ts for head in heads]
    said = "".join(times).encode()
    if said.translate(_DIGITS) != _SHAPE * len(times) or b"T24" in said:
        return None  # only texts of one form sort as their instants do
    if min(times)[:_MINUTE] == max(times)[:_MINUTE]:
        groups: list[Sequence[int]] = [range(len(times))]
    else:
        by_minute: dict[str, list[int]] = {}
        for index, ts in enumerate(times):
            by_minute.setdefault(ts[:_MINUTE], []).append(index)
        groups = list(by_minute.values())
    found = []
    for group in groups:
        # Of two that claim one id at one instant, the first.
        index = max(group, key=lambda at: (times[at], heads[at].id, -at))
        try:
            stamp = Stamp(parse_rfc3339(times[index]), heads[index].id, says.stamp.source)
        except ValueError:
            return None
        if _ahead(stamp):
            return None  # those before it may not be
        found.append((places[index], replace(says, stamp=stamp)))
    return found


def _ahead(stamp: Stamp) -> bool:
    return stamp.ts > time.time() + _AHEAD_S


def save(state: State, paths: Paths) -> None:
    """Put the state in the place of the one on disk, at once; OSError if it cannot be written."""
    store.replace(paths.snapshot, store.encode(state.to_json()) + b"\n")


def read_error_text(response: RawResponse) -> Reading:
    """`families.read`, imported at the first line that needs it: few logs hold one, and a wake must be quick."""
    from tokmon import families  # noqa: PLC0415

    return families.read(response)
