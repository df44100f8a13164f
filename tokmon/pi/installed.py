"""The pi that is installed: how it is run, and which version it is. Standard library only: the sidecar asks too.

A pi that npm installed says its version in the `package.json` beside it, and so need not be started. What is something
else (a wrapper script, a version manager's stand-in) can become another version without changing: it is asked.
"""

import json
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tokmon.errors import UsageError

PATIENCE_S: Final = 5.0

_VERSION: Final = re.compile(r"v?(\d+\.\d+\.\d+\S*)")
_LEVELS: Final = 4
_LARGEST: Final = 1 << 20


class Package(NamedTuple):
    """pi's own `package.json`, and the version in it."""

    path: Path
    version: str


def command(env: Mapping[str, str]) -> list[str] | None:
    """How this environment runs pi: TOKMON_PI, else `pi`, with the program's path; None where there is none.

    UsageError where TOKMON_PI cannot be split into words.
    """
    said = env.get("TOKMON_PI") or "pi"
    try:
        return found(shlex.split(said), env.get("PATH", os.defpath))
    except ValueError as error:
        raise UsageError(f"`{said}` is no command: {error}", hint="say how to run pi with TOKMON_PI") from error


def found(words: Sequence[str], folders: str = "") -> list[str] | None:
    """A command with its program's path, looked for in folders as PATH names them; None where it is in none."""
    program = _which(words[0], folders) if words else None
    return None if program is None else [program, *words[1:]]


def _which(name: str, folders: str) -> str | None:
    """As `shutil.which`, whose module takes a sidecar a megabyte."""
    tried = [name] if "/" in name else [f"{folder}/{name}" for folder in folders.split(":") if folder]
    usable = next((path for path in tried if os.path.isfile(path) and os.access(path, os.X_OK)), None)  # noqa: PTH113
    return None if usable is None else os.path.abspath(usable)  # noqa: PTH100 - links stay links


def package(words: Sequence[str]) -> Package | None:
    """The `package.json` of the pi that a command runs, if one of its words leads there."""
    for word in words:
        if not word.startswith("/"):
            continue
        for folder in Path(os.path.realpath(word)).parents[:_LEVELS]:
            told = _package(folder / "package.json")
            if told is not None:
                return told
    return None


def _package(path: Path) -> Package | None:
    try:
        with path.open("rb") as file:
            said = json.loads(file.read(_LARGEST))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not str(said.get("name")).endswith("pi-coding-agent"):
        return None
    version = _VERSION.fullmatch(str(said.get("version")))
    return None if version is None else Package(path, version[1])


def ask_version(words: Sequence[str], env: Mapping[str, str]) -> tuple[str | None, str]:
    """The version that `pi --version` says, and why there is none. The older versions answer on stderr."""
    said, problem = ask([*words, "--version"], env, PATIENCE_S)
    versions = (_VERSION.fullmatch(line.strip()) for line in said.splitlines())
    return next((match[1] for match in versions if match), None), problem or "named no version"


def ask(command: Sequence[str], env: Mapping[str, str], patience: float) -> tuple[str, str | None]:
    """What a program says on stdout and stderr within some seconds, and what went wrong, if anything did."""
    try:
        process = subprocess.Popen(  # noqa: S603 - the user's own programs
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(env),
            start_new_session=True,
        )
    except OSError as error:
        return "", (error.strerror or str(error)).lower()
    with process:
        try:
            out, errors = process.communicate(timeout=patience)
        except BaseException as error:
            # Its children too: one that keeps the pipe would keep us.
            os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            return "", f"did not answer in {patience:g} s"
    said = (out + b"\n" + errors).decode(errors="replace")
    return said, None if process.returncode == 0 else f"ended with {process.returncode}"
