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
    windows = [(name, assessment.window(name)) for name in demand.WATCHED]
    windows += [(name, window) for name in demand.WATCHED for window in assessment.model_windows(name)]
    hours = policy.session_minutes / 60
    projections = tuple(demand.project(name, window, burn, hours, now) for name, window in windows)
    week = None if account is None else account.windows.get("7d")
    last_reset = None if week is None else week.window.resets_at
    # What the model's own week leaves is all that a session on it can use.
    weeks = [assessment.window("7d"), *(week for week in assessment.model_windows("7d") if week.resets_at is not None)]
    urgency = min(demand.urgency(window, last_reset, now) for window in weeks)
    return Candidate(assessment, projections, urgency * demand.headroom(projections), next_change(account, now))
