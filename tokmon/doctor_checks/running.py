"""Socket, sidecar, lock, service manager: what runs, and whether it answers."""

import contextlib
import os
import stat
from typing import Any, Final

from tokmon import __version__
from tokmon.doctor_checks.places import START
from tokmon.doctor_checks.subject import Subject
from tokmon.errors import reason_of
from tokmon.pi.installed import ask
from tokmon.report.findings import Finding, fail, ok, unknown, warn
from tokmon.report.words import duration
from tokmon.store.lock import holder_of, is_held

_UNIT: Final = "tokmon.service"
_RESTART: Final = f"`systemctl --user restart {_UNIT}`; without systemd `kill {{pid}}`"
_SYSTEMD_PATIENCE_S: Final = 2.0


def socket(subject: Subject) -> Finding:
    """The socket that the extension writes to."""
    existing = [path for path in subject.paths.sockets if os.path.lexists(path)]
    if not existing:
        places = " or ".join(f"`{path}`" for path in subject.paths.sockets)
        return warn(f"sidecar not running (no socket at {places})", START)
    path = existing[0]
    status = path.lstat()
    if not stat.S_ISSOCK(status.st_mode) or status.st_uid != os.geteuid():
        return fail(f"`{path}` is not a socket of this user", "move it away, or choose another path with TOKMON_SOCKET")
    if stat.S_IMODE(status.st_mode) & 0o077:
        return fail(f"`{path}` is open to other users", f"`chmod 600 {path}`")
    if isinstance(subject.answer, ConnectionRefusedError):
        return warn(f"sidecar not running (socket left behind at `{path}`)", START)
    if isinstance(subject.answer, (FileNotFoundError, PermissionError)):
        return fail(f"`{path}`: {reason_of(subject.answer)}", "check the owner and the permissions of its folder")
    return ok(f"`{path}`")


def sidecar(subject: Subject) -> Finding:
    """The sidecar that answers at the socket."""
    answer = subject.answer
    if isinstance(answer, (ConnectionRefusedError, FileNotFoundError)):
        return warn("not running; captures wait in the spool", START)
    fix = _RESTART.format(pid=holder_of(subject.paths.lock) or "PID")
    if isinstance(answer, TimeoutError):
        return fail("hung: it accepts connections but does not answer", fix.replace("kill ", "kill -9 "))
    if isinstance(answer, Exception):
        return fail(f"invalid answer: {answer}", fix)
    return _answered(answer, subject.now, fix)


def _answered(answer: dict[str, Any], now: float, fix: str) -> Finding:
    from tokmon.wire.messages import PROTOCOL  # noqa: PLC0415 - needed nowhere else

    if answer.get("protocol") != PROTOCOL:
        return fail(f"protocol {answer.get('protocol')}, but this tokmon has protocol {PROTOCOL}", fix)
    if answer.get("trouble"):
        fix = "correct the cause; the sidecar tries again by itself, and nothing is lost"
        return fail(f"cannot write: {answer['trouble']}", fix)
    if answer.get("version") != __version__:
        return warn(f"version {answer.get('version')}, but this tokmon is version {__version__}", fix)
    started = answer.get("started")
    up = f", up {duration(now - started)}" if isinstance(started, (int, float)) else ""
    stored = answer.get("stored")
    return ok(f"version {__version__}, protocol {PROTOCOL}, pid {answer.get('pid')}{up}, {stored} events stored")


def lock(subject: Subject) -> Finding:
    """The lock that allows one sidecar at a time."""
    path = subject.paths.lock
    if not os.path.lexists(path):
        return ok("no sidecar has run here yet")
    try:
        held = is_held(path)
    except OSError as error:
        return fail(f"`{path}` cannot be opened: {reason_of(error)}; no sidecar can start", "move away what is there")
    holder = holder_of(path)
    if subject.pid is not None:
        if holder == subject.pid:
            return ok(f"held by the running sidecar (pid {holder})")
        return warn(
            f"`{path}` names pid {holder}, but the sidecar that answers is pid {subject.pid}",
            "TOKMON_SOCKET or TOKMON_STATE_DIR differ between pi and the sidecar: set the same for both",
        )
    if not held:
        return ok(f"free; last held by pid {holder}")
    alive = "running" if _alive(holder) else "in another pid namespace"
    return fail(f"held by pid {holder} ({alive}), which does not answer", f"`kill -9 {holder}`; then {START}")


def _alive(pid: int | None) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid or os.getpid(), 0)
        return pid is not None
    return False


def systemd(subject: Subject) -> Finding:
    """Whether a service manager runs the sidecar. It need not: without one, the extension starts it."""
    wanted = "--property=LoadState,ActiveState,MainPID"
    properties, problem = ask(["systemctl", "--user", "show", _UNIT, wanted], subject.env, _SYSTEMD_PATIENCE_S)
    if problem is not None:
        return ok("no user service manager; pi's extension starts the sidecar")
    state = dict(row.split("=", 1) for row in properties.splitlines() if "=" in row)
    if state.get("LoadState") != "loaded":
        return ok(f"no unit `{_UNIT}`; pi's extension starts the sidecar")
    if state.get("ActiveState") == "failed":
        return warn(f"`{_UNIT}` has failed", f"`journalctl --user -u {_UNIT} -e` shows why")
    if subject.pid is not None and state.get("MainPID") != str(subject.pid):
        return unknown(
            f"`{_UNIT}` is {state.get('ActiveState')}, but the sidecar that answers is another process",
            f"`systemctl --user restart {_UNIT}` replaces it",
        )
    return ok(f"`{_UNIT}` is {state.get('ActiveState')}")
