"""The snapshot: the newest evidence about every account, window by window, each with its instant and source.

It is a fold over log lines whose result does not depend on their order or repetition, so late lines, replayed
spools and archives give the same snapshot. Newer evidence replaces older. At the same instant the greater id wins;
with the same id (older lines have none) a response of pi wins, then the greater saved form. An error changes the
status and no window. A refusal of one model says nothing about the account.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from math import inf
from typing import Any, Final

from tokmon.evidence.account import Account, WindowEvidence, account_from_json, account_json
from tokmon.evidence.history import Sample
from tokmon.evidence.identities import Identities, Identity, key_of
from tokmon.evidence.log_line import SERVED, Evidence, ReadText, Stamp, evidence_in_line

__all__ = [
    "SERVED",
    "VERSION",
    "Account",
    "Evidence",
    "Identity",
    "Sample",
    "Snapshot",
    "Stamp",
    "WindowEvidence",
    "evidence_in_line",
    "fold",
]

VERSION: Final = 13
"""Version of the saved form. A saved snapshot of another version is rebuilt from the logs."""


class Snapshot:
    """All accounts, by pi's provider name."""

    def __init__(self) -> None:
        self._identities: dict[str, Identities] = {}
        self._accounts: dict[str, Account] = {}
        self._in_use: dict[str, Account] = {}
        """The accounts that were given from outside, by `with_accounts`."""

        self._outdated: dict[str, None] = {}
        """The providers whose account is made anew at its next use, since evidence was added."""

    @property
    def accounts(self) -> dict[str, Account]:
        """The account that sessions use now, by provider."""
        for provider in self._outdated:
            self._accounts[provider] = self._identities[provider].accounts()[0].account
        self._outdated.clear()
        return self._accounts

    @property
    def providers(self) -> list[str]:
        """The names of providers with evidence, sorted."""
        return sorted({*self._identities, *self._in_use})

    @property
    def newest(self) -> Stamp | None:
        """The newest evidence of all; None if there is none."""
        parts = [part for identities in self._identities.values() for part in identities.parts.values()]
        return max((part.newest for part in parts if part.newest is not None), default=None)

    def identities(self, provider: str) -> list[Identity]:
        """The accounts under that name, the one that sessions use now first."""
        known = self._identities[provider].accounts() if provider in self._identities else []
        if provider not in self._in_use:
            return known
        in_use = known[0] if known else Identity("", self._in_use[provider])
        return [in_use._replace(account=self._in_use[provider]), *known[1:]]

    def add(self, evidence: Evidence) -> None:
        """Fold evidence in."""
        provider = evidence.provider
        identities = self._identities.get(provider)
        if identities is None:
            identities = self._identities[provider] = Identities(partial(Account, provider))
        identities.add(evidence)
        self._outdated[provider] = None

    def begins(self, evidence: Evidence) -> float:
        """As `History.begins`, for the account that the evidence is about."""
        part = self._identities[evidence.provider].parts.get(key_of(evidence))
        return inf if part is None else part.account.history.begins(evidence)

    def merged_with(self, additions: Iterable[Evidence]) -> "Snapshot":
        """A new snapshot with the evidence of this one and the additions."""
        merged = Snapshot()
        merged._identities, merged._accounts = dict(self._identities), dict(self.accounts)
        for evidence in additions:
            original = self._identities.get(evidence.provider)
            if original is not None and merged._identities[evidence.provider] is original:
                merged._identities[evidence.provider] = original.copy()
            merged.add(evidence)
        return merged

    def with_accounts(self, accounts: Mapping[str, Account]) -> "Snapshot":
        """A new snapshot in which these are the accounts that sessions use now. No evidence can be added to them."""
        snapshot = Snapshot()
        snapshot._identities, snapshot._in_use = dict(self._identities), dict(accounts)
        snapshot._accounts = {**self.accounts, **accounts}
        return snapshot

    def to_json(self) -> dict[str, Any]:
        """The accounts as in `state.json`, with keys in a fixed order: equal snapshots give equal bytes."""
        return {name: self.provider_json(name) for name in self.providers}

    def added(self, provider: str) -> int:
        """How often evidence was added under that name: whoever keeps its saved form sees whether it is still that."""
        return self._identities[provider].added

    def provider_json(self, provider: str) -> dict[str, Any]:
        """The accounts under that name as in `state.json`."""
        return self._identities[provider].to_json(account_json)

    @classmethod
    def from_json(cls, accounts: Mapping[str, Any]) -> "Snapshot":
        """The snapshot in the output of `to_json`; KeyError, TypeError or ValueError if it is anything else."""
        snapshot = cls()
        for name, entry in accounts.items():
            snapshot.add_saved(name, entry)
        return snapshot

    def add_saved(self, provider: str, entry: Mapping[str, Any]) -> None:
        """Take the accounts under a name from the output of `provider_json`; errors as `from_json`."""
        identities = Identities(partial(Account, provider))
        self._identities[provider] = identities.add_json(entry, partial(account_from_json, provider))
        self._outdated[provider] = None


def fold(snapshot: Snapshot, lines: Iterable[Mapping[str, Any]], read_text: ReadText | None = None) -> Snapshot:
    """Add the evidence in log lines, from any log, to the snapshot; return it. Lines without evidence are skipped."""
    for line in lines:
        evidence = evidence_in_line(line, read_text)
        if evidence is not None:
            snapshot.add(evidence)
    return snapshot
