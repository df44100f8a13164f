"""A decision as a plain object. Pure, like the choice itself."""

from dataclasses import asdict
from typing import Any, Final

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
    resets_at = None if window is None else window.resets_at
    return {
        "provider": assessment.provider,
        "model": assessment.model,
        "fitness": assessment.fitness,
        "reason": assessment.reason,
        "until": None if assessment.until is None else rfc3339(assessment.until),
        "status": assessment.status,
        "source": assessment.source,
        "age_s": None if assessment.age_s is None else round(assessment.age_s, 1),
        "utilization_5h": assessment.utilization("5h"),
        "utilization_7d": assessment.utilization("7d"),
        "resets_at": None if resets_at is None else rfc3339(resets_at),
        "expired": list(assessment.expired),
    }
