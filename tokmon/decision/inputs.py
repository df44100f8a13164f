"""The files that a decision rests on: the hook believes it while every one of them is older than the decision file."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from tokmon.decision.decision_file import MAX_INPUTS, MAX_LINE
from tokmon.paths import Paths
from tokmon.store.opener import open_to_append
from tokmon.store.state_file import evidence_logs


class Inputs:
    """The inputs of one decision. Create it before reading the configuration, so that later changes are noticed."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._first_ns = self.instant_ns = _now_ns(paths.decisions)
        """An instant before anything was read, by the clock of the logs' file system, in nanoseconds."""

    def read_evidence_again(self) -> None:
        """The evidence is about to be read again (a probe added to it): only later changes of the logs count."""
        self.instant_ns = _now_ns(self._paths.decisions)

    def listed(self, check_file: Path | None) -> tuple[list[str], bool]:
        """The paths for the decision file, and whether they cover all that the decision rests on.

        Folders are listed too, since a file that is moved into place may be old. pi's agent folder and that of the
        `check_file` are not: others write there all day. Links are resolved. Logs are named without their folder, which
        is `.` itself, since a shell reads the file byte by byte.
        """
        covered = self._configuration_unchanged(check_file)
        listed: list[str] = []
        for path in dict.fromkeys(self._inputs(check_file)):
            text = str(path.relative_to(self._paths.logs) if path.is_relative_to(self._paths.logs) else path)
            if len(os.fsencode(text)) + len("input ") >= MAX_LINE or "\n" in text or len(listed) == MAX_INPUTS:
                covered = False
            else:
                listed.append(text)
        return listed, covered

    def _inputs(self, check_file: Path | None) -> Iterator[Path]:
        """In the order of how soon each is likely to change."""
        yield _existing(self._paths.logs)
        yield from (path for path in evidence_logs(self._paths) if path.exists())
        yield _existing(self._paths.config.parent)
        for path in self._files(check_file):
            target = Path(os.path.realpath(path))
            if target.exists():
                yield target
            if path == self._paths.config and target.parent != path.parent:
                yield _existing(target.parent)

    def _files(self, check_file: Path | None) -> Iterator[Path]:
        yield self._paths.config
        if check_file is not None:
            yield check_file
        yield self._paths.models
        yield self._paths.agent / "auth.json"

    def _configuration_unchanged(self, check_file: Path | None) -> bool:
        """Whether no configuration file was written while the decision was made, after it had been read."""
        if self.instant_ns == self._first_ns:
            return True
        return all(_mtime_ns(path) < self._first_ns for path in self._files(check_file))


def _existing(path: Path) -> Path:
    """The folder, or the nearest one above it that exists: there it will appear."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _mtime_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _now_ns(log: Path) -> int:
    """The present by the clock of that log's file system: on a network it is the server's, not ours.

    The log is that of the decisions, which no decision rests on.
    """
    try:
        fd = open_to_append(log)
    except OSError:
        return time.clock_gettime_ns(getattr(time, "CLOCK_REALTIME_COARSE", time.CLOCK_REALTIME))
    try:
        os.utime(fd)
        return os.fstat(fd).st_mtime_ns
    finally:
        os.close(fd)
