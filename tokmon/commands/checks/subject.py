"""What the checks look at. What takes time, or must not be asked twice, is asked once and kept."""

import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from tokmon import client
from tokmon.paths import Paths

_PI_PATIENCE_S: Final = 5.0
_SIDECAR_PATIENCE_S: Final = 1.0
_VERSION: Final = re.compile(r"^v?(\d+\.\d+\.\d+\S*)$")


@dataclass(frozen=True)
class Subject:
    """One member's installation, at one time."""

    paths: Paths
    env: Mapping[str, str]
    now: float

    @cached_property
    def answer(self) -> dict[str, Any] | Exception:
        """What the sidecar says of itself, or why it says nothing."""
        try:
            return client.ask_status(self.paths.sockets, _SIDECAR_PATIENCE_S)
        except (OSError, ValueError) as error:
            return error

    @property
    def pid(self) -> int | None:
        """The process that answers at the socket."""
        said = self.answer.get("pid") if isinstance(self.answer, dict) else None
        return said if isinstance(said, int) else None

    @cached_property
    def pi(self) -> "Pi":
        """The pi that this environment would start, and the version it says it has."""
        words = shlex.split(self.env.get("TOKMON_PI") or "pi")
        program = shutil.which(words[0], path=self.env.get("PATH")) if words else None
        if program is None:
            return Pi(None, None, "is not on the PATH")
        said, problem = ask([program, *words[1:], "--version"], self.env, _PI_PATIENCE_S)
        found = (_VERSION.match(line.strip()) for line in said.splitlines())
        version = next((match[1] for match in found if match), None)
        return Pi(program, version, problem or "named no version")


@dataclass(frozen=True, slots=True)
class Pi:
    """Where pi is, its version, and if there is none, why."""

    program: str | None
    version: str | None
    problem: str


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
        except subprocess.TimeoutExpired:
            # Its children too: one that keeps the pipe would keep us.
            os.killpg(process.pid, signal.SIGKILL)
            return "", f"did not answer in {patience:g} s"
    said = (out + b"\n" + errors).decode(errors="replace")
    return said, None if process.returncode == 0 else f"ended with {process.returncode}"
