"""Running other programs: with an environment that no other Python or pip has been configured in, and bounded."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tokmon.errors import InstallError

_PYTHONS: Final = {"PYTHONHOME", "PYTHONPATH", "PYTHONPYCACHEPREFIX", "PYTHONSTARTUP"}
# A user's own pip.conf may say otherwise, and would break an install into a venv.
_PIPS: Final = {"PIP_TARGET", "PIP_PREFIX", "PIP_ROOT"}
_SET: Final = {
    "PIP_USER": "0",
    "PIP_REQUIRE_VIRTUALENV": "0",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}
_SHORT_S: Final = 60.0
_LAST_LINES: Final = 5

Done = subprocess.CompletedProcess[str]

_PACKAGES: Final = {
    "apt-get install": {"venv": "python3-venv", "pip": "python3-venv"},
    "dnf install": {"venv": "python3-libs", "pip": "python3-pip"},
    "apk add": {"venv": "python3", "pip": "py3-pip"},
    "pacman -S": {"venv": "python", "pip": "python-pip"},
    "zypper install": {"venv": "python3-base", "pip": "python3-pip"},
}


def how_to_install(what: str) -> str:
    """The command that installs `venv` or `pip` on this system."""
    for command, packages in _PACKAGES.items():
        if shutil.which(command.split()[0]):
            return f"`{command} {packages[what]}` (as root)"
    return f"install a Python 3.11 or newer with its module {what}, or name one with TOKMON_PYTHON"


def clean() -> dict[str, str]:
    """Our environment without what belongs to another Python."""
    return {name: value for name, value in os.environ.items() if name not in _PYTHONS | _PIPS} | _SET


def ask(words: Sequence[str | Path], *, timeout: float = _SHORT_S) -> Done:
    """Run a program to its end and hand back what it said; one that cannot run or hangs has failed (exit code -1)."""
    try:
        return subprocess.run(  # noqa: S603 - the words are ours
            words,
            env=clean(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(list(words), -1, "", str(error))


def ensure(words: Sequence[str | Path], *, holding: int | None = None, timeout: float | None = None) -> None:
    """Run a program that must succeed, or raise InstallError with its last words.

    It inherits the lock `holding`, so that what a killed installer started is waited for by the next one.
    """
    try:
        done = subprocess.run(  # noqa: S603 - the words are ours
            words,
            env=clean(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
            pass_fds=() if holding is None else (holding,),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _failed(words, str(error)) from error
    if done.returncode != 0:
        raise _failed(words, "\n".join(done.stdout.strip().splitlines()[-_LAST_LINES:]))


def _failed(words: Sequence[str | Path], why: str) -> InstallError:
    told = f"{shlex.join(map(str, words))}"
    return InstallError(
        f"this failed: `{told}`\n{why}".strip(),
        hint="mend what it says, then run this again: it goes on from here",
    )
