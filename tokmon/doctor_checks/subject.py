"""What the checks examine. Answers that take time are fetched once."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from tokmon.paths import Paths
from tokmon.pi import installed
from tokmon.sidecar import client

_SIDECAR_PATIENCE_S: Final = 1.0


@dataclass(frozen=True)
class Subject:
    """The installation of one member, at one instant."""

    paths: Paths
    env: Mapping[str, str]
    now: float

    @cached_property
    def answer(self) -> dict[str, Any] | Exception:
        """The status that the sidecar reports, or the error that came instead."""
        try:
            return client.request_status(self.paths.sockets, _SIDECAR_PATIENCE_S)
        except (OSError, ValueError) as error:
            return error

    @property
    def pid(self) -> int | None:
        """The process that answers at the socket."""
        pid = self.answer.get("pid") if isinstance(self.answer, dict) else None
        return pid if isinstance(pid, int) else None

    @cached_property
    def pi(self) -> "Pi":
        """The pi that this environment would start, and its version."""
        words = installed.command(self.env)
        if words is None:
            return Pi(None, None, "is not on the PATH")
        return Pi(words[0], *installed.version(words, self.env))


@dataclass(frozen=True, slots=True)
class Pi:
    """The program of pi and its version, or the problem with them."""

    program: str | None
    version: str | None
    problem: str
