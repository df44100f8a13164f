"""A policy at work on a simulated fleet. It knows only what the accounts have reported in responses and probes."""

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
"""The policy of the simulated owner, with defaults for everything else."""

_TURN_S: Final = 6 * MINUTE
_RETRY_S: Final = MINUTE
_TRIES: Final = 3
"""Attempts after a 401, before the session looks for another account."""

_MAX_ACCOUNTS: Final = 6
"""Accounts that a session tries, before it is abandoned."""

_MORNING: Final = 8 * HOUR


@dataclass(slots=True)
class _RunningSession:
    """A session that is running. `left` is the rest of its length in seconds."""

    session: Session
    left: float
    account: str | None = None
    accounts_tried: int = 0
    tries: int = 0
    refused: bool = False


@dataclass(frozen=True, slots=True)
class _UnloggedUse:
    seat: int
    burn: float


_Event = tuple[float, int, _RunningSession | _UnloggedUse | None]
"""Instant, sequence number (which orders events of one instant), and event; None stands for the weekly probes."""


def simulate(world: World, policy: str) -> PolicyOutcome:
    """The outcome of that policy in that world."""
    return _Simulation(world, replace(FLEET, policy=policy)).run()


class _Simulation:
    def __init__(self, world: World, policy: Policy) -> None:
        self._policy = policy
        self._end = world.end
        self._seats = [Seat(fate, world.end) for fate in world.schedules]
        self._accounts: dict[str, SimulatedAccount] = {seat.schedule.name: seat for seat in self._seats}
        self._accounts |= {PAID: PaidAccount(), EMERGENCY: EmergencyAccount()}
        self._snapshot = Snapshot()
        self._lanes: dict[int, str] = {}
        self._outcome = PolicyOutcome(policy.policy)
        planned: list[tuple[float, _RunningSession | _UnloggedUse | None]] = [
            *((session.at, _RunningSession(session, session.minutes * MINUTE)) for session in world.sessions),
            *((at, _UnloggedUse(seat, burn)) for at, seat, burn in world.unlogged_use),
            *((START + week * WEEK + _MORNING, None) for week in range(world.weeks)),
        ]
        self._events: list[_Event] = [(at, number, event) for number, (at, event) in enumerate(planned)]
        self._count = len(planned)
        heapify(self._events)

    def run(self) -> PolicyOutcome:
        while self._events:
            now, _, event = heappop(self._events)
            if isinstance(event, _RunningSession):
                self._turn(event, now)
            elif event is not None:
                self._seats[event.seat].use(event.burn, now)
            else:
                for seat in self._seats:
                    self._snapshot.add(seat.probe(now, self._event_id()))
        unused_weeks = []
        for seat in self._seats:
            seat.roll(self._end)
            unused_weeks += seat.unused_weeks
        self._outcome.weeks = len(unused_weeks)
        self._outcome.unused = sum(unused_weeks) / len(unused_weeks) if unused_weeks else None
        return self._outcome

    def _turn(self, running: _RunningSession, now: float) -> None:
        """Run one turn of a session, after the choice of an account if it has none."""
        account = running.account or self._choose(running, now)
        seconds = min(_TURN_S, running.left)
        evidence = self._accounts[account].serve(running.session.burn * seconds / HOUR, now, self._event_id())
        self._snapshot.add(evidence)
        if evidence.status in SERVED:
            running.left -= seconds
            running.tries = 0
            if running.left > 0:
                self._schedule(now + seconds, running)
        else:
            self._refused(running, evidence, now)

    def _refused(self, running: _RunningSession, evidence: Evidence, now: float) -> None:
        """Try a 401 again, since it may pass; for any other refusal look for another account."""
        if evidence.status is Status.REJECTED and not running.refused:
            running.refused = True
            self._outcome.met_429 += 1
        running.tries += 1
        if evidence.status is not Status.INVALID_KEY or running.tries >= _TRIES:
            running.account, running.tries = None, 0
            running.accounts_tried += 1
            if running.accounts_tried >= _MAX_ACCOUNTS:
                self._outcome.abandoned += 1
                return
        self._schedule(now + _RETRY_S, running)

    def _choose(self, running: _RunningSession, now: float) -> str:
        lane = running.session.lane
        before = self._lanes.get(lane)
        decision = choose(self._policy, self._snapshot, now, before)
        account = EMERGENCY if decision is None else decision.provider
        outcome = self._outcome
        outcome.sessions += running.accounts_tried == 0
        outcome.switches += before is not None and account != before
        outcome.emergencies += account == EMERGENCY
        outcome.on_fallback += account == PAID
        self._lanes[lane] = account
        running.account = account
        return account

    def _schedule(self, at: float, running: _RunningSession) -> None:
        self._count += 1
        heappush(self._events, (at, self._count, running))

    def _event_id(self) -> str:
        self._count += 1
        return f"{self._count:09d}"
