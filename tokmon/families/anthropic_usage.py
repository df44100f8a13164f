"""Anthropic plan seats in the body of `oauth/usage`: the same windows as in the unified headers, without a model call.

The body has a field for each window (`five_hour`, `seven_day_opus`), a list `limits`, or both. `utilization` and
`percent` are the percentage used (0-100), resets are RFC 3339 strings, and credits are minor units of a currency. A
window that is null has not been opened. Source: recorded responses of the endpoint.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from tokmon.evidence import values
from tokmon.evidence.model import ErrorClass, ErrorText, Overage, RawResponse, Reading, Scope, Status, Window

NAME: Final = "anthropic-usage"
PREFIXES: Final = ()

_FRAME: Final = "anthropic.oauth_usage"
_NAMES: Final = {"five_hour": "5h", "seven_day": "7d"}
_GROUPS: Final = {"session": "5h", "daily": "1d", "weekly": "7d", "monthly": "30d"}
_ALL_MODELS: Final = {"", "all"}
_PERCENT: Final = 100
_MAX_FIGURE: Final = 1e9
_MAX_LIMITS: Final = 100
_NOT_IN_A_NAME: Final = re.compile(r"[^a-z0-9]+")


def parse(response: RawResponse) -> Reading | None:  # noqa: ARG001 - the shape of a family
    """None: the figures are in the body, not in headers."""
    return None


def classify(error: ErrorText) -> ErrorClass | None:  # noqa: ARG001 - the shape of a family
    """None: its errors are those of Anthropic's API."""
    return None


def frame(frame: Mapping[str, object], at: float) -> Reading | None:  # noqa: ARG001 - its resets are instants
    """Read the body that a probe stored; None if the frame is of another type.

    Without a window of the account that has a figure, the status is UNKNOWN.
    """
    body = _body(frame)
    if frame.get("type") != _FRAME or body is None:
        return None
    warnings: list[str] = []
    windows = _windows(body, warnings)
    overage = _overage(body)
    account = [window for window in windows if window.scope is None and window.utilization is not None]
    full = [window for window in account if (window.utilization or 0) >= 1]
    binding = max(full, key=lambda window: window.resets_at or 0.0, default=None)
    has_overage = overage is not None and overage.status == Status.ALLOWED
    refused = binding is not None and not has_overage
    status = Status.REJECTED if refused else Status.ALLOWED_WARNING if full else Status.ALLOWED
    return Reading(
        status=status if account else Status.UNKNOWN,
        substatus=None if account else values.NO_WINDOW,
        scope=Scope.ACCOUNT if refused else None,
        windows=windows,
        binding=None if binding is None else binding.name,
        blocked_until=binding.resets_at if binding is not None and refused else None,
        overage=overage,
        family=NAME,
        warnings=tuple(warnings),
    )


def _body(frame: Mapping[str, object]) -> Mapping[str, object] | None:
    """The body in a frame. Frames of older lines have the fields of the windows in `windows`, and no `body`."""
    body, windows = frame.get("body"), frame.get("windows")
    if isinstance(body, Mapping):
        return body
    return {**windows, "extra_usage": frame.get("extra_usage")} if isinstance(windows, Mapping) else None


def _windows(body: Mapping[str, object], warnings: list[str]) -> tuple[Window, ...]:
    """The windows of the fields, and those of `limits` that no field has a figure of."""
    windows: dict[str, Window] = {}
    for key, entry in body.items():
        if isinstance(entry, Mapping) and "utilization" in entry and key.startswith(tuple(_NAMES)):
            window = _window(*_field_name(key), entry, "utilization", warnings)
            windows[window.name] = window
    fields = {name for name, window in windows.items() if window.utilization is not None}
    for entry in _limits(body.get("limits")):
        window = _window(*_limit_name(entry), entry, "percent", warnings)
        known = windows.get(window.name)
        if window.name not in fields and (known is None or (known.utilization or 0) <= (window.utilization or 0)):
            windows[window.name] = window
    return tuple(windows.values())


