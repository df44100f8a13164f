"""Policies over recorded readings: what each would have chosen at every start, and what is known to have come of it.

A log tells only of the accounts that somebody was on. What a choice would have met elsewhere is therefore read from
what others met there within the session's time, and where nobody was, it is unknown and counted as that.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tokmon import families
from tokmon.evidence.log_line import Evidence, evidence_in_line
from tokmon.evidence.model import Scope, Status
from tokmon.evidence.snapshot import SERVED, Snapshot
from tokmon.selection.choose import choose
from tokmon.selection.policy import Policy
from tokmon.simulation.outcome import PolicyOutcome

AS_USED: Final = "as used"
_TOO_MANY: Final = 429
_SAME_S: Final = 900.0
"""Resets that differ by less are of one week."""


@dataclass(frozen=True, slots=True)
class SessionStart:
    """A session began: when, whose, and on which account."""

    at: float
    lane: str
    provider: str


@dataclass(slots=True)
class Recording:
    """What logs hold, in the order of time: the evidence, the same by account, and the starts."""

    evidence: list[Evidence]
    starts: list[SessionStart]
    by_account: dict[str, list[Evidence]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for seen in self.evidence:
            self.by_account.setdefault(seen.provider, []).append(seen)

    def met_limit(self, provider: str, since: float, until: float) -> bool | None:
        """Whether that account refused for its limit in that time; None where nobody was on it."""
        all_of_it = self.by_account.get(provider, [])
        first = bisect_left(all_of_it, since, key=_instant)
        within = all_of_it[first : bisect_right(all_of_it, until, key=_instant)]
        if any(_refuses(seen) for seen in within):
            return True
        return False if any(seen.status in SERVED for seen in within) else None


def read_recording(lines: Iterable[Mapping[str, Any]]) -> Recording:
    """The lines of logs, in any order; a session's first line is its start, on the account that it names."""
    told = [(seen, line) for line in lines if (seen := evidence_in_line(line, families.read)) is not None]
    told.sort(key=lambda each: each[0].stamp)
    known: set[str] = set()
    starts = []
    for seen, line in told:
        session = line.get("session")
        if isinstance(session, str) and session and session not in known:
            known.add(session)
            lane = " ".join(str(line.get(part) or "") for part in ("member", "mission"))
            starts.append(SessionStart(seen.stamp.ts, lane, seen.provider))
    return Recording([seen for seen, _ in told], starts)


def replay(recorded: Recording, policies: Sequence[Policy]) -> list[PolicyOutcome]:
    """What was really done, and what each policy would have done."""
    return [_as_used(recorded, policies[0]), *(_by_policy(recorded, policy) for policy in policies)]


def _as_used(recorded: Recording, policy: Policy) -> PolicyOutcome:
    outcome = PolicyOutcome(AS_USED, unknown=0)
    lanes: dict[str, str] = {}
    for start in recorded.starts:
        _count(outcome, recorded, start, start.provider, policy, lanes)
    left = list(_left(recorded))
    outcome.weeks = len(left)
    outcome.unused = sum(left) / len(left) if left else None
    return outcome


def _by_policy(recorded: Recording, policy: Policy) -> PolicyOutcome:
    outcome = PolicyOutcome(policy.policy, unknown=0, agreed=0)
    lanes: dict[str, str] = {}
    snapshot, folded = Snapshot(), 0
    for start in recorded.starts:
        before = bisect_left(recorded.evidence, start.at, lo=folded, key=_instant)
        for seen in recorded.evidence[folded:before]:
            snapshot.add(seen)
        folded = before
        decision = choose(policy, snapshot, start.at, lanes.get(start.lane))
        if decision is not None:
            _count(outcome, recorded, start, decision.provider, policy, lanes)
            outcome.agreed = (outcome.agreed or 0) + (decision.provider == start.provider)
    return outcome


def _count(
    outcome: PolicyOutcome,
    recorded: Recording,
    start: SessionStart,
    provider: str,
    policy: Policy,
    lanes: dict[str, str],
) -> None:
    met = recorded.met_limit(provider, start.at, start.at + policy.session_minutes * 60)
    outcome.sessions += 1
    outcome.met_429 += met is True
    outcome.unknown = (outcome.unknown or 0) + (met is None)
    outcome.switches += lanes.get(start.lane, provider) != provider
    outcome.emergencies += provider == policy.emergency
    outcome.on_fallback += provider in policy.fallback
    lanes[start.lane] = provider


def _left(recorded: Recording) -> Iterator[float]:
    """What was left of each week that ended within the record, by the last that was said of it."""
    if not recorded.evidence:
        return
    end = recorded.evidence[-1].stamp.ts
    for all_of_it in recorded.by_account.values():
        last: tuple[float, float] | None = None
        for seen in all_of_it:
            week = next((each for each in seen.windows if each.name == "7d" and each.scope is None), None)
            if week is None or week.utilization is None or week.resets_at is None:
                continue
            if last is not None and week.resets_at - last[0] >= _SAME_S:
                yield max(0.0, 1 - last[1])
            last = week.resets_at, week.utilization
        if last is not None and last[0] <= end:
            yield max(0.0, 1 - last[1])


def _refuses(seen: Evidence) -> bool:
    limited = seen.status is Status.REJECTED or seen.http_status == _TOO_MANY
    return limited and seen.scope not in {Scope.REQUEST, Scope.MODEL}


def _instant(seen: Evidence) -> float:
    return seen.stamp.ts
