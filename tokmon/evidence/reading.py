"""A reading as JSON and back: the same words in the log, in `state.json` and in what `tokmon read` prints.

What comes back is read with distrust: logs are also written by others. What is not of the right kind is not said.
"""

from collections.abc import Mapping
from typing import Any, Final

from tokmon.evidence.model import Credits, Overage, Reading, Scope, Window
from tokmon.wire.instants import parse_rfc3339, rfc3339

_TOO_MUCH: Final = 1e300
_SCOPES: Final = frozenset(str(scope) for scope in Scope)


def reading_json(reading: Reading) -> dict[str, Any]:
    """Everything that the reading says, and None for what was not said."""
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


def window_json(window: Window) -> dict[str, Any]:
    """A window; what was not said is left out, but for the two that readers expect."""
    found: dict[str, Any] = {
        "name": window.name,
        "utilization": window.utilization,
        "resets_at": None if window.resets_at is None else rfc3339(window.resets_at),
    }
    if window.status is not None:
        found["status"] = window.status
    if window.limit is not None:
        found["limit"] = window.limit
    if window.remaining is not None:
        found["remaining"] = window.remaining
    if window.surpassed is not None:
        found["surpassed_threshold"] = window.surpassed
    if window.scope is not None:
        found["scope"] = window.scope
    if window.slot is not None:
        found["slot"] = window.slot
    if window.limit_usd is not None:
        found["limit_usd"] = window.limit_usd
    if window.used_usd is not None:
        found["used_usd"] = window.used_usd
    return found


def window_from_json(entry: Mapping[str, Any]) -> Window | None:
    """The reverse; None if it has no name."""
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
    """An overage; what was not said is left out, but for its status and whether it is in use."""
    more = {
        "utilization": overage.utilization,
        "resets_at": None if overage.resets_at is None else rfc3339(overage.resets_at),
        "disabled_reason": overage.disabled_reason,
        "used": overage.used,
        "permitted": overage.permitted,
    }
    found = {"status": overage.status, "in_use": overage.in_use}
    return found | {name: value for name, value in more.items() if value is not None}


def overage_from_json(entry: Mapping[str, Any]) -> Overage:
    """The reverse."""
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
    """Credits, each part of them."""
    return {"has_credits": credit.has_credits, "unlimited": credit.unlimited, "balance": credit.balance}


def credits_from_json(entry: Mapping[str, Any]) -> Credits:
    """The reverse."""
    return Credits(boolean(entry.get("has_credits")), boolean(entry.get("unlimited")), text(entry, "balance"))


def text(entry: Mapping[str, Any], key: str) -> str | None:
    """A text, or None."""
    value = entry.get(key)
    return value if isinstance(value, str) else None


def boolean(value: object) -> bool | None:
    """A truth value, or None."""
    return value if isinstance(value, bool) else None


def number(value: object) -> float | None:
    """A number, or None."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return value if abs(value) < _TOO_MUCH else None


def instant(value: object) -> float | None:
    """The epoch seconds of an RFC 3339 text, or None."""
    try:
        return parse_rfc3339(value) if isinstance(value, str) else None
    except ValueError:
        return None
