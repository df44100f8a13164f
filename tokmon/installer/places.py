"""Where the program and a member's part of it lie. Nothing here touches the disk."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tokmon import paths
from tokmon.errors import UsageError

_ROOTS_PREFIX: Final = Path("/opt/tokmon")
_ROOTS_LINK: Final = Path("/usr/local/bin/tokmon")


@dataclass(frozen=True, slots=True)
class Places:
    """Of the program: everything below `prefix`, and `link`, by which it is called. `shared`: root's, for everyone."""

    prefix: Path
    link: Path
    shared: bool = False

    @property
    def versions(self) -> Path:
        """One environment for each version, finished once `.complete` is in it."""
        return self.prefix / "versions"

    @property
    def current(self) -> Path:
        """A link to the version in use."""
        return self.prefix / "current"

    @property
    def program(self) -> Path:
        """The command of whichever version is in use."""
        return self.current / "bin" / "tokmon"

    @property
    def receipt(self) -> Path:
        """What was put where."""
        return self.prefix / "receipt.json"

    @property
    def lock(self) -> Path:
        """Empty; held while an install runs."""
        return self.prefix / "install.lock"


@dataclass(frozen=True, slots=True)
class Home:
    """Of a member: `data` is ours, the rest is where others look."""

    home: Path
    data: Path
    link: Path
    units: Path
    found: paths.Paths

    @property
    def hook(self) -> Path:
        """Where wake scripts find the hook."""
        return self.data / "hooks" / "budget-select"

    @property
    def receipt(self) -> Path:
        """What was put where; the program's as well, if it is the member's own."""
        return self.data / "receipt.json"

    @property
    def lock(self) -> Path:
        """Empty; held while an install runs."""
        return self.data / "install.lock"


def of_root(prefix: Path | None) -> Places:
    """Where root installs for everyone."""
    if prefix is None:
        return Places(_ROOTS_PREFIX, _ROOTS_LINK, shared=True)
    return Places(prefix / "share" / "tokmon", prefix / "bin" / "tokmon", shared=True)


def of_member(env: Mapping[str, str], prefix: Path | None) -> Places:
    """Where a member installs alone."""
    home = of_home(env, prefix)
    return Places(home.data, home.link)


def of_home(env: Mapping[str, str], prefix: Path | None = None) -> Home:
    """Where a member's part lies; `prefix` moves the data and the link."""
    found = paths.find(env)
    data = _xdg(env, "XDG_DATA_HOME", found.home / ".local" / "share")
    config = _xdg(env, "XDG_CONFIG_HOME", found.home / ".config")
    return Home(
        home=found.home,
        data=(prefix / "share" if prefix else data) / "tokmon",
        link=(prefix or found.home / ".local") / "bin" / "tokmon",
        units=config / "systemd" / "user",
        found=found,
    )


def of_running() -> Path | None:
    """The prefix that the running program was installed under by this installer, or None."""
    return paths.installed_prefix()


def prefix_of_running() -> Path | None:
    """The `--prefix` that the running program was installed with, where it is this user's."""
    found = of_running()
    if found is None or found.parent.name != "share" or found.stat().st_uid != os.geteuid():
        return None
    return found.parent.parent


def absolute(text: str, name: str) -> Path:
    """The folder that an option or a variable names. Raises UsageError naming it."""
    if not text.startswith("/"):
        raise UsageError(f"`{text}` is not an absolute path", hint=f"give `{name}` one that starts with `/`")
    return Path(text)


def _xdg(env: Mapping[str, str], name: str, default: Path) -> Path:
    value = env.get(name, "")
    return Path(value) if value.startswith("/") else default
