"""A decision as a plain object. Pure, like the choice itself."""

from typing import Any

import msgspec

from tokmon.selection.candidates import Alternative
from tokmon.selection.choose import Decision
from tokmon.wire.instants import rfc3339


def decision_json(decision: Decision) -> dict[str, Any]:
    """The decision as it stands in `decisions.jsonl` and in `tokmon select --json`."""
    return {
        "provider": decision.provider,
        "model": decision.model,
        "reason": decision.reason,
        "emergency": decision.emergency,
        "spends_credit": decision.spends,
        "pinned": decision.pinned,
        "policy": decision.policy,
        "decided_at": rfc3339(decision.decided_at),
        "valid_until": rfc3339(decision.valid_until),
        "asked": [msgspec.structs.asdict(each) for each in decision.asked],
        "alternatives": [_alternative_json(each) for each in decision.alternatives],
    }


def _alternative_json(each: Alternative) -> dict[str, Any]:
    told = each.standing
    week = told.window("7d") or told.window("5h")
    resets_at = None if week is None else week.resets_at
    return {
        "provider": told.provider,
        "status": told.status,
        "utilization_5h": told.utilization("5h"),
        "utilization_7d": told.utilization("7d"),
        "resets_at": None if resets_at is None else rfc3339(resets_at),
        "age_s": None if told.age_s is None else round(told.age_s, 1),
        "source": told.source,
        "verdict": told.verdict,
        "why": told.why,
        "expired": list(told.expired),
    }
