"""Evidence from ahead of now, by a clock that runs ahead: it is set aside, and counts when its time comes. Pure.

Were it folded in at once, it would outrank all other evidence until then. Of evidence of one slot and minute the newest
stands for all, as in the snapshot: what is set aside may count up to a minute late.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final, Self

from tokmon.evidence.history import MINUTE_S, later
from tokmon.evidence.log_line import Evidence, Stamp, evidence_in_line
from tokmon.evidence.outdated import slot
from tokmon.evidence.reading import credits_json, window_json
from tokmon.evidence.saved_form import evidence_json, plain_numbers
from tokmon.wire.instants import parse_rfc3339, rfc3339

AHEAD_S: Final = 300.0
"""Seconds by which the clock of another host may be ahead of ours."""

_MOST: Final = 256
"""Lines of evidence that are set aside at most: of more than that the earliest. Every wake reads them."""

_Line = dict[str, Any]
_Key = tuple[float, str]
"""The minute of evidence (epoch seconds), and its slot."""


def counts_from(ts: float) -> float:
    """The instant from which evidence of that instant counts; both in epoch seconds."""
    return ts - AHEAD_S


def is_early(ts: float, now: float) -> bool:
    """Whether evidence of that instant does not count yet."""
    return ts > now + AHEAD_S


@dataclass(slots=True)
class EarlyEvidence:
    """Evidence that does not count yet. Which of it is set aside does not depend on the order in which it comes."""

    _by_key: dict[_Key, tuple[Stamp, _Line]] = field(default_factory=dict)
    _left_out: float = inf
    """The first minute of evidence for which there was no room, in epoch seconds."""

    @property
    def due_at(self) -> float:
        """When the first of it counts, in epoch seconds; infinity if there is none."""
        return counts_from(min((stamp.ts for stamp, _ in self._by_key.values()), default=inf))

    def add(self, evidence: Evidence) -> None:
        """Set evidence aside."""
        stamp = evidence.stamp
        key = (stamp.ts // MINUTE_S * MINUTE_S, repr(slot(evidence)))
        line = _line(evidence)
        if later(stamp, line, self._by_key.get(key)):
            self._by_key[key] = (stamp, line)
        if len(self._by_key) > _MOST:
            last = max(self._by_key)
            del self._by_key[last]
            self._left_out = min(self._left_out, last[0])

    def take_due(self, now: float) -> list[Evidence] | None:
        """Take out the evidence that counts now; None if there was no room for all of it: read the logs again."""
        if is_early(self.due_at + AHEAD_S, now):
            return []
        if self._left_out < inf:
            return None
        due = [key for key, (stamp, _) in self._by_key.items() if not is_early(stamp.ts, now)]
        lines = [self._by_key.pop(key)[1] for key in due]
        return [evidence for line in lines if (evidence := evidence_in_line(line)) is not None]

    def to_json(self) -> dict[str, Any]:
        """The form of `state.json`: equal evidence gives equal bytes."""
        return {
            "left_out": None if self._left_out == inf else rfc3339(self._left_out),
            "lines": [self._by_key[key][1] for key in sorted(self._by_key)],
        }

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Self:
        """The reverse; KeyError, TypeError or ValueError if it is not what `to_json` made."""
        early = cls()
        for line in entry["lines"]:
            evidence = evidence_in_line(line)
            if evidence is None:
                raise ValueError("not evidence")
            early.add(evidence)
        early._left_out = inf if entry["left_out"] is None else parse_rfc3339(entry["left_out"])
        return early


def _line(evidence: Evidence) -> _Line:
    """The evidence as a line of the log has it."""
    line = {
        **evidence_json(evidence),
        "provider": evidence.provider,
        "type": evidence.type,
        "account": evidence.account,
        "credential": evidence.credential,
        "plan": evidence.plan,
        "credits": None if evidence.credits is None else dict(credits_json(evidence.credits)),
        "binding_window": evidence.binding,
        "windows": [plain_numbers(window_json(window)) for window in evidence.windows],
    }
    return {name: value for name, value in line.items() if value is not None}
