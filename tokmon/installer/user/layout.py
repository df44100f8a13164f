"""Where the program and a user's part of it lie. Nothing here touches the disk, but for `own_prefix`."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tokmon import paths
from tokmon.errors import UsageError

_HOST_PREFIX: Final = Path("/opt/tokmon")
_HOST_LINK: Final = Path("/usr/local/bin/tokmon")


class ProgramPaths:
    """The program: everything below `prefix`, and `link`, by which it is called. `shared`: root's, for everyone.

    `versions` holds an environment for each version, finished once `.complete` is in it; `current` is a link to the
    version in use, `command` its program. `receipt` says what was put where (the user's part too, if the program is the
    user's own), and `lock` is locked while an install runs.
    """

    def __init__(self, prefix: Path, link: Path, *, shared: bool = False) -> None:
        self.prefix, self.link, self.shared = prefix, link, shared
        self.versions, self.current = prefix / "versions", prefix / "current"
        self.command = self.current / "bin" / "tokmon"
        self.receipt, self.lock = prefix / "receipt.json", prefix / "install.lock"


@dataclass(frozen=True, slots=True)
class UserPaths:
    """A user's part: below `program.prefix` the receipt, the lock and the hooks, and the rest where others look."""

    home: Path
    program: ProgramPaths
    hooks: Path
    units: Path
    tokmon: paths.Paths


def host_program(prefix: Path | None) -> ProgramPaths:
    """Where root installs for everyone."""
    if prefix is None:
        return ProgramPaths(_HOST_PREFIX, _HOST_LINK, shared=True)
    return ProgramPaths(prefix / "share" / "tokmon", prefix / "bin" / "tokmon", shared=True)


def user_paths(env: Mapping[str, str], prefix: Path | None = None) -> UserPaths:
    """Where a user's part lies; `prefix` moves the program and its link."""
    tokmon_paths = paths.find(env)
    own = (
        prefix / "share" if prefix else _xdg(env, "XDG_DATA_HOME", tokmon_paths.home / ".local" / "share")
    ) / "tokmon"
    program = ProgramPaths(own, (prefix or tokmon_paths.home / ".local") / "bin" / "tokmon")
    units = _xdg(env, "XDG_CONFIG_HOME", tokmon_paths.home / ".config") / "systemd" / "user"
    return UserPaths(tokmon_paths.home, program, own / "hooks", units, tokmon_paths)


def running_prefix() -> Path | None:
    """The prefix that the running program was installed under by this installer, or None."""
    return paths.installed_prefix()


def own_prefix() -> Path | None:
    """The `--prefix` that the running program was installed with, where it is this user's."""
    prefix = running_prefix()
    if prefix is None or prefix.parent.name != "share" or prefix.stat().st_uid != os.geteuid():
        return None
    return prefix.parent.parent


def absolute(text: str, name: str) -> Path:
    """Return the folder that an option or a variable names. Raises UsageError naming it."""
    if not text.startswith("/"):
        raise UsageError(f"`{text}` is not an absolute path", hint=f"give `{name}` a path that starts with `/`")
    return Path(text)


def _xdg(env: Mapping[str, str], name: str, default: Path) -> Path:
    value = env.get(name, "")
    return Path(value) if value.startswith("/") else default
