"""Running other programs: bounded, and with an environment that no other Python or pip was configured in."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tokmon.errors import InstallError

Words = Sequence[str | Path]
Done = subprocess.CompletedProcess[str]

# A user's own pip.conf may set the PIP_ ones, and would break an install into a venv.
_DROPPED: Final = {
    *("PYTHONHOME", "PYTHONPATH", "PYTHONPYCACHEPREFIX", "PYTHONSTARTUP"),
    *("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT"),
}
_SET: Final = {
    "PIP_USER": "0",
    "PIP_REQUIRE_VIRTUALENV": "0",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}
_LAST_LINES: Final = 5
_PACKAGES: Final = {
    "apt-get install": "python3-venv",
    "dnf install": "python3-libs python3-pip",
    "apk add": "python3 py3-pip",
    "pacman -S": "python python-pip",
    "zypper install": "python3-base python3-pip",
}
"""What has the modules venv and ensurepip, or the wheel of pip, by the command that installs it."""


def how_to_install(module: str) -> str:
    """Return the command that installs a module of Python on this system."""
    for command, packages in _PACKAGES.items():
        if shutil.which(command.split()[0]):
            return f"`{command} {packages}` (as root)"
    return f"install a Python 3.11 or newer with its module {module}, or name one with TOKMON_PYTHON"


def clean_environment() -> dict[str, str]:
    """Return our environment without what belongs to another Python."""
    return {name: value for name, value in os.environ.items() if name not in _DROPPED} | _SET


def capture(words: Words, *, timeout: float = 60.0) -> Done:
    """Run a program to its end; one that cannot run or hangs has failed, with exit code -1 and the reason as stderr."""
    try:
        return _run(words, timeout, subprocess.PIPE)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Done(list(words), -1, "", str(error))


def require(words: Words, *, holding: int | None = None, timeout: float | None = None) -> None:
    """Run a program that must succeed, or raise InstallError with its last words.

    It inherits the lock `holding`, so that the next installer waits for what a killed installer had started.
    """
    try:
        done = _run(words, timeout, subprocess.STDOUT, () if holding is None else (holding,))
        why = "\n".join(done.stdout.strip().splitlines()[-_LAST_LINES:])
    except (OSError, subprocess.TimeoutExpired) as error:
        done, why = None, str(error)
    if done is None or done.returncode != 0:
        message = f"this failed: `{shlex.join(map(str, words))}`\n{why}".strip()
        raise InstallError(message, hint="fix what it says, then run this again: it goes on from here")


def _run(words: Words, timeout: float | None, stderr: int, inherited: tuple[int, ...] = ()) -> Done:
    return subprocess.run(  # noqa: S603 - the words are ours
        words,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        errors="replace",
        timeout=timeout,
        pass_fds=inherited,
        check=False,
    )
