"""The worked examples of docs/policy.md, as the code computes them."""

from collections.abc import Iterator

from scripts.docs.demo import NOW, example_lines
from tokmon.evidence.snapshot import Snapshot, fold
from tokmon.selection.candidates import Candidate, evaluate
from tokmon.selection.choose import choose
from tokmon.selection.policy import Policy

_HOUR, _DAY = 3600.0, 86400.0


def examples() -> Iterator[str]:
    """A row for each account, and the choice."""
    snapshot = fold(Snapshot(), example_lines())
    policy = Policy(chain=(*snapshot.accounts, "team-nadja"))
    yield "| account | 5h | 7d | 7d resets in | after a session: 5h, 7d | enough | urgency |"
    yield "|---|---|---|---|---|---|---|"
    for candidate in evaluate(policy, snapshot, NOW).values():
        yield _row(candidate)
    decision = choose(policy, snapshot, NOW)
    yield ""
    yield "The choice: nothing" if decision is None else f"The choice is `{decision.provider}`: {decision.reason}."


def _row(candidate: Candidate) -> str:
    assessment, exhausted = candidate.assessment, candidate.exhausted
    week = assessment.window("7d")
    hours = None if week is None or week.resets_at is None else (week.resets_at - NOW) / _HOUR
    enough = (
        "yes" if exhausted is None else f"no: {exhausted.name} used up in {(exhausted.hits_in_s or 0) / 60:.0f} min"
    )
    cells = [
        f"`{candidate.provider}`",
        _percent(assessment.utilization("5h")),
        _percent(assessment.utilization("7d")),
        "unknown" if hours is None else f"{hours:.0f} h",
        ", ".join(f"{_percent(projection.end)}" for projection in candidate.projections),
        enough,
        f"{candidate.urgency:.4f}" if exhausted is None else "-",
    ]
    return f"| {' | '.join(cells)} |"


def _percent(fraction: float | None) -> str:
    return "unknown" if fraction is None else f"{fraction * 100:.3g} %"
