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
    Observation,
    Stamp,
    in_one_form,
    observation_from,
    observation_json,
    stamp_from,
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

    sources: dict[str, Observation] = field(default_factory=dict)
    denied: dict[str, Observation] = field(default_factory=dict)
    overloaded: dict[str, Observation] = field(default_factory=dict)
    network: Observation | None = None
    worked: Stamp | None = None
    accepted: Stamp | None = None
    failed: Stamp | None = None
    denials: dict[int, float] = field(default_factory=dict)
    quarters: dict[str, dict[int, tuple[Stamp, Window]]] = field(default_factory=dict)
    _ordered: dict[str, tuple[Sample, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)
    """The samples as they are asked for: the same ones for one instant after another."""

    def take(self, seen: Observation) -> None:
        """Fold one observation in."""
        if seen.stamp.source == CHECK and seen.status not in SERVED and _last(seen.stamp, self.failed):
            self.failed = seen.stamp
        if seen.status is Status.NETWORK_ERROR:
            if newer(seen, self.network):
                self.network = seen
        elif seen.status is not Status.UNKNOWN and seen.scope not in {Scope.REQUEST, Scope.MODEL}:
            self._take_status(seen)
        for window in seen.windows:
            if window.name in _SAMPLED and window.utilization is not None:
                self._take_sample(seen.stamp, Window(window.name, window.utilization, window.resets_at))

    def _take_status(self, seen: Observation) -> None:
        if seen.status in SERVED and _last(seen.stamp, self.worked):
            self.worked = seen.stamp
        if seen.status is Status.REJECTED and seen.windows and _last(seen.stamp, self.accepted):
            self.accepted = seen.stamp
        if seen.substatus == KEY_VALID:
            return
        source, said = seen.stamp.source, self._of(seen.status)
        if newer(seen, said.get(source)):
            said[source] = seen
        if seen.status is Status.INVALID_KEY:
            minute = int(seen.stamp.ts // MINUTE_S)
            self.denials[minute] = max(seen.stamp.ts, self.denials.get(minute, 0.0))
            if len(self.denials) > _DENIALS:
                del self.denials[min(self.denials)]

    def _of(self, status: Status) -> dict[str, Observation]:
        return {Status.INVALID_KEY: self.denied, Status.OVERLOADED: self.overloaded}.get(status, self.sources)

    def said(self, source: str) -> list[Observation]:
        """What that source says of its status, the newest first: of each kind that passes by itself, and else."""
        found = [said[source] for said in (self.sources, self.denied, self.overloaded) if source in said]
        return sorted(found, key=_stamp, reverse=True)

    def _take_sample(self, stamp: Stamp, window: Window) -> None:
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
            sources=dict(self.sources),
            denied=dict(self.denied),
            overloaded=dict(self.overloaded),
            denials=dict(self.denials),
            quarters=quarters,
        )

    def to_json(self) -> dict[str, Any]:
        """A plain form with keys in a fixed order."""
        return {
            "sources": _said_json(self.sources),
            "denied": _said_json(self.denied),
            "overloaded": _said_json(self.overloaded),
            "network": None if self.network is None else observation_json(self.network),
            "worked": None if self.worked is None else stamp_json(self.worked),
            "accepted": None if self.accepted is None else stamp_json(self.accepted),
            "failed": None if self.failed is None else stamp_json(self.failed),
            "denials": [self.denials[minute] for minute in sorted(self.denials)],
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
            observation_from(provider, entry["network"]),
            None if entry["worked"] is None else stamp_from(entry["worked"]),
            None if entry["accepted"] is None else stamp_from(entry["accepted"]),
            None if entry["failed"] is None else stamp_from(entry["failed"]),
            {int(ts // MINUTE_S): float(ts) for ts in entry["denials"]},
        )
        for name, samples in entry["samples"].items():
            for said in samples:
                resets_at = None if said["resets_at"] is None else parse_rfc3339(said["resets_at"])
                stamp = stamp_from(said)
                window = Window(name, number(said["utilization"]), resets_at)
                history.quarters.setdefault(name, {})[int(stamp.ts // _SAMPLE_S)] = (stamp, window)
        return history


def _said_json(said: Mapping[str, Observation]) -> dict[str, Any]:
    return {source: observation_json(seen) for source, seen in sorted(said.items())}


def _said_from(provider: str, entry: Mapping[str, Any]) -> dict[str, Observation]:
    return {source: seen for source, said in entry.items() if (seen := observation_from(provider, said))}


def _sample_json(stamp: Stamp, window: Window) -> dict[str, Any]:
    resets_at = None if window.resets_at is None else rfc3339(window.resets_at)
    return {**stamp_json(stamp), **in_one_form({"utilization": window.utilization}), "resets_at": resets_at}


def _last(stamp: Stamp, known: Stamp | None) -> bool:
    return later(stamp, "", None if known is None else (known, ""))


def newer(seen: Observation, known: Observation | None) -> bool:
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
    if isinstance(said, Observation):
        said = observation_json(said)
    elif isinstance(said, Window):
        said = in_one_form(window_json(said))
    return stamp.source == "piggyback", stamp.source, repr(said)
