"""A decision as a plain object. Pure, like the choice itself."""

from dataclasses import asdict
from typing import Any, Final

from tokmon.evidence.model import Scope, Window
from tokmon.selection.candidates import Candidate
from tokmon.selection.choose import Decision
from tokmon.wire.instants import rfc3339

VERSION: Final = 1
"""Of this form: it changes when a field goes or means something else, not when one comes."""


def decision_json(decision: Decision) -> dict[str, Any]:
    """The decision as `decisions.jsonl` and `tokmon select --json` have it (docs/json.md)."""
    return {
        "version": VERSION,
        "provider": decision.provider,
        "model": decision.model,
        "reason": decision.reason,
        "equal": list(decision.equal),
        "emergency": decision.emergency,
        "spends_credit": decision.spends,
        "pinned": decision.pinned,
        "policy": decision.policy,
        "decided_at": rfc3339(decision.decided_at),
        "valid_until": rfc3339(decision.valid_until),
        "probes": [asdict(probe) for probe in decision.probes],
        "alternatives": [_candidate_json(candidate) for candidate in decision.candidates],
    }


def _candidate_json(candidate: Candidate) -> dict[str, Any]:
    assessment = candidate.assessment
    window = assessment.window("7d") or assessment.window("5h")
    return {
        "provider": assessment.provider,
        "model": assessment.model,
        "fitness": assessment.fitness,
        "reason": assessment.reason,
        "until": _instant(assessment.until),
        "status": assessment.status,
        "source": assessment.source,
        "age_s": None if assessment.age_s is None else round(assessment.age_s, 1),
        **({"member": assessment.member} if assessment.member else {}),
        "utilization_5h": _utilization(assessment.window("5h")),
        "utilization_7d": _utilization(assessment.window("7d")),
        "model_windows": [
            {"name": window.name, "utilization": window.utilization, "resets_at": _instant(window.resets_at)}
            for window in assessment.windows
            if window.scope is Scope.MODEL
        ],
        "resets_at": _instant(None if window is None else window.resets_at),
        "expired": list(assessment.expired),
    }


def _utilization(window: Window | None) -> float | None:
    return None if window is None else window.utilization


def _instant(at: float | None) -> str | None:
    return None if at is None else rfc3339(at)
