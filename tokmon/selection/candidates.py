"""Every account of a policy now: its assessment, and its windows as a session would leave them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from tokmon.evidence.snapshot import Account, Snapshot
from tokmon.selection import demand
from tokmon.selection.assessment import Assessment, assess
from tokmon.selection.expiry import next_change
from tokmon.selection.policy import Policy


@dataclass(frozen=True, slots=True)
class Candidate:
    """An account that may be chosen: its assessment, and its windows projected to the session's end."""

    assessment: Assessment
    projections: tuple[demand.Projection, ...]
    urgency: float
    changes_at: float
    """Epoch seconds at which the assessment changes without new evidence, but for the resets of its windows."""

    @property
    def provider(self) -> str:
        """The account's name."""
        return self.assessment.provider

    @property
    def exhausted(self) -> demand.Projection | None:
        """The window that would be used up first within the session."""
        hits = [projection for projection in self.projections if projection.hits_in_s is not None]
        return min(hits, key=lambda projection: projection.hits_in_s or 0.0, default=None)


def evaluate(policy: Policy, snapshot: Snapshot, now: float) -> dict[str, Candidate]:
    """A candidate for each account of the policy, by name, in its order."""
    accounts = {name: snapshot.accounts.get(name) for name in policy.accounts}
    rates = {name: demand.measure(account, now) for name, account in accounts.items()}
    session = demand.typical_session(rates.values())
    return {
        name: _candidate(
            assess(name, account, policy, now), account, demand.Burn(_recent(rates[name]), session), policy, now
        )
        for name, account in accounts.items()
    }


def _recent(rates: Mapping[str, demand.Rates]) -> dict[str, float]:
    return {name: rate.recent for name, rate in rates.items()}


def _candidate(
    assessment: Assessment, account: Account | None, burn: demand.Burn, policy: Policy, now: float
) -> Candidate:
    windows = {name: assessment.window(name) for name in demand.WATCHED}
    hours = policy.session_minutes / 60
    projections = tuple(demand.project(name, window, burn, hours, now) for name, window in windows.items())
    week = None if account is None else account.windows.get("7d")
    urgency = demand.urgency(windows["7d"], None if week is None else week.window.resets_at, now)
    return Candidate(assessment, projections, urgency * demand.headroom(projections), next_change(account, now))
