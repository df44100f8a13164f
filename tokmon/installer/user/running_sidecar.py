"""The sidecar that runs: whether it is of another version than the one in use, and how it is ended in good order."""

import contextlib
import os
import re
import signal
import time
from pathlib import Path
from typing import Final

from tokmon.errors import InstallError
from tokmon.installer.user import lock, pool_files
from tokmon.installer.user.subprocesses import capture
from tokmon.paths import Paths
from tokmon.store.opener import read_head

_VERSION: Final = re.compile(r"(/.*?/tokmon/versions/[^/]+)/bin/python[0-9.]*(?: |$)")
_PID_BYTES: Final = 32
_END_S: Final = 20.0
_TURN_S: Final = 0.02


def running(paths: Paths) -> int | None:
    """The pid of the sidecar that runs, or None: it is in the file whose lock it holds."""
    if not paths.lock.exists() or lock.is_free(paths.lock):
        return None
    pid = read_head(paths.lock, _PID_BYTES).strip()
    return int(pid) if pid.isdigit() and int(pid) > 1 else None


def is_outdated(pid: int, version: Path | None) -> bool:
    """Whether a process runs a version that an installer made and that is not `version`."""
    try:
        program = _first_word(Path(f"/proc/{pid}/cmdline"))
    except OSError:
        program = capture(["ps", "-o", "args=", "-p", str(pid)]).stdout.strip()  # macOS
    match = _VERSION.match(program)
    return match is not None and match[1] != str(version)


def reason_to_restart(pid: int, version: Path, paths: Paths, *, parent_has_group: bool = False) -> str | None:
    """The step that starts a sidecar again: for another version, or for the group of the pool; None if it can stay.

    `parent_has_group`: for the group only if the process that started it has it, and so would hand it on.
    """
    if is_outdated(pid, version):
        return "start the sidecar again, with the new version"
    gid = pool_files.gid(paths)
    if gid is None or not lacks_group(pid, gid):
        return None
    if parent_has_group and lacks_group(_parent(pid), gid):
        return None
    return "start the sidecar again, with the group of the pool"


def lacks_group(pid: int, gid: int) -> bool:
    """Whether a process has not that group; False where nobody can tell."""
    status = _status(pid)
    return "Groups" in status and str(gid) not in f"{status['Groups']} {status.get('Gid', '')}".split()


def _parent(pid: int) -> int:
    return int(_status(pid).get("PPid", 0))


def _status(pid: int) -> dict[str, str]:
    """The fields of a process's state; empty where the system has no such file, or it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def versions_in_use() -> frozenset[str]:
    """The names of the versions that some process runs, of any user, as far as this user may see."""
    programs: list[str] = []
    if Path("/proc/self/cmdline").exists():
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # it has ended
                programs.append(_first_word(path))
    else:
        programs += capture(["ps", "-axo", "args="]).stdout.splitlines()  # macOS
    matches = map(_VERSION.match, programs)
    return frozenset(match[1].rpartition("/")[2] for match in matches if match)


def _first_word(cmdline: Path) -> str:
    return cmdline.read_bytes().split(b"\0")[0].decode(errors="replace")


def end(pid: int, paths: Paths) -> None:
    """Have a sidecar end, and wait until it has stored all and released its lock. Raises InstallError."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _END_S
    while paths.lock.exists() and not lock.is_free(paths.lock):
        if time.monotonic() > deadline:
            raise InstallError(f"the sidecar (pid {pid}) does not end", hint=f"`kill -9 {pid}`, then run this again")
        time.sleep(_TURN_S)
