"""What `tokmon doctor` looks at: functions from a Subject to a Finding, listed in one table.

subject    what the checks look at, and what they ask of it only once
places     home, folders, files, space
running    socket, sidecar, lock, service manager
installed  pi, the extension, models.json, versions
configured the configuration of the choice
logs       what has been captured, and the state of the files
"""

from collections.abc import Callable
from typing import Final

from tokmon.commands.checks import configured, installed, logs, places, running
from tokmon.commands.checks.subject import Subject
from tokmon.report.findings import Finding, Named, fail

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


def examine(name: str, subject: Subject) -> Named:
    """One check; what it raises is a finding too."""
    try:
        return Named(name, TABLE[name](subject))
    except Exception as error:  # noqa: BLE001 - a broken thing must not keep the others from being looked at
        reason = f"{type(error).__name__}: {error}"
        return Named(name, fail(f"could not be checked: {reason}", "mend that first, and run `tokmon doctor` again"))
