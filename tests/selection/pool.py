"""A pool of accounts as the logs would tell of it, for the table of decisions."""

from typing import Any

from tests.commands.logbook import DAY, HOUR, NOW, Record, line, window
from tokmon.evidence.snapshot import Snapshot, fold
from tokmon.selection.policy import Policy

SEATS = ("team-vigilio", "team-ludo", "team-buio", "team-molto", "team-nadja")
POLICY = Policy(
    chain=SEATS, fallback=("xai-vigilio",), emergency="shelley-proxy", policy="threshold", model="claude-sonnet-4-6"
)


class _Everybody:
    def __contains__(self, name: object) -> bool:
        return True


def anybody(_at: float) -> _Everybody:
    """Whom a wake can ask: all that there are."""
    return _Everybody()


def turn(provider: str, week: float | None = 0.3, five: float | None = 0.2, **fields: Any) -> Record:
    """What a real pi turn said: use of both windows, which reset in two days and in three hours."""
    windows = []
    if five is not None:
        windows.append(window("5h", five, fields.pop("five_resets", 3 * HOUR)))
    if week is not None:
        windows.append(window("7d", week, fields.pop("week_resets", 2 * DAY)))
    return line(provider, fields.pop("status", "allowed"), *windows, **fields)


def probe(provider: str, status: str = "allowed", *, age: float = 300.0, **fields: Any) -> Record:
    """What a request to the bare API said."""
    return {**turn(provider, status=status, age=age, **fields), "source": "probe", "id": f"probe-{provider}-{age:g}"}


def check(provider: str, status: str = "allowed", *, age: float = 1800.0) -> Record:
    """Whether a real session started."""
    return {**line(provider, status, age=age), "source": "pi-check", "id": f"check-{provider}-{age:g}"}


def valid(provider: str, age: float = 0.0) -> Record:
    """What a request said that shows the key to be valid, and nothing else."""
    return {**probe(provider, week=None, five=None, age=age), "substatus": "key_valid"}


def pool(*lines: Record) -> Snapshot:
    """The lines, folded."""
    return fold(Snapshot(), lines)


__all__ = ["DAY", "HOUR", "NOW", "POLICY", "SEATS", "check", "pool", "probe", "turn", "valid"]
