"""Whether a sidecar runs and can write, and what waits in the spool: for `tokmon status`, in a line or two."""

import os
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from tokmon.paths import Paths
from tokmon.sidecar.client import request_status
from tokmon.store import spool

_PATIENCE_S: Final = 2.0
"""A sidecar that systemd starts for this request takes a second."""


class Liveness(StrEnum):
    """What runs. A sidecar is stopped if one has run here before."""

    RUNNING = "running"
    SILENT = "does not answer"
    STOPPED = "stopped"
    NEVER_STARTED = "never started"


_REMARKS: Final = {
    Liveness.STOPPED: "Sidecar: not running, so new responses wait in the spool. The next session of pi starts it, "
    "and so does `tokmon sidecar --detach`.",
    Liveness.SILENT: "Sidecar: does not answer. `tokmon doctor` says how to end it; new responses wait in the spool.",
}


@dataclass(frozen=True, slots=True)
class Health:
    """The state of the sidecar, why it cannot write, the number of spooled files, and the age of the oldest one."""

    state: Liveness
    trouble: str | None = None
    spooled: int = 0
    oldest_s: float | None = None

    def remarks(self) -> list[str]:
        """What a person should know, each with what to do; none if all is well."""
        remarks = [_REMARKS[self.state]] if self.state in _REMARKS else []
        if self.trouble:
            remarks.append(f"Sidecar: {self.trouble}. Correct that: it tries again by itself, and nothing is lost.")
        if self.spooled:
            files = "1 file of responses waits" if self.spooled == 1 else f"{self.spooled} files of responses wait"
            remarks.append(f"Spool: {files}, {_age(self.oldest_s or 0.0)}. {self._what_takes_them_in()}")
        return remarks

    def to_json(self) -> dict[str, Any]:
        """The form of `tokmon status --json`."""
        return {
            "state": self.state.value,
            "trouble": self.trouble,
            "spooled_files": self.spooled,
            "oldest_spooled_s": None if self.oldest_s is None else round(self.oldest_s, 3),
            "remarks": self.remarks(),
        }

    def _what_takes_them_in(self) -> str:
        if self.state is Liveness.RUNNING:
            return "The sidecar takes them in when a session starts or ends; if they stay, `tokmon doctor` shows why."
        start = " `tokmon sidecar --detach` starts one." if self.state is Liveness.NEVER_STARTED else ""
        return f"A running sidecar takes them in.{start}"


def look(paths: Paths) -> Health:
    """The health now. Takes two seconds at most, and starts nothing but a sidecar that systemd has a socket for."""
    state, trouble = _state(paths)
    now = time.time()
    try:
        ages = [now - at for at in spool.waiting_since(paths.spool)]
    except OSError:
        ages = []  # `tokmon doctor` names a folder that cannot be read
    return Health(state, trouble, len(ages), max(0.0, *ages) if ages else None)


def _state(paths: Paths) -> tuple[Liveness, str | None]:
    try:
        answer = request_status(paths.sockets, _PATIENCE_S)
    except (ConnectionRefusedError, FileNotFoundError):
        has_run = any(map(os.path.lexists, (*paths.sockets, paths.lock)))
        return Liveness.STOPPED if has_run else Liveness.NEVER_STARTED, None
    except (OSError, ValueError):
        return Liveness.SILENT, None
    trouble = answer.get("trouble")
    return Liveness.RUNNING, trouble if isinstance(trouble, str) else None


def _age(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"for up to {int(seconds // size)} {unit}"
    return "for up to 2 minutes"
