"""One account: the newest evidence about it, kept separately for each part, and its saved form."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tokmon.evidence.history import KEY_VALID, History, is_overload, later, newer
from tokmon.evidence.log_line import GENERIC_TYPE, SERVED, Evidence, Stamp
from tokmon.evidence.model import Credits, Scope, Status, Value, Window
from tokmon.evidence.model_windows import names_no_model
from tokmon.evidence.reading import credits_from_json, credits_json, window_from_json, window_json
from tokmon.evidence.saved_form import (
    evidence_from_json,
    evidence_json,
    plain_numbers,
    required_text,
    stamp_from_json,
    stamp_json,
)

_NO_PERIOD_S: Final = 86400.0
"""How long a figure counts whose window names neither its reset nor its period."""


class WindowEvidence(Value, frozen=True):
    """The newest figures of a window, and where they come from."""

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
    """The newest evidence about one account, kept separately for each part.

    `last` is the evidence of its status, `overage_evidence` that of its overage. `models` holds the newest refusal
    or served request of each model ("" if the model is not known), by source. `binding` is the name of the window that
    limits the account, or the provider's own word for it. `full` holds the newest figures of each window that was used
    up, `read_on` the models on whose responses windows stood whose names have no model (`7d_oi`).
    """

    provider: str
    last: Evidence | None = None
    overage_evidence: Evidence | None = None
    models: dict[str, dict[str, Evidence]] = field(default_factory=dict)
    type: tuple[Stamp, str] | None = None
    plan: tuple[Stamp, str] | None = None
    credits: tuple[Stamp, Credits] | None = None
    binding: tuple[Stamp, str] | None = None
    windows: dict[str, WindowEvidence] = field(default_factory=dict)
    full: dict[str, WindowEvidence] = field(default_factory=dict)
    read_on: dict[str, set[str]] = field(default_factory=dict)
    history: History = field(default_factory=History)

    def add(self, evidence: Evidence) -> None:
        """Fold evidence in."""
        stamp = evidence.stamp
        if evidence.status is not Status.UNKNOWN and evidence.scope != Scope.REQUEST:
            self._add_status(evidence)
        if evidence.overage is not None and newer(evidence, self.overage_evidence):
            self.overage_evidence = evidence
        if evidence.type is not None:
            self._add_type(stamp, evidence.type)
        if evidence.plan is not None and later(stamp, evidence.plan, self.plan):
            self.plan = (stamp, evidence.plan)
        if evidence.credits is not None and later(stamp, evidence.credits, self.credits):
            self.credits = (stamp, evidence.credits)
        binding = evidence.binding or evidence.claim
        if binding is not None and later(stamp, binding, self.binding):
            self.binding = (stamp, binding)
        self.history.add(evidence)
        for window in evidence.windows:
            self._add_window(window, stamp)
            if evidence.model and names_no_model(window):
                self.read_on.setdefault(window.name, set()).add(evidence.model)

    def _add_window(self, window: Window, stamp: Stamp) -> None:
        for newest in (self.windows, self.full) if window.is_full else (self.windows,):
            known = newest.get(window.name)
            if known is None or later(stamp, window, (known.stamp, known.window)):
                newest[window.name] = WindowEvidence(window, stamp)

    def _add_type(self, stamp: Stamp, kind: str) -> None:
        """The newest type; one by the API alone (of an error without headers) gives way to any other."""
        known = self.type
        is_better = known is not None and known[1] == GENERIC_TYPE and kind != GENERIC_TYPE
        is_worse = known is not None and known[1] != GENERIC_TYPE and kind == GENERIC_TYPE
        if is_better or (not is_worse and later(stamp, kind, known)):
            self.type = (stamp, kind)

    def copy(self) -> "Account":
        """A copy that can be added to without a change of this one."""
        return replace(
            self,
            models={model: dict(by_source) for model, by_source in self.models.items()},
            windows=dict(self.windows),
            full=dict(self.full),
            read_on={name: set(models) for name, models in self.read_on.items()},
            history=self.history.copy(),
        )

    def _add_status(self, evidence: Evidence) -> None:
        """A served request is evidence about account and model, a refusal of one model about that model only."""
        served = evidence.status in SERVED
        if (served or evidence.scope != Scope.MODEL) and newer(evidence, self.last):
            self.last = evidence
        if is_overload(evidence) or evidence.substatus == KEY_VALID:
            return
        if served or evidence.scope == Scope.MODEL:
            by_source = self.models.setdefault(evidence.model or "", {})
            if newer(evidence, by_source.get(evidence.stamp.source)):
                by_source[evidence.stamp.source] = evidence


def account_json(account: Account) -> dict[str, Any]:
    """The account as in `state.json`, with keys in a fixed order."""
    credit = account.credits
    return {
        "type": _value_json(account.type),
        "plan": _value_json(account.plan),
        "credits": None if credit is None else {**stamp_json(credit[0]), **credits_json(credit[1])},
        "binding": _value_json(account.binding),
        "last": None if account.last is None else evidence_json(account.last),
        "overage": None if account.overage_evidence is None else evidence_json(account.overage_evidence),
        "models": {
            model: {source: evidence_json(evidence) for source, evidence in sorted(by_source.items())}
            for model, by_source in sorted(account.models.items())
        },
        "history": account.history.to_json(),
        "windows": [_window_json(known) for _, known in sorted(account.windows.items())],
        # Of those that are full by their newest figures too, these are the same.
        "full": [
            _window_json(known)
            for name, known in sorted(account.full.items())
            if not account.windows[name].window.is_full
        ],
        "read_on": {name: sorted(models) for name, models in sorted(account.read_on.items())},
    }


def _window_json(known: WindowEvidence) -> dict[str, Any]:
    return {**plain_numbers(window_json(known.window)), **stamp_json(known.stamp)}


def _windows_from_json(entries: Iterable[Mapping[str, Any]]) -> dict[str, WindowEvidence]:
    return {
        window.name: WindowEvidence(window, stamp_from_json(saved))
        for saved in entries
        if (window := window_from_json(saved))
    }


def _value_json(value: tuple[Stamp, str] | None) -> dict[str, Any] | None:
    return None if value is None else {**stamp_json(value[0]), "value": value[1]}


def account_from_json(name: str, entry: Mapping[str, Any]) -> Account:
    """The account in the output of `account_json`; KeyError, TypeError or ValueError if it is anything else."""
    credit, windows = entry["credits"], _windows_from_json(entry["windows"])
    full = {window: known for window, known in windows.items() if known.window.is_full}
    return Account(
        name,
        last=evidence_from_json(name, entry["last"]),
        overage_evidence=evidence_from_json(name, entry["overage"]),
        models={
            model: {
                source: evidence for source, saved in by_source.items() if (evidence := evidence_from_json(name, saved))
            }
            for model, by_source in entry["models"].items()
        },
        type=_value_from_json(entry["type"]),
        plan=_value_from_json(entry["plan"]),
        credits=None if credit is None else (stamp_from_json(credit), credits_from_json(credit)),
        binding=_value_from_json(entry["binding"]),
        windows=windows,
        full=full | _windows_from_json(entry["full"]),
        read_on={window: set(map(required_text, models)) for window, models in entry["read_on"].items()},
        history=History.from_json(name, entry["history"]),
    )


def _value_from_json(entry: Mapping[str, Any] | None) -> tuple[Stamp, str] | None:
    return None if entry is None else (stamp_from_json(entry), required_text(entry["value"]))
