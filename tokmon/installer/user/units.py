"""The texts of the systemd user units: the templates of `bootstrap/systemd/` for a program and an environment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tokmon.errors import InstallError
from tokmon.paths import shipped_folder

NAMES: Final = ("tokmon.socket", "tokmon.service")
_MARK: Final = "# tokmon: "
_VARIABLES: Final = (
    "PI_CODING_AGENT_DIR",
    "TOKMON_CONFIG_DIR",
    "TOKMON_FSYNC",
    "TOKMON_LOG_DIR",
    "TOKMON_STATE_DIR",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
)
"""What a user manager does not know of the user's shell, and the sidecar needs."""


def text(name: str, program: Path, env: Mapping[str, str]) -> str:
    """Return a unit that runs `program`, for a user whose shell has `env`."""
    lines: list[str] = []
    for line in (shipped_folder("bootstrap") / "systemd" / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("ListenStream=") and (socket := env.get("TOKMON_SOCKET")):
            lines.append(f"ListenStream={_escaped(socket)}")
        elif line.startswith("ExecStart="):
            lines.append(f'ExecStart="{_escaped(str(program)).replace("$", "$$")}" sidecar')
            values = ((variable, env.get(variable)) for variable in _VARIABLES)
            lines += [f'Environment="{variable}={_escaped(value)}"' for variable, value in values if value]
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def is_ours(unit: str) -> bool:
    """Whether the text of a unit is of some tokmon."""
    return any(line.startswith(_MARK) for line in unit.splitlines())


def _escaped(value: str) -> str:
    if not value.isprintable():
        raise InstallError(f"a unit cannot hold a path with a line break or the like: {value!r}", hint="choose another")
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
