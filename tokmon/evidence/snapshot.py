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
    Observation,
    ReadText,
    Stamp,
    in_one_form,
    observation,
    observation_from,
    observation_json,
    stamp_from,
    stamp_json,
    text_from,
)
from tokmon.evidence.model import Credits, Scope, Status, Value, Window
from tokmon.evidence.reading import credits_from, credits_json, window_from, window_json

__all__ = ["SERVED", "VERSION", "Account", "Observation", "Sample", "Seen", "Snapshot", "Stamp", "fold", "observation"]

VERSION: Final = 8
"""Of the serialised form; another version is rebuilt from the logs."""


class Seen(Value, frozen=True):
    """A window as last told, and by what."""

    window: Window
    stamp: Stamp


@dataclass(slots=True)
class Account:
    """What is known of one provider, each part by the newest evidence of it.

    `last` tells of the status of the account, `paid` of its overage; `models`, by name and "" where it was not
    said, what the account last said about one model: that it is refused, or an answer. `binding` is the name of
    the window that binds, or the provider's own word for it where that is all there is.
    """

    provider: str
    last: Observation | None = None
    paid: Observation | None = None
    models: dict[str, Observation] = field(default_factory=dict)
    type: tuple[Stamp, str] | None = None
    plan: tuple[Stamp, str] | None = None
    credits: tuple[Stamp, Credits] | None = None
    binding: tuple[Stamp, str] | None = None
    windows: dict[str, Seen] = field(default_factory=dict)
    history: History = field(default_factory=History)

    def take(self, seen: Observation) -> None:
        """Fold one observation in."""
        stamp = seen.stamp
        if seen.status is not Status.UNKNOWN and seen.scope != Scope.REQUEST:
            self._take_status(seen)
        if seen.overage is not None and newer(seen, self.paid):
            self.paid = seen
        if seen.type is not None and later(stamp, seen.type, self.type):
            self.type = (stamp, seen.type)
        if seen.plan is not None and later(stamp, seen.plan, self.plan):
            self.plan = (stamp, seen.plan)
        if seen.credits is not None and later(stamp, seen.credits, self.credits):
            self.credits = (stamp, seen.credits)
        binding = seen.binding or seen.claim
        if binding is not None and later(stamp, binding, self.binding):
            self.binding = (stamp, binding)
        self.history.take(seen)
        for window in seen.windows:
            known = self.windows.get(window.name)
            if known is None or later(stamp, window, (known.stamp, known.window)):
                self.windows[window.name] = Seen(window, stamp)

    def copy(self) -> "Account":
        """One that may take more, while this one stays as it is."""
        return replace(self, models=dict(self.models), windows=dict(self.windows), history=self.history.copy())

    def _take_status(self, seen: Observation) -> None:
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

    def take(self, seen: Observation) -> None:
        """Fold one observation in."""
        account = self.accounts.get(seen.provider)
        if account is None:
            account = self.accounts[seen.provider] = Account(seen.provider)
        account.take(seen)

    def beside(self, more: Iterable[Observation]) -> "Snapshot":
        """One of all that this one knows and of more; this one stays as it is."""
        both = Snapshot()
        both.accounts = dict(self.accounts)
        for seen in more:
            known = self.accounts.get(seen.provider)
            if known is not None and both.accounts[seen.provider] is known:
                both.accounts[seen.provider] = known.copy()
            both.take(seen)
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
        seen = observation(line, read_text)
        if seen is not None:
            snapshot.take(seen)
    return snapshot


def _account_to_json(account: Account) -> dict[str, Any]:
    credit = account.credits
    return {
        "type": _said_json(account.type),
        "plan": _said_json(account.plan),
        "credits": None if credit is None else {**stamp_json(credit[0]), **credits_json(credit[1])},
        "binding": _said_json(account.binding),
        "last": None if account.last is None else observation_json(account.last),
        "paid": None if account.paid is None else observation_json(account.paid),
        "models": {name: observation_json(seen) for name, seen in sorted(account.models.items())},
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
        last=observation_from(name, entry["last"]),
        paid=observation_from(name, entry["paid"]),
        models={model: seen for model, said in entry["models"].items() if (seen := observation_from(name, said))},
        type=_said(entry["type"]),
        plan=_said(entry["plan"]),
        credits=None if credit is None else (stamp_from(credit), credits_from(credit)),
        binding=_said(entry["binding"]),
        windows={
            found.name: Seen(found, stamp_from(said)) for said in entry["windows"] if (found := window_from(said))
        },
        history=History.from_json(name, entry["history"]),
    )


def _said(entry: Mapping[str, Any] | None) -> tuple[Stamp, str] | None:
    return None if entry is None else (stamp_from(entry), text_from(entry["said"]))
