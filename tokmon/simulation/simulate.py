"""A policy at work on a simulated fleet. It sees what the accounts have said to somebody, and nothing else."""

from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush
from typing import Final

from tokmon.evidence.log_line import Evidence
from tokmon.evidence.model import Status
from tokmon.evidence.snapshot import SERVED, Snapshot
from tokmon.selection.choose import choose
from tokmon.selection.policy import Policy
from tokmon.simulation.fleet import EMERGENCY, PAID, EmergencyAccount, PaidAccount, Seat, SimulatedAccount
from tokmon.simulation.outcome import PolicyOutcome
from tokmon.simulation.world import HOUR, MINUTE, SEATS, START, WEEK, Session, World

FLEET: Final = Policy(chain=SEATS, fallback=(PAID,), emergency=EMERGENCY)
"""How the simulated owner would have it: all else is as by default."""

_TURN_S: Final = 6 * MINUTE
_AGAIN_S: Final = MINUTE
_TRIES: Final = 3
"""How often a session asks again after a 401, before it looks for another account."""

_HOPS: Final = 6
"""How many accounts it looks for, before it gives up."""

_MORNING: Final = 8 * HOUR


@dataclass(slots=True)
class _Work:
    """A session on its way."""

    session: Session
    left: float
    account: str | None = None
    hops: int = 0
    tries: int = 0
    refused: bool = False


@dataclass(frozen=True, slots=True)
class _Outside:
    seat: int
    burn: float


_Event = tuple[float, int, _Work | _Outside | None]
"""When, the how-manieth (of two of one instant, the first comes first), and what; None is the morning's probes."""


def simulate(world: World, policy: str) -> PolicyOutcome:
    """What comes of that policy in that world."""
    return _Run(world, replace(FLEET, policy=policy)).go()


class _Run:
    def __init__(self, world: World, policy: Policy) -> None:
        self._policy = policy
        self._end = world.end
        self._seats = [Seat(fate, world.end) for fate in world.schedules]
        self._accounts: dict[str, SimulatedAccount] = {seat.schedule.name: seat for seat in self._seats}
        self._accounts |= {PAID: PaidAccount(), EMERGENCY: EmergencyAccount()}
        self._snapshot = Snapshot()
        self._lanes: dict[int, str] = {}
        self._outcome = PolicyOutcome(policy.policy)
        begun: list[tuple[float, _Work | _Outside | None]] = [
            *((each.at, _Work(each, each.minutes * MINUTE)) for each in world.sessions),
            *((at, _Outside(seat, burn)) for at, seat, burn in world.unlogged_use),
            *((START + week * WEEK + _MORNING, None) for week in range(world.weeks)),
        ]
        self._events: list[_Event] = [(at, number, what) for number, (at, what) in enumerate(begun)]
        self._count = len(begun)
        heapify(self._events)

    def go(self) -> PolicyOutcome:
        while self._events:
            now, _, what = heappop(self._events)
            if isinstance(what, _Work):
                self._turn(what, now)
            elif what is not None:
                self._seats[what.seat].use(what.burn, now)
            else:
                for seat in self._seats:
                    self._snapshot.add(seat.probe(now, self._name()))
        lost = []
        for seat in self._seats:
            seat.roll(self._end)
            lost += seat.unused_weeks
        self._outcome.weeks = len(lost)
        self._outcome.unused = sum(lost) / len(lost) if lost else None
        return self._outcome

    def _turn(self, work: _Work, now: float) -> None:
        """One turn of a session, which begins with a choice where it has no account."""
        account = work.account or self._start(work, now)
        burned_s = min(_TURN_S, work.left)
        said = self._accounts[account].serve(work.session.burn * burned_s / HOUR, now, self._name())
        self._snapshot.add(said)
        if said.status in SERVED:
            work.left -= burned_s
            work.tries = 0
            if work.left > 0:
                self._at(now + burned_s, work)
        else:
            self._refused(work, said, now)

    def _refused(self, work: _Work, said: Evidence, now: float) -> None:
        """A 401 may pass, and is tried again; all else needs another account."""
        if said.status is Status.REJECTED and not work.refused:
            work.refused = True
            self._outcome.met_429 += 1
        work.tries += 1
        if said.status is not Status.INVALID_KEY or work.tries >= _TRIES:
            work.account, work.tries = None, 0
            work.hops += 1
            if work.hops >= _HOPS:
                self._outcome.abandoned += 1
                return
        self._at(now + _AGAIN_S, work)

    def _start(self, work: _Work, now: float) -> str:
        lane = work.session.lane
        before = self._lanes.get(lane)
        decision = choose(self._policy, self._snapshot, now, before)
        account = EMERGENCY if decision is None else decision.provider
        outcome = self._outcome
        outcome.sessions += work.hops == 0
        outcome.switches += before is not None and account != before
        outcome.emergencies += account == EMERGENCY
        outcome.on_fallback += account == PAID
        self._lanes[lane] = account
        work.account = account
        return account

    def _at(self, when: float, work: _Work) -> None:
        self._count += 1
        heappush(self._events, (when, self._count, work))

    def _name(self) -> str:
        self._count += 1
        return f"{self._count:09d}"
