"""The figures of one policy, and the table that `tokmon replay` prints."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class PolicyOutcome:
    """The figures of one policy. A figure that is not known is None.

    `met_429` counts the sessions that met a usage limit, `unknown` those of which this is not known. `unused` is the
    fraction of quota that was unused at the weekly resets, over `weeks` weeks of single seats. `on_fallback` counts
    the sessions on an account of the fallback, `abandoned` those that found no account in the end.
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
    """Sessions for which the policy chose the account that was really used."""

    def to_json(self) -> dict[str, Any]:
        """The outcome as one JSON object."""
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
    """The outcomes as lines of a Markdown table."""
    recorded = any(outcome.agreed is not None or outcome.unknown is not None for outcome in outcomes)
    head = ["policy", "sessions", "met a 429", "unused at resets", "switches", "paid", "emergencies"]
    head += ["unknown", "as used"] if recorded else ["lost"]
    rows = [head]
    for outcome in outcomes:
        row = [
            outcome.policy,
            str(outcome.sessions),
            _share(outcome.met_429, outcome.sessions),
            "unknown" if outcome.unused is None else f"{outcome.unused:.1%} of {outcome.weeks} weeks",
            str(outcome.switches),
            str(outcome.on_fallback),
            str(outcome.emergencies),
        ]
        row += [_count(outcome.unknown), _count(outcome.agreed)] if recorded else [str(outcome.abandoned)]
        rows.append(row)
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    yield _row(head, widths)
    yield "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    for row in rows[1:]:
        yield _row(row, widths)


def _count(number: int | None) -> str:
    return "-" if number is None else str(number)


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)) + " |"
