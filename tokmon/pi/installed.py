"""The pi that is installed: its command and its version. Standard library only: the installer uses it too.

The version is read from pi's `package.json` where the command leads there (`tokmon.pi.package`), since starting pi
takes seconds on a loaded machine. Anything else (a version manager's shim) is run with `--version`.
"""

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import Final

from tokmon.errors import UsageError, reason_of
from tokmon.pi.package import VERSION, package_version

TIMEOUT_S: Final = 5.0


def command(env: Mapping[str, str]) -> list[str] | None:
    """The command that runs pi: TOKMON_PI, else `pi`, with the program's path; None if there is no such program.

    UsageError if TOKMON_PI cannot be split into words.
    """
    text = env.get("TOKMON_PI") or "pi"
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"`{text}` is no command: {error}", hint="TOKMON_PI is the command that runs pi") from error
    program = shutil.which(words[0], path=env.get("PATH", os.defpath)) if words else None
    return None if program is None else [os.path.abspath(program), *words[1:]]  # noqa: PTH100 - links stay links


def version(words: Sequence[str], env: Mapping[str, str]) -> tuple[str | None, str]:
    """The version of the pi that a command runs; if None, why."""
    packaged = package_version(words)
    return (packaged, "") if packaged is not None else _ask_version(words, env)


def _ask_version(words: Sequence[str], env: Mapping[str, str]) -> tuple[str | None, str]:
    """The version that `pi --version` prints; the older versions of pi print it on stderr."""
    text, problem = ask([*words, "--version"], env, TIMEOUT_S)
    matches = (VERSION.fullmatch(line.strip()) for line in text.splitlines())
    return next((match[1] for match in matches if match), None), problem or "named no version"


def ask(command: Sequence[str], env: Mapping[str, str], timeout: float) -> tuple[str, str | None]:
    """Run a program: its stdout and stderr, and what went wrong or None. It is killed after `timeout` seconds."""
    try:
        program = subprocess.Popen(  # noqa: S603 - the user's own programs
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(env),
            start_new_session=True,
        )
    except OSError as error:
        return "", reason_of(error)
    with program:
        try:
            out, errors = program.communicate(timeout=timeout)
        except BaseException as error:
            # Its children as well: one that keeps the pipe open would keep us waiting.
            os.killpg(program.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            return "", f"did not answer in {timeout:g} s"
    text = (out + b"\n" + errors).decode(errors="replace")
    return text, None if program.returncode == 0 else f"ended with {program.returncode}"
