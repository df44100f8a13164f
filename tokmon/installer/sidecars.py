"""The sidecar that runs: whether it is of another version than the one in use, and how it is ended in good order."""

import contextlib
import fcntl
import os
import re
import signal
import time
from pathlib import Path
from typing import Final

from tokmon.errors import InstallError
from tokmon.installer import running
from tokmon.paths import Paths
from tokmon.sidecar import client

_VERSION: Final = re.compile(r"(/.*?/tokmon/versions/[^/]+)/bin/python[0-9.]*(?: |$)")
_END_S: Final = 20.0
_TURN_S: Final = 0.02


def answering(found: Paths) -> int | None:
    """The pid of the sidecar that answers on a socket, or None."""
    try:
        pid = client.request_status(found.sockets)["pid"]
    except (OSError, KeyError, ValueError):
        return None
    return pid if isinstance(pid, int) and pid > 1 else None


def outdated(pid: int, version: Path) -> bool:
    """Whether a process runs a version that an installer made and that is not `version`."""
    found = _VERSION.match(_program(pid))
    return found is not None and found[1] != str(version)


def versions_that_run() -> frozenset[str]:
    """The names of the versions that some process runs, whosever it is, as far as this user may see."""
    programs: list[str] = []
    if Path("/proc/self/cmdline").exists():
        for place in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # it has ended
                programs.append(_first_word(place))
    else:
        programs += running.ask(["ps", "-axo", "args="]).stdout.splitlines()  # macOS
    return frozenset(found[1].rpartition("/")[2] for each in programs if (found := _VERSION.match(each)))


def _program(pid: int) -> str:
    """The first word of a process's command line, or all of them; empty if there is none."""
    try:
        return _first_word(Path(f"/proc/{pid}/cmdline"))
    except OSError:
        return running.ask(["ps", "-o", "args=", "-p", str(pid)]).stdout.strip()  # macOS


def _first_word(cmdline: Path) -> str:
    return cmdline.read_bytes().split(b"\0")[0].decode(errors="replace")


def end(pid: int, found: Paths) -> None:
    """Ask a sidecar to end, and wait until it has stored all and let go of its lock. Raises InstallError."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _END_S
    while not _let_go(found.lock):
        if time.monotonic() > deadline:
            raise InstallError(f"the sidecar (pid {pid}) does not end", hint=f"`kill -9 {pid}`, then run this again")
        time.sleep(_TURN_S)


def _let_go(path: Path) -> bool:
    try:
        lock = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(lock)
