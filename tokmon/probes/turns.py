"""Who may be asked now: at most once in twenty minutes, whichever process asks, and later where too often was said.

Asking is claimed under a lock before it is done, so that of two processes one asks. The state is a small file; one
that is damaged or of another time is as good as none.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tokmon.errors import StoreError
from tokmon.store import Held, encode, read_json, replace

INTERVAL_S: Final = 20 * 60.0
BACK_OFF_S: Final = 3600.0
LONGEST_S: Final = 24 * 3600.0
_JITTER: Final = 0.1
"""Of the interval, added: who began together does not stay together."""

_SKEW_S: Final = 60.0
_LOCK_WAIT_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Turn:
    """Whether one may be asked; `asked_at` is when it last was, `next_at` when it may be again."""

    granted: bool
    asked_at: float | None = None
    next_at: float | None = None


class Turns:
    """The turns of all providers, in the state folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "probes.json"
        self._lock = folder / "probes.lock"

    def take(self, names: Iterable[str], now: float, *, force: bool = False) -> dict[str, Turn]:
        """Claim the turns that are due, or all of them. StoreError where that cannot be written down."""
        with Held(self._lock) as held:
            if not held.take(_LOCK_WAIT_S):
                raise StoreError("others are asking, and do not come to an end", hint="try again in a while")
            known = self._read(now)
            turns = {name: _turn(known.get(name), now, force=force) for name in names}
            granted = [name for name, turn in turns.items() if turn.granted]
            for name in granted:
                refused = known.get(name, {}).get("refused", 0)
                known[name] = {"asked_at": now, "next_at": now + _interval(), "refused": refused}
            if granted:
                self._write(known)
        return turns

    def settle(self, told: Mapping[str, float | None], now: float) -> None:
        """What came of it: for who said that it is asked too often, the seconds to wait (0 if not said), else None."""
        with Held(self._lock) as held:
            if not told or not held.take(_LOCK_WAIT_S):
                return
            known = self._read(now)
            for name, wait in told.items():
                entry = known.get(name)
                if entry is None:
                    continue
                if wait is None:
                    entry["refused"] = 0
                    continue
                entry["refused"] = min(entry["refused"] + 1, 10)
                longer = max(wait, BACK_OFF_S * 2 ** (entry["refused"] - 1))
                entry["next_at"] = now + min(longer, LONGEST_S) + _interval() - INTERVAL_S
            self._write(known)

    def _read(self, now: float) -> dict[str, dict[str, Any]]:
        said = (read_json(self._path) or {}).get("providers")
        entries = said.items() if isinstance(said, dict) else ()
        return {name: entry for name, told in entries if (entry := _entry(told, now)) is not None}

    def _write(self, known: Mapping[str, Any]) -> None:
        try:
            replace(self._path, encode({"version": 1, "providers": known}) + b"\n")
        except OSError as error:
            raise StoreError(
                f"cannot write `{self._path}`: {error.strerror or error}",
                hint="check the owner, the permissions and the space of that folder",
            ) from error


def _entry(told: object, now: float) -> dict[str, Any] | None:
    """What stands of one in the file; None if it is nothing that we wrote, or of a clock that was ahead."""
    if not isinstance(told, dict):
        return None
    asked, following, refused = (told.get(key) for key in ("asked_at", "next_at", "refused"))
    if not isinstance(asked, (int, float)) or not isinstance(following, (int, float)) or not isinstance(refused, int):
        return None
    if asked > now + _SKEW_S or following > asked + 2 * LONGEST_S or refused < 0:
        return None
    return {"asked_at": asked, "next_at": following, "refused": refused}


def _turn(entry: Mapping[str, Any] | None, now: float, *, force: bool) -> Turn:
    if entry is None:
        return Turn(granted=True)
    return Turn(force or entry["next_at"] <= now, entry["asked_at"], entry["next_at"])


def _interval() -> float:
    return INTERVAL_S * (1 + random.SystemRandom().uniform(0, _JITTER))
