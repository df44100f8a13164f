"""What `tokmon doctor` looks at: functions from a Subject to a Finding, listed in one table.

subject    what the checks examine; slow answers are fetched once
places     home, folders, files, disk space
running    socket, sidecar, lock, service manager
installed  pi, the extension, models.json, versions
configured the configuration of the choice, the file of pi checks
identities accounts that other members have under the same name
captures   the last capture, and answers without one
logs       the state of the logs, the spool and the clock
pool       the other members: which folders and files are believed
repairs    what `--fix` does
"""

from collections.abc import Callable
from typing import Final

from tokmon.doctor_checks import (
    captures,
    configured,
    identities,
    installed,
    logs,
    places,
    pool,
    repairs,
    running,
)
from tokmon.doctor_checks.subject import Subject
from tokmon.errors import TokmonError, reason_of
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
    "pool_identity": identities.pool_identity,
    "capture": captures.capture,
    "uncaptured": captures.uncaptured,
    "integrity": logs.integrity,
    "writable": logs.writable,
    "spool": logs.spool,
    "pool": pool.pool,
    "clock": logs.clock,
}


def examine(name: str, subject: Subject, *, fix: bool = False) -> Named:
    """One check, and what can be fixed of its finding; with `fix` that is done, and the check is made again."""
    finding = _finding(name, subject)
    if finding.level is Level.OK:
        return Named(name, finding)
    possible = repairs.possible(name, subject)
    if not fix:
        return Named(name, finding, fixable=tuple(repair.what for repair in possible))
    fixed, unfixed = [], []
    for repair in possible:
        try:
            repair.do()
            fixed.append(repair.what)
        except (OSError, TokmonError) as error:
            unfixed.append(f"{repair.what}: {reason_of(error)}")
    again = _finding(name, subject) if fixed else finding
    return Named(name, again, fixed=tuple(fixed), unfixed=tuple(unfixed))


def _finding(name: str, subject: Subject) -> Finding:
    """The finding of a check; an exception is a finding too."""
    try:
        return TABLE[name](subject)
    except Exception as error:  # noqa: BLE001 - one broken check must not prevent the others
        reason = f"{type(error).__name__}: {error}"
        return fail(f"the check failed: {reason}", "fix that first, then run `tokmon doctor` again")
