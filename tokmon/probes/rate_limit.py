"""Which accounts may be probed now: each at most once in 20 minutes by any process, later after a 429.

A process claims a slot under a lock before it probes, so that only one of several probes. The state is a small file;
a damaged file, or one with instants in the future, is ignored. It also keeps, for a day, the endpoints that do not
exist or refuse the credential. It identifies credentials by the modification time of their files only.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from tokmon.errors import StoreError, reason_of
from tokmon.paths import Paths
from tokmon.store.atomic import replace_private
from tokmon.store.codec import encode, read_json
from tokmon.store.fingerprint import Fingerprint, fingerprint
from tokmon.store.lock import ProcessLock

INTERVAL_S: Final = 20 * 60.0
BACK_OFF_S: Final = 3600.0
LONGEST_S: Final = 24 * 3600.0
VERSION: Final = 2
_JITTER: Final = 0.1
"""The largest part of the interval that is added at random, so that processes do not stay in step."""

_SKEW_S: Final = 60.0
_LOCK_WAIT_S: Final = 2.0
_PROBE_S: Final = 3.0
_MAX_DOUBLINGS: Final = 10
_MAX_PATHS: Final = 4
_LONGEST_PATH: Final = 200


@dataclass(frozen=True, slots=True)
class Slot:
    """Whether an account may be probed. `probed_at` is the last probe, `next_at` the next allowed one (epoch s)."""

    granted: bool
    probed_at: float | None = None
    next_at: float | None = None
    closed_paths: tuple[str, ...] = ()
    """Endpoints that do not exist or refuse the credential."""

    in_progress: bool = False
    """True if the process that claimed the last slot has not released it."""

    def is_in_progress(self, now: float) -> bool:
        """True if another process may be probing the account now: a wake's probe takes 3 seconds at most."""
        return self.in_progress and self.probed_at is not None and now - self.probed_at < _PROBE_S

    def may_be_probed(self, now: float) -> bool:
        """True if a process that looks at this instant can probe the account, or wait for a probe in progress."""
        return self.granted or (self.next_at or 0.0) <= now or self.is_in_progress(now)


class ProbeOutcome(NamedTuple):
    """The outcome of a probe, for the rate limit.

    `wait_s` is None unless the endpoint refused the probe as too frequent; then it is the wait in seconds that it
    asked for, 0 if it named none.
    """

    answered: bool
    wait_s: float | None = None
    closed_paths: tuple[str, ...] = ()


@dataclass(slots=True)
class _Entry:
    """The saved state of one account. Instants are epoch seconds."""

    probed_at: float
    next_at: float
    refusals: int = 0
    """Refusals of a probe as too frequent, one after the other."""

    in_progress: bool = False
    closed_paths: list[str] = field(default_factory=list)
    closed_at: float = 0.0
    credentials: list[list[int]] = field(default_factory=list)
    """Fingerprints of the credential files for which the paths are closed."""


