"""Socket, sidecar, lock, service manager: who runs, and whether it answers."""

import contextlib
import os
import stat
from typing import Any, Final

from tokmon import __version__
from tokmon.doctor_checks.places import START
from tokmon.doctor_checks.subject import Subject
from tokmon.pi.installed import ask
from tokmon.report.findings import Finding, fail, ok, unknown, warn
from tokmon.report.words import duration
from tokmon.store.lock import holder_of, is_held

_UNIT: Final = "tokmon.service"
_RESTART: Final = f"`systemctl --user restart {_UNIT}`, or where nothing supervises it `kill {{pid}}`"
_SYSTEMD_PATIENCE_S: Final = 2.0


def socket(subject: Subject) -> Finding:
    """The socket that the extension writes to."""
    there = [path for path in subject.paths.sockets if os.path.lexists(path)]
    if not there:
        places = " or ".join(f"`{path}`" for path in subject.paths.sockets)
        return warn(f"no sidecar listens at {places}", START)
    path = there[0]
    found = path.lstat()
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.geteuid():
        return fail(f"`{path}` is not a socket of this user", "move it away, or choose another path with TOKMON_SOCKET")
    if stat.S_IMODE(found.st_mode) & 0o077:
        return fail(f"`{path}` is open to other users", f"`chmod 600 {path}`")
    if isinstance(subject.answer, ConnectionRefusedError):
        return warn(f"nobody listens at `{path}`: its sidecar has died", START)
    if isinstance(subject.answer, (FileNotFoundError, PermissionError)):
        return fail(f"`{path}`: {subject.answer.strerror}", "check the owner and the permissions of its folder")
    return ok(f"`{path}`")


def sidecar(subject: Subject) -> Finding:
    """The sidecar behind it."""
    answer = subject.answer
    if isinstance(answer, (ConnectionRefusedError, FileNotFoundError)):
        return warn("none is running; captures wait in the spool until one does", START)
    fix = _RESTART.format(pid=holder_of(subject.paths.lock) or "PID")
    if isinstance(answer, TimeoutError):
        return fail("it takes connections and does not answer: hung", fix.replace("kill ", "kill -9 "))
    if isinstance(answer, Exception):
        return fail(f"it gives no sensible answer: {answer}", fix)
    return _answered(answer, subject.now, fix)


def _answered(answer: dict[str, Any], now: float, fix: str) -> Finding:
    from tokmon.wire.messages import PROTOCOL  # noqa: PLC0415 - needed nowhere else

    if answer.get("protocol") != PROTOCOL:
        return fail(f"it speaks protocol {answer.get('protocol')}, this tokmon {PROTOCOL}", fix)
    if answer.get("trouble"):
        return fail(f"it cannot write: {answer['trouble']}", "mend that: it tries again by itself, and nothing is lost")
    if answer.get("version") != __version__:
        return warn(f"it is version {answer.get('version')}, this is {__version__}", fix)
    started = answer.get("started")
    up = f", up {duration(now - started)}" if isinstance(started, (int, float)) else ""
    return ok(f"version {__version__}, protocol {PROTOCOL}, pid {answer.get('pid')}{up}, {answer.get('stored')} stored")


def lock(subject: Subject) -> Finding:
    """The lock that keeps it the only one."""
    path = subject.paths.lock
    if not os.path.lexists(path):
        return ok("no sidecar has run here yet")
    holder = holder_of(path)
    if subject.pid is not None:
        if holder == subject.pid:
            return ok(f"held by pid {holder}, which answers")
        return warn(
            f"`{path}` names pid {holder}, the sidecar that answers is {subject.pid}",
            "TOKMON_SOCKET or TOKMON_STATE_DIR differ between the two: give both the same",
        )
    if not is_held(path):
        return ok(f"free; the last to hold it was pid {holder}")
    alive = "alive" if _alive(holder) else "of another pid namespace"
    return fail(f"held by pid {holder} ({alive}), which does not answer", f"`kill -9 {holder}`; then {START}")


def _alive(pid: int | None) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid or os.getpid(), 0)
        return pid is not None
    return False


def systemd(subject: Subject) -> Finding:
    """Whether a service manager keeps it running. Either is well: without one, the extension starts it."""
    wanted = "--property=LoadState,ActiveState,MainPID"
    said, problem = ask(["systemctl", "--user", "show", _UNIT, wanted], subject.env, _SYSTEMD_PATIENCE_S)
    if problem is not None:
        return ok("no user service manager answers: pi's extension starts the sidecar")
    state = dict(row.split("=", 1) for row in said.splitlines() if "=" in row)
    if state.get("LoadState") != "loaded":
        return ok(f"no unit `{_UNIT}`: pi's extension starts the sidecar")
    if state.get("ActiveState") == "failed":
        return warn(f"`{_UNIT}` has failed", f"`journalctl --user -u {_UNIT} -e` says why")
    if subject.pid is not None and state.get("MainPID") != str(subject.pid):
        return unknown(
            f"`{_UNIT}` is {state.get('ActiveState')}, and the sidecar that answers is not its own",
            f"`systemctl --user restart {_UNIT}` takes over",
        )
    return ok(f"`{_UNIT}` is {state.get('ActiveState')}")
