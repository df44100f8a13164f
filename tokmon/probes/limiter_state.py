"""The state file of the probe limit: `probes.json` in the state folder."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from tokmon.errors import StoreError, reason_of
from tokmon.pool.claims import HOUR_S, MOST_RECENT
from tokmon.store.atomic import replace_private
from tokmon.store.codec import encode, read_json

VERSION: Final = 2
LONGEST_S: Final = 24 * 3600.0
"""The longest back-off."""

_SKEW_S: Final = 60.0
_MAX_PATHS: Final = 4
_LONGEST_PATH: Final = 200


@dataclass(slots=True)
class ProbeRecord:
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

    recent: list[float] = field(default_factory=list)
    """Instants of the probes of the last hour."""


@dataclass(slots=True)
class SavedState:
    """What is saved: the accounts, and the unanswered claims of other members that were waited for."""

    accounts: dict[str, ProbeRecord]
    waited: dict[str, dict[str, float]] = field(default_factory=dict)
    """By account and member: the instant of the claim."""


def read_state(path: Path, now: float) -> SavedState:
    """The saved state without damaged entries; an empty one if there is none."""
    saved = read_json(path) or {}
    saved = saved if saved.get("version") == VERSION else {}
    accounts, waited = saved.get("accounts"), saved.get("waited")
    entries = accounts.items() if isinstance(accounts, dict) else ()
    return SavedState(
        {name: entry for name, fields in entries if (entry := _entry(fields, now)) is not None},
        {name: _instants(by_member) for name, by_member in waited.items()} if isinstance(waited, dict) else {},
    )


def write_state(path: Path, state: SavedState) -> None:
    """Replace the state; StoreError if it cannot be written."""
    accounts = {name: asdict(entry) for name, entry in state.accounts.items()}
    waited = {name: by_member for name, by_member in state.waited.items() if by_member}
    try:
        replace_private(path, encode({"version": VERSION, "accounts": accounts, "waited": waited}) + b"\n")
    except OSError as error:
        raise StoreError(
            f"cannot write `{path}`: {reason_of(error)}",
            hint="check the owner, the permissions and the space of that folder",
        ) from error


def _entry(fields: object, now: float) -> ProbeRecord | None:
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
    entry = ProbeRecord(probed_at, next_at, refusals, in_progress=fields.get("in_progress") is True)
    _read_closed_paths(entry, fields)
    entry.recent = [at for at in _numbers(fields.get("recent")) if now - HOUR_S < at <= now + _SKEW_S][-MOST_RECENT:]
    return entry


def _read_closed_paths(entry: ProbeRecord, fields: Mapping[str, Any]) -> None:
    closed_paths, closed_at, credentials = (fields.get(key) for key in ("closed_paths", "closed_at", "credentials"))
    if isinstance(closed_paths, list) and isinstance(closed_at, (int, float)) and isinstance(credentials, list):
        entry.closed_paths = [
            path for path in closed_paths[:_MAX_PATHS] if isinstance(path, str) and len(path) <= _LONGEST_PATH
        ]
        entry.closed_at, entry.credentials = closed_at, credentials


def _numbers(value: object) -> list[float]:
    return [at for at in value if isinstance(at, (int, float))] if isinstance(value, list) else []


def _instants(by_member: object) -> dict[str, float]:
    entries = by_member.items() if isinstance(by_member, dict) else ()
    return {member: at for member, at in entries if isinstance(at, (int, float))}
