"""The snapshot: the newest evidence about every provider, window by window, each with its age and source.

It is a fold over log lines that does not care for their order or repetition: of two pieces of evidence about
the same thing the newer one stays, of two of one instant the one with the greater id, and of two of one id
(older lines have none) the one that pi's own turn gave, or else that reads greater. So late lines, replayed
spools and archives give the same snapshot. An error says something about the status and nothing about windows,
and so erases none; what is refused to one model says nothing about the account.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tokmon.evidence.history import History, Sample, later, newer
from tokmon.evidence.log_line import (
    SERVED,
    Evidence,
    ReadText,
    Stamp,
    evidence_from_json,
    evidence_in_line,
    evidence_json,
    in_one_form,
    stamp_from,
    stamp_json,
    text_from,
)
from tokmon.evidence.model import Credits, Scope, Status, Value, Window
from tokmon.evidence.reading import credits_from, credits_json, window_from, window_json

__all__ = [
    "SERVED",
    "VERSION",
    "Account",
    "Evidence",
    "Sample",
    "Snapshot",
    "Stamp",
    "WindowEvidence",
    "evidence_in_line",
    "fold",
]

VERSION: Final = 9
"""Of the serialised form; another version is rebuilt from the logs."""


_NO_PERIOD_S: Final = 86400.0
"""How long a figure counts whose window names neither its reset nor its period."""


class WindowEvidence(Value, frozen=True):
    """A window's newest figures, and where they come from."""

    window: Window
    stamp: Stamp

    @property
    def expires_at(self) -> float:
        """When the figures cease to count, in epoch seconds: at the reset, else once they are older than the period."""
        if self.window.resets_at is not None:
            return self.window.resets_at
        return self.stamp.ts + (self.window.period_s or _NO_PERIOD_S)

    def expired(self, now: float) -> bool:
        """Whether the figures are of the past."""
        return self.expires_at <= now


@dataclass(slots=True)
class Account:
    """What is known of one provider, each part by the newest evidence of it.

    `last` tells of the status of the account, `paid` of its overage; `models`, by name and "" where it was not
    said, what the account last said about one model: that it is refused, or an answer. `binding` is the name of
    the window that binds, or the provider's own word for it where that is all there is.
    """

    provider: str
    last: Evidence | None = None
    overage_evidence: Evidence | None = None
    models: dict[str, Evidence] = field(default_factory=dict)
    type: tuple[Stamp, str] | None = None
    plan: tuple[Stamp, str] | None = None
    credits: tuple[Stamp, Credits] | None = None
    binding: tuple[Stamp, str] | None = None
    windows: dict[str, WindowEvidence] = field(default_factory=dict)
    history: History = field(default_factory=History)

    def add(self, seen: Evidence) -> None:
        """Fold one observation in."""
        stamp = seen.stamp
        if seen.status is not Status.UNKNOWN and seen.scope != Scope.REQUEST:
            self._add_status(seen)
        if seen.overage is not None and newer(seen, self.overage_evidence):
            self.overage_evidence = seen
        if seen.type is not None and later(stamp, seen.type, self.type):
            self.type = (stamp, seen.type)
        if seen.plan is not None and later(stamp, seen.plan, self.plan):
            self.plan = (stamp, seen.plan)
        if seen.credits is not None and later(stamp, seen.credits, self.credits):
            self.credits = (stamp, seen.credits)
        binding = seen.binding or seen.claim
        if binding is not None and later(stamp, binding, self.binding):
            self.binding = (stamp, binding)
        self.history.add(seen)
        for window in seen.windows:
            known = self.windows.get(window.name)
            if known is None or later(stamp, window, (known.stamp, known.window)):
                self.windows[window.name] = WindowEvidence(window, stamp)

    def copy(self) -> "Account":
        """One that may take more, while this one stays as it is."""
        return replace(self, models=dict(self.models), windows=dict(self.windows), history=self.history.copy())

    def _add_status(self, seen: Evidence) -> None:
        """An answer speaks for the account and for its model, a refusal of one model for that model alone."""
        served = seen.status in SERVED
        if (served or seen.scope != Scope.MODEL) and newer(seen, self.last):
            self.last = seen
        if served or seen.scope == Scope.MODEL:
            model = seen.model or ""
            if newer(seen, self.models.get(model)):
                self.models[model] = seen


