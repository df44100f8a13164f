"""What came of a policy: the figures that `tokmon replay` prints."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class PolicyOutcome:
    """Of one policy. What cannot be known is None; `lost` are sessions that found no account in the end.

    `unused` is the quota that was left at the ends of weeks, as a fraction of all `weeks` (one of each seat), `paid`
    the sessions that were on an account of the fallback.
    """

    policy: str
    sessions: int = 0
    met_429: int = 0
    unknown: int | None = None
    unused: float | None = None
    weeks: int = 0
    switches: int = 0
    on_fallback: int = 0
    emergencies: int = 0
    abandoned: int = 0
    agreed: int | None = None
    """Sessions for which the choice was what was really used."""

    def to_json(self) -> dict[str, Any]:
        """Under the names of the table."""
        return {
            "policy": self.policy,
            "sessions": self.sessions,
            "sessions_429": self.met_429,
            "sessions_unknown": self.unknown,
            "unused_7d": None if self.unused is None else round(self.unused, 4),
            "weeks_7d": self.weeks,
            "switches": self.switches,
            "paid": self.on_fallback,
            "emergencies": self.emergencies,
            "lost": self.abandoned,
            "agreed": self.agreed,
        }


def _share(part: int, whole: int) -> str:
    return f"{part} ({part / whole:.1%})" if whole else str(part)


def table(outcomes: Sequence[PolicyOutcome]) -> Iterator[str]:
    """A Markdown table, which reads as well on a terminal."""
    recorded = any(each.agreed is not None or each.unknown is not None for each in outcomes)
    head = ["policy", "sessions", "met a 429", "unused at resets", "switches", "paid", "emergencies"]
    head += ["unknown", "as used"] if recorded else ["lost"]
    rows = [head]
    for each in outcomes:
        row = [
            each.policy,
            str(each.sessions),
            _share(each.met_429, each.sessions),
            "unknown" if each.unused is None else f"{each.unused:.1%} of {each.weeks} weeks",
            str(each.switches),
            str(each.on_fallback),
            str(each.emergencies),
        ]
        told = [_said(each.unknown), _said(each.agreed)] if recorded else [str(each.abandoned)]
        rows.append([*row, *told])
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    yield _row(head, widths)
    yield "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    for row in rows[1:]:
        yield _row(row, widths)


def _said(number: int | None) -> str:
    return "-" if number is None else str(number)


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)) + " |"
