"""What is written into the systemd user units: the templates of `bootstrap/systemd/` for a program and a member."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tokmon.errors import InstallError

NAMES: Final = ("tokmon.socket", "tokmon.service")
_MARK: Final = "# tokmon: "
_KEPT: Final = (
    "PI_CODING_AGENT_DIR",
    "TOKMON_CONFIG_DIR",
    "TOKMON_FSYNC",
    "TOKMON_LOG_DIR",
    "TOKMON_STATE_DIR",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
)
"""What a user manager does not know of the member's shell, and the sidecar needs."""


@dataclass(frozen=True, slots=True)
class Units:
    """The templates, read beforehand: root becomes a member who may not be able to read them."""

    templates: Mapping[str, str]

    def text(self, name: str, program: Path, env: Mapping[str, str]) -> str:
        """A unit that runs `program`, for a member whose shell has `env`."""
        lines: list[str] = []
        for line in self.templates[name].splitlines():
            if line.startswith("ListenStream=") and (socket := env.get("TOKMON_SOCKET")):
                lines.append(f"ListenStream={_escaped(socket)}")
            elif line.startswith("ExecStart="):
                lines.append(f'ExecStart="{_escaped(str(program)).replace("$", "$$")}" sidecar')
                kept = ((each, env.get(each)) for each in _KEPT)
                lines += [f'Environment="{each}={_escaped(value)}"' for each, value in kept if value]
            else:
                lines.append(line)
        return "\n".join(lines) + "\n"


def read(folder: Path) -> Units:
    """Read the templates in `folder`."""
    return Units({name: (folder / name).read_text(encoding="utf-8") for name in NAMES})


def is_ours(text: str) -> bool:
    """Whether a unit is of some tokmon."""
    return any(line.startswith(_MARK) for line in text.splitlines())


def _escaped(text: str) -> str:
    if not text.isprintable():
        raise InstallError(
            f"a path with a line break or the like cannot stand in a unit: {text!r}", hint="choose another"
        )
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
