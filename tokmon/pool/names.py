"""What the pool's files and folders are called. Standard library only: the installer needs it in a bare checkout."""

from typing import Final

from tokmon.selection.overrides import name_problem

FILES: Final = {"evidence": 160 << 10, "decisions": 32 << 10, "probes": 64 << 10}
"""What a member publishes, and the most bytes of each: 256 KiB in all."""

RECORD: Final = "members.json"
"""Beside the pool, of root: `{"version": 1, "members": {NAME: {"uid": UID}}, "key": …, "group": …}`."""

FLEET: Final = "@fleet"
FLEET_USER: Final = "tokmon-fleet"


def is_member_name(name: str) -> bool:
    """Whether a folder of the pool can have this name."""
    return name_problem(name) is None and "/" not in name and not name.startswith((".", "@"))
