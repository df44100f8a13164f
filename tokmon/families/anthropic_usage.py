"""Anthropic plan seats in the body of `oauth/usage`: the same windows as in the unified headers, without a model call.

`utilization` is the percentage used (0-100), resets are RFC 3339 strings, and credits are minor units of a currency.
A window that is null has not been opened. Source: recorded responses of the endpoint.
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
_MAX_FIGURE: Final = 1e9


def parse(response: RawResponse) -> Reading | None:  # noqa: ARG001 - the shape of a family
    """None: the figures are in the body, not in headers."""
    return None


def classify(error: ErrorText) -> ErrorClass | None:  # noqa: ARG001 - the shape of a family
    """None: its errors are those of Anthropic's API."""
    return None


def frame(frame: Mapping[str, object], at: float) -> Reading | None:  # noqa: ARG001 - its resets are instants
    """Read the figures that a probe stored of the body; None if the frame is of another type."""
    entries = frame.get("windows")
    if frame.get("type") != _FRAME or not isinstance(entries, Mapping):
        return None
    windows, warnings = [], []
    for name, entry in entries.items():
        if isinstance(entry, Mapping):
            window, window_warnings = _window(str(name), entry)
            windows.append(window)
            warnings += window_warnings
    overage = _overage(frame.get("extra_usage"))
    full = [window for window in windows if window.scope is None and (window.utilization or 0) >= 1]
    binding = max(full, key=lambda window: window.resets_at or 0.0, default=None)
    has_overage = overage is not None and overage.status == Status.ALLOWED
    refused = binding is not None and not has_overage
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


def _window(key: str, entry: Mapping[str, object]) -> tuple[Window, list[str]]:
    """The window and its warnings. `seven_day_opus` is named `7d_opus` and applies to some models only."""
    period = next((period for period in _NAMES if key.startswith(period)), None)
    name = key if period is None else _NAMES[period] + key.removeprefix(period)
    utilization, reset = entry.get("utilization"), entry.get("resets_at")
    percent, resets_at = _figure(utilization), _instant(reset)
    warnings = []
    if percent is None and utilization is not None:
        warnings.append(f"unparseable utilization: {name} = {str(utilization)[:40]}")
    if resets_at is None and reset is not None:
        warnings.append(f"unparseable reset: {name} = {str(reset)[:40]}")
    scope = None if key in _NAMES else Scope.MODEL
    return Window(name, None if percent is None else round(percent / _PERCENT, 9), resets_at, scope=scope), warnings


def _overage(entry: object) -> Overage | None:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("is_enabled"), bool):
        return None
    percent, used = _figure(entry.get("utilization")), _figure(entry.get("used_credits"))
    used_up = percent is not None and percent >= _PERCENT
    return Overage(
        status=str(Status.ALLOWED if entry["is_enabled"] and not used_up else Status.REJECTED),
        utilization=None if percent is None else round(percent / _PERCENT, 9),
        used=used,
        permitted=entry["is_enabled"],
    )


def _figure(value: object) -> float | None:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return float(value) if 0 <= value < _MAX_FIGURE else None


def _instant(value: object) -> float | None:
    """Rounded to seconds: the fraction differs in every response, but the reset is the same."""
    try:
        return float(round(parse_rfc3339(value))) if isinstance(value, str) else None
    except ValueError:
        return None
