"""The view as one JSON object (docs/json.md)."""

from typing import Any, Final

from tokmon.evidence.reading import credits_json, overage_json
from tokmon.evidence.snapshot import Evidence, Stamp
from tokmon.report.gauge import Gauge
from tokmon.report.severity import Severity
from tokmon.report.view import AccountView, OtherAccount, View
from tokmon.wire.instants import rfc3339

VERSION: Final = 1
"""Of this form: it changes when a field goes or means something else, not when one comes."""


def to_json(shown: View) -> dict[str, Any]:
    """Everything, with ages in seconds. An expired window's figure is `last_utilization`, its `utilization` null."""
    return {
        "version": VERSION,
        "now": rfc3339(shown.now),
        "overall": {severity.value: shown.counts.get(severity, 0) for severity in Severity},
        "providers": [_account_json(account, shown.now) for account in shown.accounts],
    }


def _account_json(view: AccountView, now: float) -> dict[str, Any]:
    account, assessment, last = view.account, view.assessment, view.last_known
    paid, plan, credit = account.overage_evidence, account.plan, account.credits
    return {
        "provider": view.name,
        "type": view.type,
        "configured": view.configured,
        "account": view.label or None,
        "other_accounts": [_other_json(other, now) for other in view.others],
        "model": assessment.model,
        "severity": view.severity.value,
        "fitness": assessment.fitness.value,
        "reason": assessment.reason,
        "until": _instant(assessment.until),
        "status": None if assessment.evidence is None else _status_json(assessment.evidence, now),
        "last_known": None
        if last is None
        else {**_status_json(last.evidence, now), "why_unused": last.why_unused or None},
        "limited_by": next((gauge.window.name for gauge in view.gauges if gauge.limiting), None),
        "windows": [_gauge_json(gauge, now) for gauge in view.gauges],
        "overage": None
        if paid is None or paid.overage is None
        else {**overage_json(paid.overage), **_origin(paid.stamp, now)},
        "plan": None if plan is None else {"plan": plan[1], **_origin(plan[0], now)},
        "credits": None if credit is None else {**credits_json(credit[1]), **_origin(credit[0], now)},
        "refused_models": [_refusal_json(model, evidence, now) for model, evidence in view.refused.items()],
    }


def _other_json(other: OtherAccount, now: float) -> dict[str, Any]:
    assessment = other.assessment
    return {
        "account": other.label,
        "fitness": assessment.fitness.value,
        "reason": assessment.reason,
        "until": _instant(assessment.until),
        "age_s": None if other.last is None else round(now - other.last.ts, 3),
        "windows": [_gauge_json(gauge, now) for gauge in other.gauges],
    }


def _refusal_json(model: str, evidence: Evidence, now: float) -> dict[str, Any]:
    return {
        "model": model or None,
        "status": evidence.status.value,
        "substatus": evidence.substatus,
        "blocked_until": _instant(evidence.blocked_until),
        **_origin(evidence.stamp, now),
    }


def _status_json(evidence: Evidence, now: float) -> dict[str, Any]:
    return {
        "status": evidence.status.value,
        "substatus": evidence.substatus,
        "scope": evidence.scope,
        "model": evidence.model,
        "http_status": evidence.http_status,
        "blocked_until": _instant(evidence.blocked_until),
        **_origin(evidence.stamp, now),
    }


def _gauge_json(gauge: Gauge, now: float) -> dict[str, Any]:
    window = gauge.window
    return {
        "name": window.name,
        "limiting": gauge.limiting,
        "expired": gauge.expired,
        "utilization": None if gauge.expired else window.utilization,
        "last_utilization": window.utilization,
        "limit": window.limit,
        "remaining": None if gauge.expired else window.remaining,
        "limit_usd": window.limit_usd,
        "used_usd": None if gauge.expired else window.used_usd,
        "status": window.status,
        "surpassed_threshold": window.surpassed,
        "scope": window.scope,
        "models": list(gauge.models),
        "resets_at": _instant(window.resets_at),
        "resets_in_s": None if window.resets_at is None else round(window.resets_at - now, 3),
        **_origin(gauge.stamp, now),
    }


def _origin(stamp: Stamp, now: float) -> dict[str, Any]:
    """Instant, age and source, and the member where it is another one."""
    known = {"at": rfc3339(stamp.ts), "age_s": round(now - stamp.ts, 3), "source": stamp.source}
    return known | ({"member": stamp.member} if stamp.member else {})


def _instant(at: float | None) -> str | None:
    return None if at is None else rfc3339(at)
