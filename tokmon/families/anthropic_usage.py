"""Anthropic plan seats, as `oauth/usage` tells of them: the same windows as the unified headers, without a call.

Its percents are 0-100 of what is used, its resets RFC 3339 texts, its credits minor units of a currency. A window that
is null has not been opened. Source: recorded answers of the endpoint.
"""

from collections.abc import Mapping
from typing import Final

from tokmon.evidence.model import ErrorClass, ErrorText, Overage, RawResponse, Reading, Scope, Status, Window
from tokmon.wire.instants import parse_rfc3339

NAME: Final = "anthropic-usage"
PREFIXES: Final = ()

_FRAME: Final = "anthropic.oauth_usage"
_NAMES: Final = {"five_hour": "5h", "seven_day": "7d"}
_PERCENT: Final = 100
_TOO_MUCH: Final = 1e9


def parse(evidence: RawResponse) -> Reading | None:  # noqa: ARG001 - it is not told in headers
    """Nothing: it is not told in headers."""
    return None


def classify(error: ErrorText) -> ErrorClass | None:  # noqa: ARG001 - its errors are those of Anthropic's API
    """Nothing: its errors are those of Anthropic's API."""
    return None


def frame(frame: Mapping[str, object], at: float) -> Reading | None:  # noqa: ARG001 - its resets are instants
    """Read what a probe kept of the answer; None if it is of another kind."""
    told = frame.get("windows")
    if frame.get("type") != _FRAME or not isinstance(told, Mapping):
        return None
    windows, warnings = [], []
    for name, said in told.items():
        if isinstance(said, Mapping):
            window, doubtful = _window(str(name), said)
            windows.append(window)
            warnings += doubtful
    overage = _overage(frame.get("extra_usage"))
    full = [window for window in windows if window.scope is None and (window.utilization or 0) >= 1]
    binding = max(full, key=lambda window: window.resets_at or 0.0, default=None)
    paid = overage is not None and overage.status == Status.ALLOWED
    refused = binding is not None and not paid
    return Reading(
        status=Status.REJECTED if refused else Status.ALLOWED_WARNING if binding is not None else Status.ALLOWED,
        scope=Scope.ACCOUNT if refused else None,
        windows=tuple(windows),
        binding=None if binding is None else binding.name,
        blocked_until=binding.resets_at if binding is not None and refused else None,
        overage=overage,
        family=NAME,
        warnings=tuple(warnings),
    )


def _window(name: str, said: Mapping[str, object]) -> tuple[Window, list[str]]:
    """`seven_day_opus` is `7d_opus`, and binds some models only."""
    length = next((length for length in _NAMES if name.startswith(length)), None)
    own = name if length is None else _NAMES[length] + name.removeprefix(length)
    used, reset = said.get("utilization"), said.get("resets_at")
    figure, resets_at = _figure(used), _instant(reset)
    warnings = [] if figure is not None or used is None else [f"unparseable utilization: {own} = {str(used)[:40]}"]
    if resets_at is None and reset is not None:
        warnings.append(f"unparseable reset: {own} = {str(reset)[:40]}")
    scope = None if name in _NAMES else Scope.MODEL
    return Window(own, None if figure is None else round(figure / _PERCENT, 9), resets_at, scope=scope), warnings


def _overage(said: object) -> Overage | None:
    if not isinstance(said, Mapping) or not isinstance(said.get("is_enabled"), bool):
        return None
    used, limit = _figure(said.get("utilization")), _figure(said.get("used_credits"))
    spent = used is not None and used >= _PERCENT
    return Overage(
        status=str(Status.ALLOWED if said["is_enabled"] and not spent else Status.REJECTED),
        utilization=None if used is None else round(used / _PERCENT, 9),
        used=limit,
        permitted=said["is_enabled"],
    )


def _figure(value: object) -> float | None:
    fits = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < _TOO_MUCH
    return float(value) if fits and isinstance(value, (int, float)) else None


def _instant(value: object) -> float | None:
    """To the second: the fraction is another one each time, and the reset the same."""
    try:
        return float(round(parse_rfc3339(value))) if isinstance(value, str) else None
    except ValueError:
        return None
