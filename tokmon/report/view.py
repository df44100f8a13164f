"""The snapshot as of now, provider by provider."""

from collections.abc import Mapping
from dataclasses import dataclass

from tokmon.evidence.snapshot import Account, Evidence, Snapshot
from tokmon.report.gauge import Gauge, gauges
from tokmon.report.judge import Limits, Refusal, Severity, ended_because, judge, refusals, spends


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider as of now. `ended` says why the last status no longer stands, None while it does.

    `seen` is whether any line is about it, whatever that says.
    """

    name: str
    type: str | None
    configured: bool
    seen: bool
    severity: Severity
    reasons: tuple[str, ...]
    account: Account
    ended: str | None
    gauges: tuple[Gauge, ...]
    refused: tuple[Refusal, ...]
    spending: bool

    @property
    def last(self) -> Evidence | None:
        """The newest evidence of its status."""
        return self.account.last

    @property
    def standing(self) -> Evidence | None:
        """The same, while it stands."""
        return self.last if self.ended is None else None


@dataclass(frozen=True, slots=True)
class View:
    """Everything, in the order of models.json and then by name."""

    now: float
    providers: tuple[Provider, ...]

    @property
    def counts(self) -> dict[Severity, int]:
        """How many there are of each severity that occurs, the worst first."""
        severities = [provider.severity for provider in self.providers]
        return {severity: severities.count(severity) for severity in Severity if severity in severities}


def view(snapshot: Snapshot, types: Mapping[str, str | None], now: float, limits: Limits | None = None) -> View:
    """The snapshot as of `now`; `types` are the configured providers and the type each has by its configuration."""
    limits = limits or Limits()
    names = [*types, *sorted(set(snapshot.accounts) - set(types))]
    return View(now, tuple(_provider(name, snapshot, types, now, limits) for name in names))


def _provider(name: str, snapshot: Snapshot, types: Mapping[str, str | None], now: float, limits: Limits) -> Provider:
    account = snapshot.accounts.get(name) or Account(name)
    found = tuple(gauges(account, now))
    spending = spends(account, found, now, limits)
    ended = ended_because(account, found, now, limits)
    refused = refusals(account, now, limits)
    last = account.last if ended is None else None
    severity, reasons = judge(last, found, refused, limits, spending=spending)
    return Provider(
        name=name,
        type=account.type[1] if account.type else types.get(name),
        configured=name in types,
        seen=name in snapshot.accounts,
        severity=severity,
        reasons=reasons,
        account=account,
        ended=ended,
        gauges=found,
        refused=refused,
        spending=spending,
    )