def _window(name: str, scope: Scope | None, entry: Mapping[str, object], figure: str, warnings: list[str]) -> Window:
    used, reset = entry.get(figure), entry.get("resets_at")
    percent, resets_at = _figure(used), _instant(reset)
    if percent is None and used is not None:
        warnings.append(f"unparseable utilization: {name} = {str(used)[:40]}")
    if resets_at is None and reset is not None:
        warnings.append(f"unparseable reset: {name} = {str(reset)[:40]}")
    return Window(name, None if percent is None else round(percent / _PERCENT, 9), resets_at, scope=scope)


def _field_name(key: str) -> tuple[str, Scope | None]:
    """Name and scope of the window in a field: `seven_day_opus` is `7d_opus` and applies to some models only."""
    period = next(period for period in _NAMES if key.startswith(period))
    return _NAMES[period] + key.removeprefix(period), None if key in _NAMES else Scope.MODEL


def _limits(entries: object) -> Iterator[Mapping[str, object]]:
    entries = list(entries.values()) if isinstance(entries, Mapping) else entries
    for entry in entries[:_MAX_LIMITS] if isinstance(entries, list) else ():
        if isinstance(entry, Mapping) and isinstance(entry.get("kind"), str):
            yield entry


def _limit_name(entry: Mapping[str, object]) -> tuple[str, Scope | None]:
    """Name and scope of the window in an entry of `limits`: `weekly_scoped` of the model `Fable` is `7d_fable`.

    A limit of an unknown kind without a period is no limit of the account.
    """
    kind = str(entry["kind"])
    group = next((group for group in (entry.get("group"), *kind.split("_")[:1]) if group in _GROUPS), None)
    rest = kind.removeprefix(str(group)).strip("_") if group is not None else kind
    label = "_".join(filter(None, (_label(entry.get("scope"), part) for part in ("model", "surface"))))
    if group is not None and not label and rest in _ALL_MODELS:
        return _GROUPS[str(group)], None
    label = label or _slug(rest) or "other"
    return label if group is None else f"{_GROUPS[str(group)]}_{label}", Scope.MODEL


def _label(scope: object, part: str) -> str:
    """The model or surface of a limit, as part of a window's name: `fable`; "" if the limit has none."""
    entry = scope.get(part) if isinstance(scope, Mapping) else None
    names = (entry.get("display_name"), entry.get("id")) if isinstance(entry, Mapping) else (entry,)
    name = next((name for name in names if isinstance(name, str) and _slug(name)), "")
    return _slug(name).removeprefix("claude_")


def _slug(text: str) -> str:
    return _NOT_IN_A_NAME.sub("_", text.lower()).strip("_")[:60]


def _overage(body: Mapping[str, object]) -> Overage | None:
    entry, spend = body.get("extra_usage"), body.get("spend")
    if not isinstance(entry, Mapping) and isinstance(spend, Mapping):
        used = spend.get("used")
        amount = used.get("amount_minor") if isinstance(used, Mapping) else None
        entry = {"is_enabled": spend.get("enabled"), "utilization": spend.get("percent"), "used_credits": amount}
    enabled = entry.get("is_enabled") if isinstance(entry, Mapping) else None
    if not isinstance(entry, Mapping) or not isinstance(enabled, bool):
        return None
    percent = _figure(entry.get("utilization"))
    used_up = percent is not None and percent >= _PERCENT
    return Overage(
        status=str(Status.ALLOWED if enabled and not used_up else Status.REJECTED),
        utilization=None if percent is None else round(percent / _PERCENT, 9),
        used=_figure(entry.get("used_credits")),
        permitted=enabled,
    )


def _figure(value: object) -> float | None:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return float(value) if 0 <= value < _MAX_FIGURE else None


def _instant(value: object) -> float | None:
    """Rounded to seconds: the fraction differs in every response, but the reset is the same."""
    seconds = values.instant(str(value)) if isinstance(value, (str, int, float)) else None
    return None if seconds is None else float(round(seconds))
