"""Who may be asked now: at most once in twenty minutes, whichever process asks, and later where too often was said.

Asking is claimed under a lock before it is done, so that of two processes one asks. The state is a small file; one
that is damaged or of another time is as good as none. It also remembers for a day which endpoints are not there or
not for this credential, which is known by the time of change of the files that it is in, and by nothing of itself.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from tokmon.errors import StoreError
from tokmon.paths import Paths
from tokmon.store import Held, encode, read_json, replace

INTERVAL_S: Final = 20 * 60.0
BACK_OFF_S: Final = 3600.0
LONGEST_S: Final = 24 * 3600.0
_JITTER: Final = 0.1
"""Of the interval, added: who began together does not stay together."""

_SKEW_S: Final = 60.0
_LOCK_WAIT_S: Final = 2.0
_ASKING_S: Final = 3.0
_PATHS: Final = 4
_LONGEST_PATH: Final = 200


@dataclass(frozen=True, slots=True)
class Slot:
    """Whether one may be asked; `asked_at` is when it last was, `next_at` when it may be again."""

    granted: bool
    probed_at: float | None = None
    next_at: float | None = None
    closed_paths: tuple[str, ...] = ()
    """What need not be asked of it."""

    in_progress: bool = False
    """Whether whoever took the last turn has not said yet that it is over."""

    def is_in_progress(self, now: float) -> bool:
        """Whether it is being asked: a wake that asks is over after some seconds, whatever came of it."""
        return self.in_progress and self.probed_at is not None and now - self.probed_at < _ASKING_S

    def may_be_probed(self, now: float) -> bool:
        """Whether whoever looks then would ask it, or wait for who does."""
        return self.granted or (self.next_at or 0.0) <= now or self.is_in_progress(now)


class ProbeOutcome(NamedTuple):
    """What came of asking one: whether it answered, and the seconds to wait if it said that it is asked too often.

    They are 0 where it did not say how long, and None where it did not say so at all. `closed` is what gave way.
    """

    answered: bool
    wait_s: float | None = None
    closed_paths: tuple[str, ...] = ()


@dataclass(slots=True)
class _Entry:
    """What the file says of one; instants are epoch seconds."""

    asked_at: float
    next_at: float
    refused: int = 0
    open: bool = False
    closed: list[str] = field(default_factory=list)
    closed_at: float = 0.0
    closed_of: int = 0


class ProbeLimiter:
    """The turns of all providers, in the state folder.

    `credentials` is the time of change of the files that credentials are in: what was closed to another is not known.
    """

    def __init__(self, folder: Path, credentials: int = 0) -> None:
        self._path = folder / "probes.json"
        self._lock = folder / "probes.lock"
        self._credentials = credentials

    def slots(self, names: Iterable[str], now: float) -> dict[str, Slot]:
        """Whose turn it is, and nobody's is taken."""
        known = self._read(now)
        return {name: self._turn(known.get(name), now) for name in names}

    def claim(
        self, names: Iterable[str], now: float, *, force: bool = False, patience_s: float = _LOCK_WAIT_S
    ) -> dict[str, Slot]:
        """Claim the turns that are due, or all of them. StoreError where that cannot be written down."""
        with Held(self._lock) as held:
            if not held.take(patience_s):
                raise StoreError("others are asking, and do not come to an end", hint="try again in a while")
            known = self._read(now)
            turns = {name: self._turn(known.get(name), now, force=force) for name in names}
            granted = [name for name, turn in turns.items() if turn.granted]
            for name in granted:
                entry = known.setdefault(name, _Entry(now, now))
                entry.asked_at, entry.next_at, entry.open = now, now + _interval(), True
            if granted:
                self._write(known)
        return turns

    def release(self, told: Mapping[str, ProbeOutcome], now: float, *, patience_s: float = _LOCK_WAIT_S) -> None:
        """Write down what came of it, and that it is over."""
        with Held(self._lock) as held:
            if not told or not held.take(patience_s):
                return
            known = self._read(now)
            for name, said in told.items():
                if name in known:
                    self._settle(known[name], said, now)
            self._write(known)

    def _settle(self, entry: _Entry, said: ProbeOutcome, now: float) -> None:
        entry.open = False
        if said.closed_paths:
            entry.closed, entry.closed_at, entry.closed_of = list(said.closed_paths), now, self._credentials
        if not said.answered:
            return
        if said.wait_s is None:
            entry.refused = 0
            return
        entry.refused = min(entry.refused + 1, 10)
        longer = max(said.wait_s, BACK_OFF_S * 2 ** (entry.refused - 1))
        entry.next_at = now + min(longer, LONGEST_S) + _interval() - INTERVAL_S

    def _turn(self, entry: _Entry | None, now: float, *, force: bool = False) -> Slot:
        if entry is None:
            return Slot(granted=True)
        counts = not force and entry.closed_of == self._credentials and 0 <= now - entry.closed_at < LONGEST_S
        return Slot(
            force or entry.next_at <= now,
            entry.asked_at,
            entry.next_at,
            tuple(entry.closed) if counts else (),
            entry.open,
        )

    def _read(self, now: float) -> dict[str, _Entry]:
        said = (read_json(self._path) or {}).get("providers")
        entries = said.items() if isinstance(said, dict) else ()
        return {name: entry for name, told in entries if (entry := _entry(told, now)) is not None}

    def _write(self, known: Mapping[str, _Entry]) -> None:
        providers = {name: asdict(entry) for name, entry in known.items()}
        try:
            replace(self._path, encode({"version": 1, "providers": providers}) + b"\n")
        except OSError as error:
            raise StoreError(
                f"cannot write `{self._path}`: {error.strerror or error}",
                hint="check the owner, the permissions and the space of that folder",
            ) from error


def probe_limiter(found: Paths) -> ProbeLimiter:
    """The turns of all providers, as of the credentials that pi has now."""
    changed = 0
    for path in (found.models, found.agent / "auth.json"):
        try:
            changed = max(changed, path.stat().st_mtime_ns)
        except OSError:
            continue
    return ProbeLimiter(found.state, changed)


def _entry(told: object, now: float) -> _Entry | None:
    """What stands of one in the file; None if it is nothing that we wrote, or of a clock that was ahead."""
    if not isinstance(told, dict):
        return None
    asked, following, refused = (told.get(key) for key in ("asked_at", "next_at", "refused"))
    if not isinstance(asked, (int, float)) or not isinstance(following, (int, float)) or not isinstance(refused, int):
        return None
    if asked > now + _SKEW_S or following > asked + 2 * LONGEST_S or refused < 0:
        return None
    entry = _Entry(asked, following, refused, open=told.get("open") is True)
    closed, at, of = (told.get(key) for key in ("closed", "closed_at", "closed_of"))
    if isinstance(closed, list) and isinstance(at, (int, float)) and isinstance(of, int):
        paths = [path for path in closed[:_PATHS] if isinstance(path, str) and len(path) <= _LONGEST_PATH]
        entry.closed, entry.closed_at, entry.closed_of = paths, at, of
    return entry


def _interval() -> float:
    return INTERVAL_S * (1 + random.SystemRandom().uniform(0, _JITTER))
