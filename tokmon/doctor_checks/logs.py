"""The state of the logs, the spool and the clock."""

import os
import time
from pathlib import Path
from typing import Any, Final

from tokmon.doctor_checks.places import START
from tokmon.doctor_checks.subject import Subject
from tokmon.errors import reason_of
from tokmon.report.findings import Finding, fail, ok, warn
from tokmon.report.line import instant
from tokmon.report.words import duration, plural
from tokmon.store import spool as spools
from tokmon.store import state_file
from tokmon.store.codec import parse
from tokmon.store.follow import Follower
from tokmon.store.lock import is_held
from tokmon.store.opener import open_file, open_to_append
from tokmon.store.reader import Lines
from tokmon.wire.instants import rfc3339

_LAST: Final = 200
"""Lines at the end of a log that are examined: they are nearly in the order of time."""

_EXAMINED: Final = 256 << 20

_2024: Final = 1_704_067_200.0
_SKEW_S: Final = 60.0
_PATIENCE_S: Final = 1.0


def integrity(subject: Subject) -> Finding:
    """Every line of every log."""
    lines, odd, problems, long = 0, [], [], []
    logs = sorted(subject.paths.logs.glob("*.jsonl"))
    for path in logs:
        try:
            good, torn = _read(path)
            lines += good
            odd += [f"{plural(torn, 'torn line')} in `{path.name}`"] if torn else []
            odd += [f"the last line of `{path.name}` is incomplete"] if _unterminated(path) else []
            long += [f"`{path.name}`"] if path.stat().st_size > _EXAMINED else []
        except OSError as error:
            problems.append(f"`{path}`: {reason_of(error)}")
    if problems:
        return fail("; ".join(problems), "check its owner and permissions, or move it away")
    limit = f"; of {', '.join(long)} the last 256 MiB were examined" if long else ""
    if odd:
        return warn(
            f"{', '.join(odd)}; {plural(lines, 'complete line')}{limit}",
            "nothing to do: torn lines are skipped, and the next writer completes the last one",
        )
    return ok(f"{plural(lines, 'line')} in {plural(len(logs), 'log')}, all complete{limit}")


def _read(path: Path) -> tuple[int, int]:
    """The numbers of lines that are records and that are not, without blank ones, in the last 256 MiB of a log."""
    good = torn = 0
    with open_file(path) as file:
        start = max(0, os.fstat(file.fileno()).st_size - _EXAMINED)
        for _, lines in Lines(file, start, in_a_line=start > 0).blocks():
            for line in lines:
                if parse(line) is not None:
                    good += 1
                elif line.strip():
                    torn += 1
    return good, torn


def _unterminated(path: Path) -> bool:
    with open_file(path) as file:
        size = file.seek(0, os.SEEK_END)
        return size > 0 and os.pread(file.fileno(), 1, size - 1) != b"\n"


def writable(subject: Subject) -> Finding:
    """Whether a writer could open the logs and take their locks now. Nothing is created or written."""
    tried = []
    for path in (subject.paths.piggyback, subject.paths.usage):
        lock = path.with_name(f"{path.name}.lock")
        try:
            if path.exists() or path.is_symlink():
                os.close(open_to_append(path, create=False))
                tried.append(path.name)
            if lock.exists() and not _can_lock(lock):
                return fail(
                    f"another process has held the lock `{lock}` for {_PATIENCE_S:g} s",
                    f"`lsof {lock}` shows which; end it",
                )
        except OSError as error:
            return fail(f"`{error.filename or path}`: {reason_of(error)}", "check its owner and permissions")
    folder = subject.paths.logs
    if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
        return fail(f"no file can be created in `{folder}`", "check its owner and permissions")
    return ok(" and ".join(f"`{name}`" for name in tried) if tried else "no log yet; nothing prevents one")


def _can_lock(lock: Path) -> bool:
    """Whether the lock is free now, or within a moment."""
    deadline = time.monotonic() + _PATIENCE_S
    while is_held(lock):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def spool(subject: Subject) -> Finding:
    """Captures that wait for a sidecar, and files that no sidecar could read."""
    folder = subject.paths.spool
    waiting = spools.depth(folder)
    bad = sorted(path.name for path in (folder / "bad").glob("*"))
    if bad:
        return warn(
            f"{plural(len(bad), 'unreadable file')}, the last one `{bad[-1]}`; {waiting} waiting for a sidecar",
            f"look at them in `{folder / 'bad'}`, then delete them",
        )
    if waiting:
        return warn(f"{plural(waiting, 'file')} waiting for a sidecar", START)
    return ok("empty")


def clock(subject: Subject) -> Finding:
    """Whether the wall clock is plausible."""
    fix = "set the clock: `timedatectl set-ntp true`, or as this machine does it"
    if subject.now < _2024:
        return fail(f"the clock shows {rfc3339(subject.now)}", fix)
    newest = max(
        ((at, path.name) for path in state_file.evidence_logs(subject.paths) for at, _ in _last(path)),
        default=None,
    )
    if newest is not None and newest[0] > subject.now + _SKEW_S:
        behind = duration(newest[0] - subject.now)
        return fail(f"the clock is {behind} behind the newest line of `{newest[1]}`", fix)
    return ok(rfc3339(round(subject.now)))


def _last(path: Path) -> list[tuple[float, dict[str, Any]]]:
    """The last records of a log that have an instant."""
    with Follower([path]) as follower:
        records = [parse(line) for line in follower.last(_LAST)]
    dated = [(instant(record), record) for record in records if record is not None]
    return [(at, record) for at, record in dated if at is not None]