class Snapshot:
    """All accounts, by provider name."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}

    def add(self, seen: Evidence) -> None:
        """Fold one observation in."""
        account = self.accounts.get(seen.provider)
        if account is None:
            account = self.accounts[seen.provider] = Account(seen.provider)
        account.add(seen)

    def merged_with(self, more: Iterable[Evidence]) -> "Snapshot":
        """One of all that this one knows and of more; this one stays as it is."""
        both = Snapshot()
        both.accounts = dict(self.accounts)
        for seen in more:
            known = self.accounts.get(seen.provider)
            if known is not None and both.accounts[seen.provider] is known:
                both.accounts[seen.provider] = known.copy()
            both.add(seen)
        return both

    def to_json(self) -> dict[str, Any]:
        """A plain form with keys in a fixed order, so that equal snapshots are equal bytes."""
        return {name: _account_to_json(self.accounts[name]) for name in sorted(self.accounts)}

    @classmethod
    def from_json(cls, accounts: Mapping[str, Any]) -> "Snapshot":
        """The reverse of `to_json`; KeyError, TypeError or ValueError if it is not what `to_json` made."""
        snapshot = cls()
        for name, entry in accounts.items():
            snapshot.accounts[name] = _account_from_json(name, entry)
        return snapshot


def fold(snapshot: Snapshot, lines: Iterable[Mapping[str, Any]], read_text: ReadText | None = None) -> Snapshot:
    """Fold log lines in, whichever log they are from; what is no evidence is passed over."""
    for line in lines:
        seen = evidence_in_line(line, read_text)
        if seen is not None:
            snapshot.add(seen)
    return snapshot


def _account_to_json(account: Account) -> dict[str, Any]:
    credit = account.credits
    return {
        "type": _said_json(account.type),
        "plan": _said_json(account.plan),
        "credits": None if credit is None else {**stamp_json(credit[0]), **credits_json(credit[1])},
        "binding": _said_json(account.binding),
        "last": None if account.last is None else evidence_json(account.last),
        "paid": None if account.overage_evidence is None else evidence_json(account.overage_evidence),
        "models": {name: evidence_json(seen) for name, seen in sorted(account.models.items())},
        "history": account.history.to_json(),
        "windows": [
            {**in_one_form(window_json(seen.window)), **stamp_json(seen.stamp)}
            for _, seen in sorted(account.windows.items())
        ],
    }


def _said_json(said: tuple[Stamp, str] | None) -> dict[str, Any] | None:
    return None if said is None else {**stamp_json(said[0]), "said": said[1]}


def _account_from_json(name: str, entry: Mapping[str, Any]) -> Account:
    credit = entry["credits"]
    return Account(
        name,
        last=evidence_from_json(name, entry["last"]),
        overage_evidence=evidence_from_json(name, entry["paid"]),
        models={model: seen for model, said in entry["models"].items() if (seen := evidence_from_json(name, said))},
        type=_said(entry["type"]),
        plan=_said(entry["plan"]),
        credits=None if credit is None else (stamp_from(credit), credits_from(credit)),
        binding=_said(entry["binding"]),
        windows={
            found.name: WindowEvidence(found, stamp_from(said))
            for said in entry["windows"]
            if (found := window_from(said))
        },
        history=History.from_json(name, entry["history"]),
    )


def _said(entry: Mapping[str, Any] | None) -> tuple[Stamp, str] | None:
    return None if entry is None else (stamp_from(entry), text_from(entry["said"]))
