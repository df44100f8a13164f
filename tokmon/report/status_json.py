"""The view as one JSON object."""

from typing import Any, Final

from tokmon.evidence.model import Status
from tokmon.evidence.reading import credits_json, overage_json
from tokmon.evidence.snapshot import Evidence, Stamp
from tokmon.report.gauge import Gauge
from tokmon.report.judge import Refusal, Severity
from tokmon.report.view import Provider, View
from tokmon.report.words import source_word
from tokmon.wire.instants import rfc3339

VERSION: Final = 1
"""Of this form: it changes when a field goes or means something else, not when one comes."""


def to_json(shown: View) -> dict[str, Any]:
    """Everything, with ages in seconds. An expired window's figure is `last_utilization`, its `utilization` null."""
    return {
        "version": VERSION,
        "now": rfc3339(shown.now),
        "overall": {severity.value: shown.counts.get(severity, 0) for severity in Severity},
        "providers": [_provider_json(provider, shown.now) for provider in shown.providers],
    }


def _provider_json(provider: Provider, now: float) -> dict[str, Any]:
    account = provider.account
    paid, plan, credit = account.overage_evidence, account.plan, account.credits
    return {
        "provider": provider.name,
        "type": provider.type,
        "configured": provider.configured,
        "severity": provider.severity.value,
        "reasons": list(provider.reasons),
        "status": None if provider.last is None else _status_json(provider, provider.last, now),
        "claim": None if provider.last is None else provider.last.claim,
        "binding_window": next((gauge.window.name for gauge in provider.gauges if gauge.claim), None),
        "windows": [_gauge_json(gauge, now) for gauge in provider.gauges],
        "spending_credit": provider.spending,
        "overage": None
        if paid is None or paid.overage is None
        else {**overage_json(paid.overage), **_evidence(paid.stamp, now)},
        "plan": None if plan is None else {"plan": plan[1], **_evidence(plan[0], now)},
        "credits": None if credit is None else {**credits_json(credit[1]), **_evidence(credit[0], now)},
        "refused_models": [_refusal_json(refusal, now) for refusal in provider.refused],
    }


def _refusal_json(refusal: Refusal, now: float) -> dict[str, Any]:
    seen = refusal.seen
    return {
        "model": refusal.model or None,
        "status": seen.status.value if refusal.ended is None else Status.UNKNOWN.value,
        "last_status": seen.status.value,
        "expired": refusal.ended is not None,
        "substatus": seen.substatus,
        "blocked_until": None if seen.blocked_until is None else rfc3339(seen.blocked_until),
        **_evidence(seen.stamp, now),
    }


def _status_json(provider: Provider, last: Evidence, now: float) -> dict[str, Any]:
    return {
        "status": Status.UNKNOWN.value if provider.ended else last.status.value,
        "last_status": last.status.value,
        "expired": provider.ended is not None,
        "substatus": last.substatus,
        "scope": last.scope,
        "model": last.model,
        "http_status": last.http_status,
        "blocked_until": None if last.blocked_until is None else rfc3339(last.blocked_until),
        **_evidence(last.stamp, now),
    }


def _gauge_json(gauge: Gauge, now: float) -> dict[str, Any]:
    window = gauge.window
    return {
        "name": window.name,
        "claim": gauge.claim,
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
        "resets_at": None if window.resets_at is None else rfc3339(window.resets_at),
        "resets_in_s": None if window.resets_at is None else round(window.resets_at - now, 3),
        **_evidence(gauge.stamp, now),
    }


def _evidence(stamp: Stamp, now: float) -> dict[str, Any]:
    return {
        "at": rfc3339(stamp.ts),
        "age_s": round(now - stamp.ts, 3),
        "source": source_word(stamp.source),
    }
