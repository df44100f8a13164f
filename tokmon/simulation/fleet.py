"""The accounts of a simulated fleet with their true usage, and their responses to turns and probes."""

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Final, Protocol

from tokmon.evidence.log_line import Evidence, Stamp
from tokmon.evidence.model import Scope, Status, Window
from tokmon.simulation.world import HOUR, START, WEEK, SeatSchedule, Span

FIVE_S: Final = 5 * HOUR
_OF_A_WEEK: Final = 0.15
"""The fraction of a week that one whole 5h window uses."""

_WARNING_FROM: Final = 0.8
PAID, EMERGENCY = "paid", "emergency"
_BUDGET: Final = 4.0
"""The weekly credit of the paid account, in 5h windows of a seat."""


class SimulatedAccount(Protocol):
    """An account that responds to turns."""

    def serve(self, burn: float, now: float, name: str) -> Evidence:
        """Respond to a turn that uses `burn` of a 5h window. The evidence has the id `name`."""


@dataclass(slots=True)
class Seat:
    """A plan seat: a 5h window that opens at first use, and weeks with fixed resets.

    `unused_weeks` holds the unused fraction of each week that has ended.
    """

    schedule: SeatSchedule
    end: float
    used_5h: float = 0.0
    reset_5h: float = START
    used_7d: float = 0.0
    reset_7d: float = 0.0
    unused_weeks: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reset_7d = self.schedule.first_reset

    def roll(self, now: float) -> None:
        """Reset the windows whose time is over. The first week began before the simulation and is not counted."""
        if self.reset_5h <= now:
            self.used_5h = 0.0
        while self.reset_7d <= min(now, self.end):
            if self.reset_7d > self.schedule.first_reset:
                self.unused_weeks.append(max(0.0, 1 - self.used_7d))
            self.used_7d = 0.0
            self.reset_7d += WEEK

    def use(self, burn: float, now: float) -> None:
        """Use `burn` of a 5h window, and the corresponding part of the week."""
        self.roll(now)
        if self.reset_5h <= now:
            self.reset_5h = now + FIVE_S
        self.used_5h += burn
        self.used_7d += burn * _OF_A_WEEK

    def serve(self, burn: float, now: float, name: str) -> Evidence:
        """Respond to a turn that uses `burn` of a 5h window, or refuse it."""
        self.roll(now)
        stamp = Stamp(round(now, 3), name)
        if _within(self.schedule.policy_outages, now):
            return self._refusal(stamp, Status.POLICY_REJECTED, 403)
        if _within(self.schedule.key_outages, now):
            return self._refusal(stamp, Status.INVALID_KEY, 401)
        if self.used_7d >= 1 or self.used_5h >= 1:
            until = self.reset_7d if self.used_7d >= 1 else self.reset_5h
            return Evidence(
                self.schedule.name,
                stamp,
                status=Status.REJECTED,
                scope=Scope.ACCOUNT,
                http_status=429,
                blocked_until=until,
                windows=self._windows(),
            )
        self.use(burn, now)
        is_warned = max(self.used_5h, self.used_7d) >= _WARNING_FROM
        status = Status.ALLOWED_WARNING if is_warned else Status.ALLOWED
        return Evidence(self.schedule.name, stamp, status=status, http_status=200, windows=self._windows())

    def probe(self, now: float, name: str) -> Evidence:
        """The response of an endpoint that opens no window. It lists the open windows only."""
        self.roll(now)
        windows = tuple(window for window in self._windows() if window.resets_at is None or window.resets_at > now)
        status = Status.REJECTED if max(self.used_5h, self.used_7d) >= 1 else Status.ALLOWED
        return Evidence(self.schedule.name, Stamp(round(now, 3), name, "probe"), status=status, windows=windows)

    def _refusal(self, stamp: Stamp, status: Status, code: int) -> Evidence:
        return Evidence(self.schedule.name, stamp, status=status, scope=Scope.ACCOUNT, http_status=code)

    def _windows(self) -> tuple[Window, ...]:
        return Window("5h", self.used_5h, self.reset_5h), Window("7d", self.used_7d, self.reset_7d)


@dataclass(slots=True)
class PaidAccount:
    """An account without windows, whose credit is topped up every week."""

    credit: float = _BUDGET
    filled: int = 0

    def serve(self, burn: float, now: float, name: str) -> Evidence:
        """Respond to a turn and spend credit, or refuse it because no credit is left."""
        week = int((now - START) // WEEK)
        if week != self.filled:
            self.credit, self.filled = _BUDGET, week
        stamp = Stamp(round(now, 3), name)
        if self.credit <= 0:
            return Evidence(PAID, stamp, status=Status.NO_CREDIT, scope=Scope.ACCOUNT, http_status=400)
        self.credit -= burn
        return Evidence(PAID, stamp, status=Status.ALLOWED, http_status=200)


class EmergencyAccount:
    """The last resort: it serves every turn, but its use counts as a failure."""

    def serve(self, _burn: float, now: float, name: str) -> Evidence:
        """Serve the turn."""
        return Evidence(EMERGENCY, Stamp(round(now, 3), name), status=Status.ALLOWED, http_status=200)


def _within(spans: tuple[Span, ...], now: float) -> bool:
    index = bisect_right(spans, (now, float("inf"))) - 1
    return index >= 0 and now < spans[index][1]
