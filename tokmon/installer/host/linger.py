"""Lingering: systemd runs a user's manager although the user is not logged in. Root turns it on, and off again."""

from pathlib import Path
from typing import Final

from tokmon.installer.user.subprocesses import capture, require
from tokmon.installer.user.systemd import is_booted

_FOLDER: Final = Path("/var/lib/systemd/linger")


def is_needed(name: str, uid: int) -> bool:
    """Whether a user has no manager for want of a login: sessions are woken without one."""
    if not is_booted() or (_FOLDER / name).exists():
        return False
    return capture(["systemctl", "is-active", "--quiet", f"user@{uid}.service"]).returncode != 0


def turn_on(name: str, uid: int) -> None:
    """Have a user's manager run without a login, from now on."""
    require(["loginctl", "enable-linger", name], timeout=60)
    require(["systemctl", "start", f"user@{uid}.service"], timeout=60)


def turn_off(name: str) -> None:
    """Have a user's manager end with their last login again."""
    require(["loginctl", "disable-linger", name], timeout=60)
