"""The snapshot as of now, account by account: the assessment that a choice rests on, and how urgent it is."""

from collections.abc import Mapping
from dataclasses import dataclass

from tokmon.evidence.history import KEY_VALID
from tokmon.evidence.log_line import GENERIC_TYPE
from tokmon.evidence.model import Status
from tokmon.evidence.snapshot import SERVED, Account, Evidence, Identity, Snapshot, Stamp
from tokmon.report.gauge import Gauge, gauges
from tokmon.report.severity import Severity, severity_of
from tokmon.selection.assessment import Assessment, Fitness, assess
from tokmon.selection.choose import choose
from tokmon.selection.current import counts, passes_at, refused_models
from tokmon.selection.limits import ended_since
from tokmon.selection.policy import Policy


@dataclass(frozen=True, slots=True)
class LastKnown:
    """The newest status of an account where none counts, and why it is not used ("" where time is not the reason)."""

    evidence: Evidence
    why_unused: str


@dataclass(frozen=True, slots=True)
class OtherAccount:
    """An account under the same name that sessions do not use now: another login."""

    label: str
    assessment: Assessment
    gauges: tuple[Gauge, ...]
    last: Stamp | None
    """The newest evidence of its status."""


@dataclass(frozen=True, slots=True)
class AccountView:
    """One account as of now. `has_evidence` is whether any line of the logs is about it."""

    name: str
    type: str | None
    configured: bool
    has_evidence: bool
    account: Account
    assessment: Assessment
    severity: Severity
    gauges: tuple[Gauge, ...]
    refused: Mapping[str, Evidence]
    """The models that are refused now, by name; "" for a model that was not named."""

    last_known: LastKnown | None
    label: str
    """The organisation or ChatGPT account, "" if none is named."""

    others: tuple[OtherAccount, ...]

    @property
    def billed(self) -> bool:
        """Whether credit pays for a session."""
        return self.assessment.fitness is Fitness.BILLED


@dataclass(frozen=True, slots=True)
class View:
    """All accounts: those of pi in its order, then those of the policy, then the others by name."""

    now: float
    accounts: tuple[AccountView, ...]

    @property
    def counts(self) -> dict[Severity, int]:
        """How many accounts there are of each severity that occurs, the worst first."""
        severities = [account.severity for account in self.accounts]
        return {severity: severities.count(severity) for severity in Severity if severity in severities}


def view(snapshot: Snapshot, types: Mapping[str, str | None], policy: Policy, others: Policy, now: float) -> View:
    """The accounts as of `now`; `types` names those of pi, each with its type by its configuration.

    An account of the policy has the assessment that the choice rests on: where every key of the chain is refused, that
    is not quite what its own evidence says. `others` has the models of accounts that the policy leaves out.
    """
    decision = choose(policy, snapshot, now)
    candidates = () if decision is None else decision.candidates
    assessments = {candidate.provider: candidate.assessment for candidate in candidates}
    accounts = []
    for name in dict.fromkeys([*types, *policy.accounts, *sorted(snapshot.accounts)]):
        identities = snapshot.identities(name)
        account = identities[0].account if identities else None
        assessment = assessments.get(name) or assess(name, account, others, now)
        beside = tuple(_other(name, identity, others, now) for identity in identities[1:])
        label = identities[0].label if identities else ""
        accounts.append(_account_view(name, account, assessment, types, now, label=label, others=beside))
    return View(now, tuple(accounts))


def _other(name: str, identity: Identity, policy: Policy, now: float) -> OtherAccount:
    account = identity.account
    assessment = assess(name, account, policy, now)
    last = None if account.last is None else account.last.stamp
    return OtherAccount(identity.label, assessment, tuple(gauges(account, now)), last)


def _account_view(
    name: str,
    known: Account | None,
    assessment: Assessment,
    types: Mapping[str, str | None],
    now: float,
    *,
    label: str,
    others: tuple[OtherAccount, ...],
) -> AccountView:
    account = known or Account(name)
    of_account = tuple(gauges(account, now))
    refused = refused_models(account, now)
    others_refused = any(model != assessment.model for model in refused)
    return AccountView(
        name=name,
        type=_type(account, types.get(name)),
        configured=name in types,
        has_evidence=known is not None,
        account=account,
        assessment=assessment,
        severity=severity_of(assessment, of_account, now, other_models_refused=others_refused),
        gauges=of_account,
        refused=refused,
        last_known=_last_known(account, assessment, now),
        label=label,
        others=others,
    )


def _type(account: Account, configured: str | None) -> str | None:
    """The type that responses show; that of the configuration where they show the API alone."""
    recorded = account.type[1] if account.type else None
    return recorded if recorded not in {None, GENERIC_TYPE} else configured or recorded


def _last_known(account: Account, assessment: Assessment, now: float) -> LastKnown | None:
    """The newest status, where none counts."""
    last = account.last
    if assessment.evidence is not None or last is None:
        return None
    ended = last.status not in SERVED and last.blocked_until is not None and last.blocked_until <= now
    if ended or ended_since(account, last, now):
        return LastKnown(last, "reset since" if last.status is Status.REJECTED else "ended since")
    if last.substatus == KEY_VALID and counts(account, last, now):
        return LastKnown(last, "")
    passed = last.status is Status.NETWORK_ERROR and now >= passes_at(last)
    return LastKnown(last, "too old to use" if passed or not counts(account, last, now) else "")
