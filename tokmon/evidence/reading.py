"""A reading as JSON and back. The log, `state.json` and the output of `tokmon read` have the same fields.

Other tools write logs too, so values are checked when they are read: a value of the wrong type counts as missing.
"""

from collections.abc import Mapping
from typing import Any, Final

from tokmon.evidence.model import Credits, Overage, Reading, Scope, Window
from tokmon.wire.instants import parse_rfc3339, rfc3339

_TOO_MUCH: Final = 1e300
_SCOPES: Final = frozenset(str(scope) for scope in Scope)


def reading_json(reading: Reading) -> dict[str, Any]:
    """All fields of a reading; None for what is not known."""
    return {
        "status": reading.status,
        "substatus": reading.substatus,
        "scope": reading.scope,
        "claim": reading.claim,
        "binding_window": reading.binding,
        "windows": [window_json(window) for window in reading.windows],
        "overage": None if reading.overage is None else overage_json(reading.overage),
        "billing": reading.billing,
        "retry_after_s": reading.retry_after_s,
        "blocked_until": None if reading.blocked_until is None else rfc3339(reading.blocked_until),
        "account_hint": reading.account,
        "plan": reading.plan,
        "credits": None if reading.credits is None else credits_json(reading.credits),
        "cost_usd": reading.cost_usd,
        "family": reading.family,
        "warnings": list(reading.warnings),
    }


def known_json(reading: Reading) -> dict[str, Any]:
    """The fields of a reading that are known, and its status."""
    return {name: value for name, value in reading_json(reading).items() if value is not None and value != []}


def window_json(window: Window) -> dict[str, Any]:
    """The fields of a window. Those that are not known are left out, except `utilization` and `resets_at`."""
    entry: dict[str, Any] = {
        "name": window.name,
        "utilization": window.utilization,
        "resets_at": None if window.resets_at is None else rfc3339(window.resets_at),
    }
    if window.status is not None:
        entry["status"] = window.status
    if window.limit is not None:
        entry["limit"] = window.limit
    if window.remaining is not None:
        entry["remaining"] = window.remaining
    if window.surpassed is not None:
        entry["surpassed_threshold"] = window.surpassed
    if window.scope is not None:
        entry["scope"] = window.scope
    if window.slot is not None:
        entry["slot"] = window.slot
    if window.limit_usd is not None:
        entry["limit_usd"] = window.limit_usd
    if window.used_usd is not None:
        entry["used_usd"] = window.used_usd
    return entry


def window_from_json(entry: Mapping[str, Any]) -> Window | None:
    """The window in the output of `window_json`; None if it has no name."""
    name, scope = text(entry, "name"), text(entry, "scope")
    if not name:
        return None
    return Window(
        name=name,
        utilization=number(entry.get("utilization")),
        resets_at=instant(entry.get("resets_at")),
        status=text(entry, "status"),
        limit=number(entry.get("limit")),
        remaining=number(entry.get("remaining")),
        surpassed=number(entry.get("surpassed_threshold")),
        scope=Scope(scope) if scope in _SCOPES else None,
        slot=text(entry, "slot"),
        limit_usd=number(entry.get("limit_usd")),
        used_usd=number(entry.get("used_usd")),
    )


def overage_json(overage: Overage) -> dict[str, Any]:
    """The fields of an overage. Those that are not known are left out, except `status` and `in_use`."""
    optional = {
        "utilization": overage.utilization,
        "resets_at": None if overage.resets_at is None else rfc3339(overage.resets_at),
        "disabled_reason": overage.disabled_reason,
        "used": overage.used,
        "permitted": overage.permitted,
    }
    entry = {"status": overage.status, "in_use": overage.in_use}
    return entry | {name: value for name, value in optional.items() if value is not None}


def overage_from_json(entry: Mapping[str, Any]) -> Overage:
    """The overage in the output of `overage_json`."""
    return Overage(
        status=text(entry, "status"),
        in_use=entry.get("in_use") is True,
        utilization=number(entry.get("utilization")),
        resets_at=instant(entry.get("resets_at")),
        disabled_reason=text(entry, "disabled_reason"),
        used=number(entry.get("used")),
        permitted=boolean(entry.get("permitted")),
    )


def credits_json(credit: Credits) -> Mapping[str, Any]:
    """The fields of credits."""
    return {"has_credits": credit.has_credits, "unlimited": credit.unlimited, "balance": credit.balance}


def credits_from_json(entry: Mapping[str, Any]) -> Credits:
    """The credits in the output of `credits_json`."""
    return Credits(boolean(entry.get("has_credits")), boolean(entry.get("unlimited")), text(entry, "balance"))


def text(entry: Mapping[str, Any], key: str) -> str | None:
    """The string under that key, or None."""
    value = entry.get(key)
    return value if isinstance(value, str) else None


def boolean(value: object) -> bool | None:
    """The value if it is true or false, else None."""
    return value if isinstance(value, bool) else None


def number(value: object) -> float | None:
    """The value if it is a number below 1e300, else None."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return value if abs(value) < _TOO_MUCH else None


def instant(value: object) -> float | None:
    """The epoch seconds of an RFC 3339 string, or None."""
    try:
        return parse_rfc3339(value) if isinstance(value, str) else None
    except ValueError:
        return None
