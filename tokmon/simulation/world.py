"""What happens in a simulated fleet under any policy: sessions, outages of accounts, and use elsewhere.

It is drawn before any policy runs, so that all policies meet the same events.
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
"""Parallel series of sessions of one member. The sessions of a lane follow each other."""

_SESSIONS: Final = 205
"""Sessions of an average week, which five seats can just serve."""

_QUIET: Final = 0.1
"""The fraction of weeks with hardly any sessions. After such a week, all evidence is out of date."""

_NIGHT: Final = 0.2
_BURST: Final = 0.06
"""The probability that several sessions start together."""

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Session:
    """A session to be run: its start (epoch seconds), length, and use of a 5h window per hour."""

    at: float
    lane: int
    minutes: float
    burn: float


@dataclass(frozen=True, slots=True)
class SeatSchedule:
    """The events of a seat: its first weekly reset, and the times in which its policy or its key is refused."""

    name: str
    first_reset: float
    policy_outages: tuple[Span, ...]
    key_outages: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class World:
    """All events. `unlogged_use` is use that is in no log: (instant, index of the seat, fraction of a 5h window)."""

    weeks: int
    sessions: tuple[Session, ...]
    schedules: tuple[SeatSchedule, ...]
    unlogged_use: tuple[tuple[float, int, float], ...]

    @property
    def end(self) -> float:
        """The end of the last week, in epoch seconds."""
        return START + self.weeks * WEEK


def world(seed: int, weeks: int, load: float = 1.0) -> World:
    """The world of that seed. `load` scales the number of sessions; the seats can serve about 1."""
    schedules = tuple(_schedule(Chance(seed, 100 + index), name, weeks) for index, name in enumerate(SEATS))
    chance = Chance(seed, 1)
    sessions = [session for week in range(weeks) for session in _sessions(chance, START + week * WEEK, load)]
    unlogged_use = _unlogged_use(Chance(seed, 2), weeks)
    sessions.sort(key=lambda session: (session.at, session.lane))
    return World(weeks, tuple(sessions), schedules, tuple(unlogged_use))


def _schedule(chance: Chance, name: str, weeks: int) -> SeatSchedule:
    first_reset = START + chance.between(0, WEEK)
    end = START + weeks * WEEK
    policy_outages = _spans(chance, end, 12 * WEEK, (DAY, 3 * DAY))
    key_outages = _spans(chance, end, 2 * DAY, (MINUTE, 4 * MINUTE))
    return SeatSchedule(name, first_reset, policy_outages, key_outages)


def _spans(chance: Chance, end: float, interval: float, length: Span) -> tuple[Span, ...]:
    spans, at = [], START + chance.waiting(interval)
    while at < end:
        until = at + chance.between(*length)
        spans.append((at, until))
        at = until + chance.waiting(interval)
    return tuple(spans)


def _sessions(chance: Chance, week: float, load: float) -> list[Session]:
    """The sessions of one week, which may be quiet or busy. Most are on weekdays and in working hours."""
    size = 0.15 if chance.happens(_QUIET) else chance.between(0.6, 1.35)
    sessions: list[Session] = []
    while len(sessions) < size * load * _SESSIONS:
        day = chance.below(7)
        if day > 4 and chance.happens(0.65):  # noqa: PLR2004 - Saturday and Sunday
            continue
        hour = chance.between(0, 24) if chance.happens(_NIGHT) else chance.between(8, 20)
        at = week + day * DAY + hour * HOUR
        lane = chance.below(_MEMBERS * _LANES)
        count = 3 + chance.below(3) if chance.happens(_BURST) else 1
        sessions += [_session(chance, at, (lane + index) % (_MEMBERS * _LANES)) for index in range(count)]
    return sessions


def _session(chance: Chance, at: float, lane: int) -> Session:
    minutes = min(180.0, 20 + chance.waiting(40))
    burn = 0.16 * min(4.0, 0.3 + chance.waiting(0.7))
    return Session(round(at + chance.between(0, 10 * MINUTE), 3), lane, minutes, burn)


def _unlogged_use(chance: Chance, weeks: int) -> list[tuple[float, int, float]]:
    """The owners of the seats use them elsewhere now and then."""
    uses = []
    at = START + chance.waiting(DAY)
    while at < START + weeks * WEEK:
        uses.append((at, chance.below(len(SEATS)), chance.between(0.05, 0.25)))
        at += chance.waiting(DAY)
    return uses
