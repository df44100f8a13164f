"""What the checks look at. What takes time, or must not be asked twice, is asked once and kept."""

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
    """One member's installation, at one time."""

    paths: Paths
    env: Mapping[str, str]
    now: float

    @cached_property
    def answer(self) -> dict[str, Any] | Exception:
        """What the sidecar says of itself, or why it says nothing."""
        try:
            return client.request_status(self.paths.sockets, _SIDECAR_PATIENCE_S)
        except (OSError, ValueError) as error:
            return error

    @property
    def pid(self) -> int | None:
        """The process that answers at the socket."""
        said = self.answer.get("pid") if isinstance(self.answer, dict) else None
        return said if isinstance(said, int) else None

    @cached_property
    def pi(self) -> "Pi":
        """The pi that this environment would start, and its version."""
        words = installed.command(self.env)
        if words is None:
            return Pi(None, None, "is not on the PATH")
        return Pi(words[0], *installed.version(words, self.env))


@dataclass(frozen=True, slots=True)
class Pi:
    """Where pi is, its version, and if there is none, why."""

    program: str | None
    version: str | None
    problem: str
