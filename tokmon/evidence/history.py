"""What of an account's past is needed to judge it now: who said what last, when its key worked, how fast it burns.

A fold like the snapshot's, of which it is a part: it does not care for the order or repetition of lines, nor for
which of the events of one minute that say the same are left out.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any, Final

from tokmon.evidence.log_line import (
    CHECK,
    SERVED,
    Evidence,
    Stamp,
    evidence_from_json,
    evidence_json,
    plain_numbers,
    stamp_from_json,
    stamp_json,
)
from tokmon.evidence.model import Scope, Status, Value, Window
from tokmon.evidence.reading import number, window_json
from tokmon.wire.instants import parse_rfc3339, rfc3339

KEY_VALID: Final = "key_valid"
"""The substatus of an answer that shows the key to be valid, and says nothing of what it is good for."""

MINUTE_S: Final = 60.0
_DENIALS: Final = 16
_SAMPLE_S: Final = 900.0
_SAMPLES: Final = 32
"""Eight hours of quarters."""

_SAMPLED: Final = ("5h", "7d")
_instant: Final = attrgetter("ts")
_stamp: Final = attrgetter("stamp")


class Sample(Value, frozen=True):
    """How much of a window was used at an instant; `resets_at` tells one window from the next of its name."""

    ts: float
    utilization: float
    resets_at: float | None


@dataclass(slots=True)
class History:
    """The past of one account.

    `sources` is the newest evidence of its status by where it comes from, `denied` and `overloaded` the newest refusal
    of its key and the newest overload: those pass, and what was said before then counts again. `network` is the newest
    failure of the network, `worked` the newest answer, `accepted` the newest limit that was reached (a refused key is
    told of none), `failed` the newest pi check that did not pass, whatever that says of the account, `denials`,
    by the minute of the epoch, when its key was refused last in each.
    """

    by_source: dict[str, Evidence] = field(default_factory=dict)
    key_refusals: dict[str, Evidence] = field(default_factory=dict)
    overloads: dict[str, Evidence] = field(default_factory=dict)
    network_error: Evidence | None = None
    last_served: Stamp | None = None
    last_limited: Stamp | None = None
    last_failed_check: Stamp | None = None
    key_refusal_times: dict[int, float] = field(default_factory=dict)
    quarters: dict[str, dict[int, tuple[Stamp, Window]]] = field(default_factory=dict)
    _ordered: dict[str, tuple[Sample, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)
    """The samples as they are asked for: the same ones for one instant after another."""

    def add(self, seen: Evidence) -> None:
        """Fold one observation in."""
        if seen.stamp.source == CHECK and seen.status not in SERVED and _last(seen.stamp, self.last_failed_check):
            self.last_failed_check = seen.stamp
        if seen.status is Status.NETWORK_ERROR:
            if newer(seen, self.network_error):
                self.network_error = seen
        elif seen.status is not Status.UNKNOWN and seen.scope not in {Scope.REQUEST, Scope.MODEL}:
            self._add_status(seen)
        for window in seen.windows:
            if window.name in _SAMPLED and window.utilization is not None:
                self._add_sample(seen.stamp, Window(window.name, window.utilization, window.resets_at))

    def _add_status(self, seen: Evidence) -> None:
        if seen.status in SERVED and _last(seen.stamp, self.last_served):
            self.last_served = seen.stamp
        if seen.status is Status.REJECTED and seen.windows and _last(seen.stamp, self.last_limited):
            self.last_limited = seen.stamp
        if seen.substatus == KEY_VALID:
            return
        source, said = seen.stamp.source, self._kind_of(seen.status)
        if newer(seen, said.get(source)):
            said[source] = seen
        if seen.status is Status.INVALID_KEY:
            minute = int(seen.stamp.ts // MINUTE_S)
            self.key_refusal_times[minute] = max(seen.stamp.ts, self.key_refusal_times.get(minute, 0.0))
            if len(self.key_refusal_times) > _DENIALS:
                del self.key_refusal_times[min(self.key_refusal_times)]

    def _kind_of(self, status: Status) -> dict[str, Evidence]:
        return {Status.INVALID_KEY: self.key_refusals, Status.OVERLOADED: self.overloads}.get(status, self.by_source)

    def from_source(self, source: str) -> list[Evidence]:
        """What that source says of its status, the newest first: of each kind that passes by itself, and else."""
        found = [said[source] for said in (self.by_source, self.key_refusals, self.overloads) if source in said]
        return sorted(found, key=_stamp, reverse=True)

    def _add_sample(self, stamp: Stamp, window: Window) -> None:
        quarters = self.quarters.setdefault(window.name, {})
        quarter = int(stamp.ts // _SAMPLE_S)
        known = quarters.get(quarter)
        if known is None or later(stamp, window, known):
            quarters[quarter] = (stamp, window)
            self._ordered.pop(window.name, None)
            if len(quarters) > _SAMPLES:
                del quarters[min(quarters)]

    def samples(self, name: str, since: float = float("-inf")) -> tuple[Sample, ...]:
        """The last figure of each quarter of an hour that had one, from that instant on, the oldest first."""
        ordered = self._ordered.get(name)
        if ordered is None:
            said = [said for _, said in sorted(self.quarters.get(name, {}).items())]
            ordered = tuple(Sample(stamp.ts, window.utilization or 0.0, window.resets_at) for stamp, window in said)
            self._ordered[name] = ordered
        return ordered[bisect_left(ordered, since, key=_instant) :]

    def copy(self) -> "History":
        """One that may take more, while this one stays as it is."""
        quarters = {name: dict(found) for name, found in self.quarters.items()}
        return replace(
            self,
            by_source=dict(self.by_source),
            key_refusals=dict(self.key_refusals),
            overloads=dict(self.overloads),
            key_refusal_times=dict(self.key_refusal_times),
            quarters=quarters,
        )

    def to_json(self) -> dict[str, Any]:
        """A plain form with keys in a fixed order."""
        return {
            "sources": _said_json(self.by_source),
            "denied": _said_json(self.key_refusals),
            "overloaded": _said_json(self.overloads),
            "network": None if self.network_error is None else evidence_json(self.network_error),
            "worked": None if self.last_served is None else stamp_json(self.last_served),
            "accepted": None if self.last_limited is None else stamp_json(self.last_limited),
            "failed": None if self.last_failed_check is None else stamp_json(self.last_failed_check),
            "denials": [self.key_refusal_times[minute] for minute in sorted(self.key_refusal_times)],
            "samples": {
                name: [_sample_json(*found) for _, found in sorted(quarters.items())]
                for name, quarters in sorted(self.quarters.items())
            },
        }

    @classmethod
    def from_json(cls, provider: str, entry: Mapping[str, Any]) -> "History":
        """The reverse; KeyError, TypeError or ValueError if it is not what `to_json` made."""
        history = cls(
            _said_from(provider, entry["sources"]),
            _said_from(provider, entry["denied"]),
            _said_from(provider, entry["overloaded"]),
            evidence_from_json(provider, entry["network"]),
            None if entry["worked"] is None else stamp_from_json(entry["worked"]),
            None if entry["accepted"] is None else stamp_from_json(entry["accepted"]),
            None if entry["failed"] is None else stamp_from_json(entry["failed"]),
            {int(ts // MINUTE_S): float(ts) for ts in entry["denials"]},
        )
        for name, samples in entry["samples"].items():
            for said in samples:
                resets_at = None if said["resets_at"] is None else parse_rfc3339(said["resets_at"])
                stamp = stamp_from_json(said)
                window = Window(name, number(said["utilization"]), resets_at)
                history.quarters.setdefault(name, {})[int(stamp.ts // _SAMPLE_S)] = (stamp, window)
        return history


def _said_json(said: Mapping[str, Evidence]) -> dict[str, Any]:
    return {source: evidence_json(seen) for source, seen in sorted(said.items())}


def _said_from(provider: str, entry: Mapping[str, Any]) -> dict[str, Evidence]:
    return {source: seen for source, said in entry.items() if (seen := evidence_from_json(provider, said))}


def _sample_json(stamp: Stamp, window: Window) -> dict[str, Any]:
    resets_at = None if window.resets_at is None else rfc3339(window.resets_at)
    return {**stamp_json(stamp), **plain_numbers({"utilization": window.utilization}), "resets_at": resets_at}


def _last(stamp: Stamp, known: Stamp | None) -> bool:
    return later(stamp, "", None if known is None else (known, ""))


def newer(seen: Evidence, known: Evidence | None) -> bool:
    """Whether that observation outranks the known one."""
    return known is None or later(seen.stamp, seen, (known.stamp, known))


def later(stamp: Stamp, said: object, known: tuple[Stamp, object] | None) -> bool:
    """Whether that outranks what is known. It is a total order, or the order of the lines would matter."""
    if known is None:
        return True
    other, before = known
    if stamp.ts != other.ts:
        return stamp.ts > other.ts
    if stamp.id != other.id:
        return stamp.id > other.id
    return (said is not before or stamp is not other) and _weight(stamp, said) > _weight(other, before)


def _weight(stamp: Stamp, said: object) -> tuple[bool, str, str]:
    """Which of two of one stamp is kept, by what would be saved of them."""
    if isinstance(said, Evidence):
        said = evidence_json(said)
    elif isinstance(said, Window):
        said = plain_numbers(window_json(said))
    return stamp.source == "piggyback", stamp.source, repr(said)
