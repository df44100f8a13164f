"""The history of an account as far as its assessment needs it: the newest status by source, refusals, usage samples.

It is a fold over log lines and part of the snapshot's. The result does not depend on the order or repetition of
lines, nor on which of several equal events of one minute are left out.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf
from operator import attrgetter
from typing import Any, Final

from tokmon.evidence.log_line import CHECK, SERVED, Evidence, Stamp
from tokmon.evidence.model import Scope, Status, Value, Window
from tokmon.evidence.reading import number, window_json
from tokmon.evidence.saved_form import evidence_from_json, evidence_json, plain_numbers, stamp_from_json, stamp_json
from tokmon.wire.instants import parse_rfc3339, rfc3339

KEY_VALID: Final = "key_valid"
"""The substatus of a probe that shows that the key is valid, and nothing about what the account can be used for."""

MINUTE_S: Final = 60.0
_MAX_REFUSALS: Final = 16
_QUARTER_S: Final = 900.0
_MAX_SAMPLES: Final = 32
"""Eight hours, one sample for each quarter of an hour."""

_SAMPLED: Final = ("5h", "7d")
_instant: Final = attrgetter("ts")
_stamp: Final = attrgetter("stamp")


class Sample(Value, frozen=True):
    """The fraction of a window that was used at an instant. `resets_at` tells successive windows apart."""

    ts: float
    utilization: float
    resets_at: float | None


@dataclass(slots=True)
class History:
    """The history of one account.

    `by_source` is the newest evidence of its status from each source. `key_refusals` is the newest refused key from
    each source; it passes by itself, and then `by_source` counts again. `overloads` is the newest overload of each
    model, "" where none is named: the provider refuses all accounts for a while.
    `throttled` is the newest 429 that concerns one request alone.
    `last_served` is the newest served request, `last_limited` the newest limit that was reached (which shows that the
    key was valid), `last_failed_check` the newest pi check that failed for any reason. `key_refusal_times` holds, by
    minute of the epoch, the instant of the last refusal of the key in that minute. `quarters` holds, by window and
    quarter of an hour, the last figures.
    """

    by_source: dict[str, Evidence] = field(default_factory=dict)
    key_refusals: dict[str, Evidence] = field(default_factory=dict)
    overloads: dict[str, Evidence] = field(default_factory=dict)
    network_error: Evidence | None = None
    throttled: Evidence | None = None
    last_served: Stamp | None = None
    last_limited: Stamp | None = None
    last_failed_check: Stamp | None = None
    key_refusal_times: dict[int, float] = field(default_factory=dict)
    quarters: dict[str, dict[int, tuple[Stamp, Window]]] = field(default_factory=dict)
    _ordered: dict[str, tuple[Sample, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)
    """The samples of each window in order, made on first use."""

    def add(self, evidence: Evidence) -> None:
        """Fold evidence in."""
        stamp = evidence.stamp
        if stamp.source == CHECK and evidence.status not in SERVED and _is_later(stamp, self.last_failed_check):
            self.last_failed_check = stamp
        if evidence.status is Status.NETWORK_ERROR:
            if newer(evidence, self.network_error):
                self.network_error = evidence
        elif evidence.status is Status.REJECTED and evidence.scope == Scope.REQUEST:
            if newer(evidence, self.throttled):
                self.throttled = evidence
        elif is_overload(evidence):
            self._add_overload(evidence)
        elif evidence.status is not Status.UNKNOWN and evidence.scope not in {Scope.REQUEST, Scope.MODEL}:
            self._add_status(evidence)
        for window in evidence.windows:
            if window.name in _SAMPLED and window.utilization is not None:
                self._add_sample(stamp, Window(window.name, window.utilization, window.resets_at))

    def _add_overload(self, evidence: Evidence) -> None:
        model = (evidence.model or "") if evidence.scope == Scope.MODEL else ""
        if newer(evidence, self.overloads.get(model)):
            self.overloads[model] = evidence

    def _add_status(self, evidence: Evidence) -> None:
        stamp = evidence.stamp
        if evidence.status in SERVED and _is_later(stamp, self.last_served):
            self.last_served = stamp
        if evidence.status is Status.REJECTED and evidence.windows and _is_later(stamp, self.last_limited):
            self.last_limited = stamp
        if evidence.substatus == KEY_VALID:
            return
        newest = self.key_refusals if evidence.status is Status.INVALID_KEY else self.by_source
        if newer(evidence, newest.get(stamp.source)):
            newest[stamp.source] = evidence
        if evidence.status is Status.INVALID_KEY:
            minute = int(stamp.ts // MINUTE_S)
            self.key_refusal_times[minute] = max(stamp.ts, self.key_refusal_times.get(minute, 0.0))
            if len(self.key_refusal_times) > _MAX_REFUSALS:
                del self.key_refusal_times[min(self.key_refusal_times)]

    def from_source(self, source: str) -> list[Evidence]:
        """The newest status and key refusal from that source, the newest first."""
        newest = [by_source[source] for by_source in (self.by_source, self.key_refusals) if source in by_source]
        return sorted(newest, key=_stamp, reverse=True)

    def _add_sample(self, stamp: Stamp, window: Window) -> None:
        quarters = self.quarters.setdefault(window.name, {})
        quarter = int(stamp.ts // _QUARTER_S)
        known = quarters.get(quarter)
        if known is None or later(stamp, window, known):
            quarters[quarter] = (stamp, window)
            self._ordered.pop(window.name, None)
            if len(quarters) > _MAX_SAMPLES:
                del quarters[min(quarters)]

    def begins(self, evidence: Evidence) -> float:
        """The instant before which evidence like this is too old for the samples and the key refusals.

        -inf if nothing is too old, inf if such evidence enters neither.
        """
        begins = inf
        for window in evidence.windows:
            if window.name in _SAMPLED and window.utilization is not None:
                quarters = self.quarters.get(window.name, {})
                begins = min(begins, min(quarters) * _QUARTER_S if len(quarters) >= _MAX_SAMPLES else -inf)
        if evidence.status is Status.INVALID_KEY:
            minutes = self.key_refusal_times
            begins = min(begins, min(minutes) * MINUTE_S if len(minutes) >= _MAX_REFUSALS else -inf)
        return begins

    def samples(self, name: str, since: float = float("-inf")) -> tuple[Sample, ...]:
        """The samples of a window since that instant, the oldest first: the last figure of each quarter of an hour."""
        ordered = self._ordered.get(name)
        if ordered is None:
            quarters = [quarter for _, quarter in sorted(self.quarters.get(name, {}).items())]
            ordered = tuple(Sample(stamp.ts, window.utilization or 0.0, window.resets_at) for stamp, window in quarters)
            self._ordered[name] = ordered
        return ordered[bisect_left(ordered, since, key=_instant) :]

    def copy(self) -> "History":
        """A copy that can be added to without a change of this one."""
        quarters = {name: dict(by_quarter) for name, by_quarter in self.quarters.items()}
        return replace(
            self,
            by_source=dict(self.by_source),
            key_refusals=dict(self.key_refusals),
            overloads=dict(self.overloads),
            key_refusal_times=dict(self.key_refusal_times),
            quarters=quarters,
        )

    def to_json(self) -> dict[str, Any]:
        """The history as in `state.json`, with keys in a fixed order."""
        return {
            "by_source": _newest_json(self.by_source),
            "key_refusals": _newest_json(self.key_refusals),
            "overloads": _newest_json(self.overloads),
            "network_error": None if self.network_error is None else evidence_json(self.network_error),
            "throttled": None if self.throttled is None else evidence_json(self.throttled),
            "last_served": None if self.last_served is None else stamp_json(self.last_served),
            "last_limited": None if self.last_limited is None else stamp_json(self.last_limited),
            "last_failed_check": None if self.last_failed_check is None else stamp_json(self.last_failed_check),
            "key_refusal_times": [self.key_refusal_times[minute] for minute in sorted(self.key_refusal_times)],
            "samples": {
                name: [_sample_json(*sample) for _, sample in sorted(quarters.items())]
                for name, quarters in sorted(self.quarters.items())
            },
        }

    @classmethod
    def from_json(cls, provider: str, entry: Mapping[str, Any]) -> "History":
        """The history in the output of `to_json`; KeyError, TypeError or ValueError if it is anything else."""
        history = cls(
            _newest_from_json(provider, entry["by_source"]),
            _newest_from_json(provider, entry["key_refusals"]),
            _newest_from_json(provider, entry["overloads"]),
            evidence_from_json(provider, entry["network_error"]),
            evidence_from_json(provider, entry["throttled"]),
            None if entry["last_served"] is None else stamp_from_json(entry["last_served"]),
            None if entry["last_limited"] is None else stamp_from_json(entry["last_limited"]),
            None if entry["last_failed_check"] is None else stamp_from_json(entry["last_failed_check"]),
            {int(ts // MINUTE_S): float(ts) for ts in entry["key_refusal_times"]},
        )
        for name, samples in entry["samples"].items():
            for sample in samples:
                resets_at = None if sample["resets_at"] is None else parse_rfc3339(sample["resets_at"])
                stamp = stamp_from_json(sample)
                window = Window(name, number(sample["utilization"]), resets_at)
                history.quarters.setdefault(name, {})[int(stamp.ts // _QUARTER_S)] = (stamp, window)
        return history


def is_overload(evidence: Evidence) -> bool:
    """Whether the provider refuses every account for a while: it is overloaded, or its shared capacity is used up."""
    shared = evidence.status is Status.REJECTED and evidence.scope == Scope.PROVIDER
    return shared or evidence.status is Status.OVERLOADED


def _newest_json(newest: Mapping[str, Evidence]) -> dict[str, Any]:
    return {source: evidence_json(evidence) for source, evidence in sorted(newest.items())}


def _newest_from_json(provider: str, entries: Mapping[str, Any]) -> dict[str, Evidence]:
    return {source: evidence for source, entry in entries.items() if (evidence := evidence_from_json(provider, entry))}


def _sample_json(stamp: Stamp, window: Window) -> dict[str, Any]:
    resets_at = None if window.resets_at is None else rfc3339(window.resets_at)
    return {**stamp_json(stamp), **plain_numbers({"utilization": window.utilization}), "resets_at": resets_at}


def _is_later(stamp: Stamp, known: Stamp | None) -> bool:
    return later(stamp, "", None if known is None else (known, ""))


def newer(evidence: Evidence, known: Evidence | None) -> bool:
    """True if the evidence replaces the known one."""
    return known is None or later(evidence.stamp, evidence, (known.stamp, known))


def later(stamp: Stamp, value: object, known: tuple[Stamp, object] | None) -> bool:
    """True if the value replaces the known one. The order is total, so the order of lines does not matter."""
    if known is None:
        return True
    known_stamp, known_value = known
    if stamp.ts != known_stamp.ts:
        return stamp.ts > known_stamp.ts
    if stamp.id != known_stamp.id:
        return stamp.id > known_stamp.id
    if value is known_value and stamp is known_stamp:
        return False
    return _rank(stamp, value) > _rank(known_stamp, known_value)


def _rank(stamp: Stamp, value: object) -> tuple[bool, bool, str, str, str]:
    """Orders values that have the same instant and id: one's own first, pi's responses, by source and saved form."""
    if isinstance(value, Evidence):
        value = evidence_json(value)
    elif isinstance(value, Window):
        value = plain_numbers(window_json(value))
    return not stamp.member, stamp.source == "piggyback", stamp.source, repr(value), stamp.member
