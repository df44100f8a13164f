"""The environment of the user who runs the installer, completed where a login would have set it."""

import os
import pwd
import re
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

from tokmon.errors import InstallError
from tokmon.installer.user.layout import absolute
from tokmon.installer.user.plan import say, warn

_PROGRAMS: Final = (
    ".local/bin",
    "bin",
    ".nvm/versions/node/*/bin",
    ".volta/bin",
    ".bun/bin",
    ".npm-global/bin",
    ".local/share/pnpm",
    ".local/share/mise/shims",
    ".asdf/shims",
)
"""Where users keep programs such as pi, below their home: a login shell would have put them on the PATH."""


def complete(env: MutableMapping[str, str], *, by_root: bool) -> None:
    """Set HOME where it is not set, and check that it is the user's; where root runs their part, complete the PATH."""
    if by_root:
        env["PATH"] = ":".join((*program_folders(Path(env["HOME"])), env["PATH"]))
    else:
        _find_home(env)


def program_folders(home: Path) -> list[str]:
    """The folders of a home in which programs may be, the newest version of each first."""
    folders = [str(path) for pattern in _PROGRAMS for path in sorted(home.glob(pattern), key=_numbers, reverse=True)]
    return [folder for folder in folders if ":" not in folder]


def _numbers(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"[0-9]+", str(path))]


def _find_home(env: MutableMapping[str, str]) -> None:
    """A home must be the user's own: its owner could not fix the files of another user in it."""
    if not env.get("HOME"):
        try:
            env["HOME"] = pwd.getpwuid(os.geteuid()).pw_dir
        except KeyError:
            raise InstallError("HOME is not set, and this user has no home", hint="set HOME") from None
        say(f"HOME is not set: taking {env['HOME']}")
    home = absolute(env["HOME"], "HOME")
    if not home.is_dir():
        raise InstallError(f"the home folder `{home}` is missing", hint="make it, or set HOME")
    if home.stat().st_uid != os.geteuid():
        raise InstallError(
            f"the home folder `{home}` belongs to another user",
            hint="run this as its owner, for example with `sudo -H -u NAME`",
        )
    if os.geteuid() == 0:
        warn("this installs for root alone", "without `--user` it is for every member")
