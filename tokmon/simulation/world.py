"""What befalls a simulated fleet, whatever is chosen: who wants to work when, and which account fails by itself.

It is drawn before any policy runs, so that all of them face the same.
"""

from dataclasses import dataclass
from typing import Final

from tokmon.simulation.chance import Chance

MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
WEEK: Final = 7 * DAY

START: Final = 1_767_571_200.0
"""2026-01-05T00:00:00Z, a Monday."""

SEATS: Final = ("seat-1", "seat-2", "seat-3", "seat-4", "seat-5")
_MEMBERS: Final = 6
_LANES: Final = 2
"""Sessions that a member has side by side, each of which is resumed again and again."""

_SESSIONS: Final = 205
"""A week of usual size: what five seats can just bear."""

_QUIET: Final = 0.1
"""The part of the weeks in which nearly nobody works: after them, nothing that is known still stands."""

_NIGHT: Final = 0.2
_BURST: Final = 0.06
"""How often a session is one of several that start together."""

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody's wish to work: when, for how long, and what it burns of 5h in an hour."""

    at: float
    lane: int
    minutes: float
    burn: float


@dataclass(frozen=True, slots=True)
class SeatSchedule:
    """What happens to a seat: when its weeks begin, when it is refused by policy, when its key flaps."""

    name: str
    first_reset: float
    policy_outages: tuple[Span, ...]
    key_outages: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class World:
    """All of it. `outside` is use that no log of ours sees: (when, which seat, how much of 5h)."""

    weeks: int
    sessions: tuple[Session, ...]
    schedules: tuple[SeatSchedule, ...]
    unlogged_use: tuple[tuple[float, int, float], ...]

    @property
    def end(self) -> float:
        """When the last week is over."""
        return START + self.weeks * WEEK


def world(seed: int, weeks: int, load: float = 1.0) -> World:
    """The world of that seed; `load` is how much work there is, 1 being about what the seats can bear."""
    fates = tuple(_fate(Chance(seed, 100 + index), name, weeks) for index, name in enumerate(SEATS))
    chance = Chance(seed, 1)
    sessions = [session for week in range(weeks) for session in _sessions(chance, START + week * WEEK, load)]
    outside = _outside(Chance(seed, 2), weeks)
    return World(weeks, tuple(sorted(sessions, key=lambda each: (each.at, each.lane))), fates, tuple(outside))


def _fate(chance: Chance, name: str, weeks: int) -> SeatSchedule:
    slot = START + chance.between(0, WEEK)
    end = START + weeks * WEEK
    away = _spans(chance, end, 12 * WEEK, (DAY, 3 * DAY))
    flaps = _spans(chance, end, 2 * DAY, (MINUTE, 4 * MINUTE))
    return SeatSchedule(name, slot, away, flaps)


def _spans(chance: Chance, end: float, every: float, length: Span) -> tuple[Span, ...]:
    found, at = [], START + chance.waiting(every)
    while at < end:
        until = at + chance.between(*length)
        found.append((at, until))
        at = until + chance.waiting(every)
    return tuple(found)


def _sessions(chance: Chance, week: float, load: float) -> list[Session]:
    """One week's: it may be a quiet or a busy one, has less at its end, and a day has hours of work."""
    size = 0.15 if chance.happens(_QUIET) else chance.between(0.6, 1.35)
    found: list[Session] = []
    while len(found) < size * load * _SESSIONS:
        day = chance.below(7)
        if day > 4 and chance.happens(0.65):  # noqa: PLR2004 - Saturday and Sunday
            continue
        hour = chance.between(0, 24) if chance.happens(_NIGHT) else chance.between(8, 20)
        at = week + day * DAY + hour * HOUR
        first = chance.below(_MEMBERS * _LANES)
        together = 3 + chance.below(3) if chance.happens(_BURST) else 1
        found += [_session(chance, at, (first + each) % (_MEMBERS * _LANES)) for each in range(together)]
    return found


def _session(chance: Chance, at: float, lane: int) -> Session:
    minutes = min(180.0, 20 + chance.waiting(40))
    burn = 0.16 * min(4.0, 0.3 + chance.waiting(0.7))
    return Session(round(at + chance.between(0, 10 * MINUTE), 3), lane, minutes, burn)


def _outside(chance: Chance, weeks: int) -> list[tuple[float, int, float]]:
    """Each seat has an owner, who uses it now and then elsewhere."""
    found = []
    at = START + chance.waiting(DAY)
    while at < START + weeks * WEEK:
        found.append((at, chance.below(len(SEATS)), chance.between(0.05, 0.25)))
        at += chance.waiting(DAY)
    return found