class ProbeLimiter:
    """The slots of all accounts, saved in the state folder.

    `credentials` are fingerprints of the files with credentials: closed paths hold for these only.
    """

    def __init__(self, folder: Path, credentials: Iterable[Fingerprint] = ()) -> None:
        self._path = folder / "probes.json"
        self._lock = folder / "probes.lock"
        self._credentials = [list(entry) for entry in credentials]

    def slots(self, names: Iterable[str], now: float) -> dict[str, Slot]:
        """The slots of these accounts, without a claim."""
        entries = self._read(now)
        return {name: self._slot(entries.get(name), now) for name in names}

    def claim(
        self, names: Iterable[str], now: float, *, force: bool = False, patience_s: float = _LOCK_WAIT_S
    ) -> dict[str, Slot]:
        """Claim the slots of these accounts that are due, or all with `force`. Raises StoreError if it cannot save."""
        with ProcessLock(self._lock) as lock:
            if not lock.acquire(patience_s):
                raise StoreError(f"`{self._lock}` is locked by another process", hint="try again later")
            entries = self._read(now)
            slots = {name: self._slot(entries.get(name), now, force=force) for name in names}
            granted = [name for name, slot in slots.items() if slot.granted]
            for name in granted:
                entry = entries.setdefault(name, _Entry(now, now))
                entry.probed_at, entry.next_at, entry.in_progress = now, now + _interval(), True
            if granted:
                self._write(entries)
        return slots

    def release(self, outcomes: Mapping[str, ProbeOutcome], now: float, *, patience_s: float = _LOCK_WAIT_S) -> None:
        """Save the outcomes of probes and end their claims."""
        with ProcessLock(self._lock) as lock:
            if not outcomes or not lock.acquire(patience_s):
                return
            entries = self._read(now)
            for name, outcome in outcomes.items():
                if name in entries:
                    self._apply(entries[name], outcome, now)
            self._write(entries)

    def _apply(self, entry: _Entry, outcome: ProbeOutcome, now: float) -> None:
        entry.in_progress = False
        if outcome.closed_paths:
            entry.closed_paths, entry.closed_at = list(outcome.closed_paths), now
            entry.credentials = self._credentials
        if not outcome.answered:
            return
        if outcome.wait_s is None:
            entry.refusals = 0
            return
        entry.refusals = min(entry.refusals + 1, _MAX_DOUBLINGS)
        wait = max(outcome.wait_s, BACK_OFF_S * 2 ** (entry.refusals - 1))
        entry.next_at = now + min(wait, LONGEST_S) + _interval() - INTERVAL_S

    def _slot(self, entry: _Entry | None, now: float, *, force: bool = False) -> Slot:
        if entry is None:
            return Slot(granted=True)
        is_current = entry.credentials == self._credentials and 0 <= now - entry.closed_at < LONGEST_S
        return Slot(
            granted=force or entry.next_at <= now,
            probed_at=entry.probed_at,
            next_at=entry.next_at,
            closed_paths=tuple(entry.closed_paths) if is_current and not force else (),
            in_progress=entry.in_progress,
        )

    def _read(self, now: float) -> dict[str, _Entry]:
        saved = read_json(self._path) or {}
        accounts = saved.get("accounts") if saved.get("version") == VERSION else None
        entries = accounts.items() if isinstance(accounts, dict) else ()
        return {name: entry for name, fields in entries if (entry := _entry(fields, now)) is not None}

    def _write(self, entries: Mapping[str, _Entry]) -> None:
        accounts = {name: asdict(entry) for name, entry in entries.items()}
        try:
            replace_private(self._path, encode({"version": VERSION, "accounts": accounts}) + b"\n")
        except OSError as error:
            raise StoreError(
                f"cannot write `{self._path}`: {reason_of(error)}",
                hint="check the owner, the permissions and the space of that folder",
            ) from error


def probe_limiter(paths: Paths) -> ProbeLimiter:
    """The limiter of this user, for the credentials that pi has now."""
    return ProbeLimiter(paths.state, map(fingerprint, (paths.models, paths.agent / "auth.json")))


def _entry(fields: object, now: float) -> _Entry | None:
    """The saved entry; None if it is damaged, or if its instants are in the future (the clock was set back)."""
    if not isinstance(fields, dict):
        return None
    probed_at, next_at, refusals = (fields.get(key) for key in ("probed_at", "next_at", "refusals"))
    if not isinstance(probed_at, (int, float)) or not isinstance(next_at, (int, float)):
        return None
    if not isinstance(refusals, int) or refusals < 0:
        return None
    if probed_at > now + _SKEW_S or next_at > probed_at + 2 * LONGEST_S:
        return None
    entry = _Entry(probed_at, next_at, refusals, in_progress=fields.get("in_progress") is True)
    _read_closed_paths(entry, fields)
    return entry


def _read_closed_paths(entry: _Entry, fields: Mapping[str, Any]) -> None:
    closed_paths, closed_at, credentials = (fields.get(key) for key in ("closed_paths", "closed_at", "credentials"))
    if isinstance(closed_paths, list) and isinstance(closed_at, (int, float)) and isinstance(credentials, list):
        entry.closed_paths = [
            path for path in closed_paths[:_MAX_PATHS] if isinstance(path, str) and len(path) <= _LONGEST_PATH
        ]
        entry.closed_at, entry.credentials = closed_at, credentials


def _interval() -> float:
    return INTERVAL_S * (1 + random.SystemRandom().uniform(0, _JITTER))
