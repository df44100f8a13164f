"""A member's systemd manager, which hands its groups on to the sidecar: those that the user had when it started."""

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tokmon.installer.host.run_as import UnixAccount
from tokmon.installer.user import running_sidecar
from tokmon.installer.user.plan import Step, say
from tokmon.installer.user.subprocesses import capture, require

_CGROUPS: Final = Path("/sys/fs/cgroup/user.slice")
_OF_EVERY_MANAGER: Final = re.compile(r"user@[0-9]+\.service/(init\.scope|(.*/)?(tokmon|dbus)\.service)")


def steps(account: UnixAccount, gid: int) -> Iterator[Step]:
    """Have a manager that has the group `gid`. One that runs anything but the sidecar is left, and it is said."""
    unit = f"user@{account.uid}.service"
    pid = capture(["systemctl", "show", "--property", "MainPID", "--value", unit]).stdout.strip()
    if not pid.isdecimal() or not running_sidecar.lacks_group(int(pid), gid):
        return
    if _is_idle(account.uid):
        restart = functools.partial(require, ["systemctl", "restart", unit], timeout=90)
        yield Step(f"start {unit} of {account.name} again, which has not yet the group of the pool", restart)
    else:
        say(f"{account.name}: {unit} has not yet the group of the pool, nor has the sidecar. It runs other things:")
        say(f"      once they may end, `systemctl restart {unit}`")


def _is_idle(uid: int) -> bool:
    """Whether neither a session nor a service of the user runs but for the sidecar; False where nobody can tell."""
    top = _CGROUPS / f"user-{uid}.slice"
    try:
        busy = [path for path in top.rglob("cgroup.procs") if path.read_text(encoding="ascii").strip()]
    except OSError:
        return False
    return bool(busy) and all(_OF_EVERY_MANAGER.fullmatch(str(path.parent.relative_to(top))) for path in busy)
