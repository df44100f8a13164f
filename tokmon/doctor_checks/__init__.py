"""What `tokmon doctor` looks at: functions from a Subject to a Finding, listed in one table.

subject    what the checks look at, and what they ask of it only once
places     home, folders, files, space
running    socket, sidecar, lock, service manager
installed  pi, the extension, models.json, versions
configured the configuration of the choice
logs       what has been captured, and the state of the files
repairs    what of it the doctor mends by itself
"""

from collections.abc import Callable
from typing import Final

from tokmon.doctor_checks import configured, installed, logs, places, repairs, running
from tokmon.doctor_checks.subject import Subject
from tokmon.errors import TokmonError
from tokmon.report.findings import Finding, Level, Named, fail

Check = Callable[[Subject], Finding]

TABLE: Final[dict[str, Check]] = {
    "versions": installed.versions,
    "home": places.home,
    "folders": places.folders,
    "files": places.files,
    "disk": places.disk,
    "socket": running.socket,
    "sidecar": running.sidecar,
    "lock": running.lock,
    "systemd": running.systemd,
    "pi": installed.pi,
    "extension": installed.extension,
    "models": installed.models,
    "configuration": configured.configuration,
    "checks": configured.checks,
    "capture": logs.capture,
    "integrity": logs.integrity,
    "writable": logs.writable,
    "spool": logs.spool,
    "clock": logs.clock,
}


def examine(name: str, subject: Subject, *, fix: bool = False) -> Named:
    """One check, and what can be mended of what it found; with `fix` that is done, and it is looked at again."""
    found = _finding(name, subject)
    if found.level is Level.OK:
        return Named(name, found)
    possible = repairs.possible(name, subject)
    if not fix:
        return Named(name, found, fixable=tuple(each.what for each in possible))
    fixed, unfixed = [], []
    for each in possible:
        try:
            each.do()
            fixed.append(each.what)
        except (OSError, TokmonError) as error:
            unfixed.append(f"{each.what}: {error}")
    again = _finding(name, subject) if fixed else found
    return Named(name, again, fixed=tuple(fixed), unfixed=tuple(unfixed))


def _finding(name: str, subject: Subject) -> Finding:
    """What a check found; what it raises is a finding too."""
    try:
        return TABLE[name](subject)
    except Exception as error:  # noqa: BLE001 - a broken thing must not keep the others from being looked at
        reason = f"{type(error).__name__}: {error}"
        return fail(f"could not be checked: {reason}", "mend that first, and run `tokmon doctor` again")
