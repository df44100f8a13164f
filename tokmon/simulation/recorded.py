"""Policies over recorded readings: the choice of each policy at every session start, and its known outcome.

Logs contain evidence only about accounts in use. The outcome of a different choice is therefore taken from the other
sessions on that account at the time of the session. Without any, it counts as unknown.
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
"""Resets that differ by less belong to the same week."""


@dataclass(frozen=True, slots=True)
class SessionStart:
    """The start of a session: instant (epoch seconds), lane (member and mission), and account."""

    at: float
    lane: str
    provider: str


@dataclass(slots=True)
class Recording:
    """The content of logs in the order of time: the evidence, the same by account, and the session starts."""

    evidence: list[Evidence]
    starts: list[SessionStart]
    by_account: dict[str, list[Evidence]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for evidence in self.evidence:
            self.by_account.setdefault(evidence.provider, []).append(evidence)

    def met_limit(self, provider: str, since: float, until: float) -> bool | None:
        """True if the account refused a session for its limit in that time; None if nobody used it then."""
        history = self.by_account.get(provider, [])
        first = bisect_left(history, since, key=_instant)
        during = history[first : bisect_right(history, until, key=_instant)]
        if any(_is_limited(evidence) for evidence in during):
            return True
        return False if any(evidence.status in SERVED for evidence in during) else None


def read_recording(lines: Iterable[Mapping[str, Any]]) -> Recording:
    """The recording in log lines, in any order. The first line of a session is its start, on the account it names."""
    pairs = [(evidence, line) for line in lines if (evidence := evidence_in_line(line, families.read)) is not None]
    pairs.sort(key=lambda pair: pair[0].stamp)
    sessions: set[str] = set()
    starts = []
    for evidence, line in pairs:
        session = line.get("session")
        if isinstance(session, str) and session and session not in sessions:
            sessions.add(session)
            lane = " ".join(str(line.get(part) or "") for part in ("member", "mission"))
            starts.append(SessionStart(evidence.stamp.ts, lane, evidence.provider))
    return Recording([evidence for evidence, _ in pairs], starts)


def replay(recorded: Recording, policies: Sequence[Policy]) -> list[PolicyOutcome]:
    """The outcome of the accounts that were really used, then that of each policy."""
    return [_as_used(recorded, policies[0]), *(_by_policy(recorded, policy) for policy in policies)]


def _as_used(recorded: Recording, policy: Policy) -> PolicyOutcome:
    outcome = PolicyOutcome(AS_USED, unknown=0)
    lanes: dict[str, str] = {}
    for start in recorded.starts:
        _count(outcome, recorded, start, start.provider, policy, lanes)
    unused = list(_unused_weeks(recorded))
    outcome.weeks = len(unused)
    outcome.unused = sum(unused) / len(unused) if unused else None
    return outcome


def _by_policy(recorded: Recording, policy: Policy) -> PolicyOutcome:
    outcome = PolicyOutcome(policy.policy, unknown=0, agreed=0)
    lanes: dict[str, str] = {}
    snapshot, added = Snapshot(), 0
    for start in recorded.starts:
        end = bisect_left(recorded.evidence, start.at, lo=added, key=_instant)
        for evidence in recorded.evidence[added:end]:
            snapshot.add(evidence)
        added = end
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
    met_limit = recorded.met_limit(provider, start.at, start.at + policy.session_minutes * 60)
    outcome.sessions += 1
    outcome.met_429 += met_limit is True
    outcome.unknown = (outcome.unknown or 0) + (met_limit is None)
    outcome.switches += lanes.get(start.lane, provider) != provider
    outcome.emergencies += provider == policy.emergency
    outcome.on_fallback += provider in policy.fallback
    lanes[start.lane] = provider


def _unused_weeks(recorded: Recording) -> Iterator[float]:
    """The unused fraction of each week that ended within the recording, by the last evidence about it."""
    if not recorded.evidence:
        return
    end = recorded.evidence[-1].stamp.ts
    for history in recorded.by_account.values():
        last: tuple[float, float] | None = None
        for evidence in history:
            week = next((window for window in evidence.windows if window.name == "7d" and window.scope is None), None)
            if week is None or week.utilization is None or week.resets_at is None:
                continue
            if last is not None and week.resets_at - last[0] >= _SAME_S:
                yield max(0.0, 1 - last[1])
            last = week.resets_at, week.utilization
        if last is not None and last[0] <= end:
            yield max(0.0, 1 - last[1])


def _is_limited(evidence: Evidence) -> bool:
    rejected = evidence.status is Status.REJECTED or evidence.http_status == _TOO_MANY
    return rejected and evidence.scope not in {Scope.REQUEST, Scope.MODEL}


def _instant(evidence: Evidence) -> float:
    return evidence.stamp.ts
