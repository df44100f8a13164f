"""ChatGPT plans (Codex): `x-codex-*` headers, the `codex.rate_limits` frame of a stream, and pi's own error texts.

A slot (`primary`, `secondary`, `tertiary`) has the length of its window in minutes, and the window is named after
that length: the primary slot often holds a week. A slot with no minutes and nothing used does not exist. Further
metered limits come as `x-codex-LIMIT-SLOT-*`. Percentages are of the used part.
Sources: openai/codex, captured responses and frames.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from tokmon.evidence import values
from tokmon.evidence.model import Credits, ErrorClass, ErrorText, RawResponse, Reading, Scope, Status, Window
from tokmon.evidence.reading import boolean

NAME: Final = "codex"
PREFIXES: Final = ("x-codex-",)

_SLOTS: Final = ("primary", "secondary", "tertiary")
_FIELD: Final = re.compile(
    r"^x-(codex(?:-[a-z0-9-]+?)?)-(primary|secondary|tertiary)"
    r"-(used-percent|window-minutes|reset-at|reset-after-seconds)$"
)
_FRAME: Final = "codex.rate_limits"
_RESET_KEYS: Final = ("reset_at", "resets_at")
_WAIT_KEYS: Final = ("reset_after_seconds", "resets_in_seconds")
_ID_KEYS: Final = ("metered_limit_name", "limit_id", "metered_feature")
_ADDITIONAL: Final = "additional_rate_limits"
_ACCOUNT: Final = "codex"
"""The account's own limit."""


Slots = dict[tuple[str, str], dict[str, str]]
"""The fields of each slot, by limit and slot."""


def parse(response: RawResponse) -> Reading | None:
    """Read the headers; None if there are none of this family."""
    if not any(name.startswith(PREFIXES) for name in response.headers):
        return None
    slots: Slots = {}
    get = response.headers.get
    for name, value in response.headers.items():
        place = _place(name) if name.startswith(PREFIXES) else None
        if place is not None:
            named = values.first_value(get(f"x-{place[0].replace('_', '-')}-limit-name"))
            limit = place[0] if named is None or place[0] == _ACCOUNT else named[:60]
            slots.setdefault((limit, place[1]), {})[place[2]] = value
    credit = Credits(
        values.flag(get("x-codex-credits-has-credits")),
        values.flag(get("x-codex-credits-unlimited")),
        values.first_value(get("x-codex-credits-balance")),
    )
    windows, warnings = _windows(slots, response.at)
    status = _status(values.first_value(get("x-codex-rate-limit-reached-type")))
    return Reading(
        status=status,
        scope=None if status is Status.UNKNOWN else Scope.ACCOUNT,
        windows=windows,
        plan=values.first_value(get("x-codex-plan-type")),
        credits=None if credit == Credits() else credit,
        family=NAME,
        warnings=warnings,
    )


@lru_cache(256)
def _place(name: str) -> tuple[str, str, str] | None:
    """Limit, slot and field: `x-codex-bengalfox-primary-reset-at` is (`codex_bengalfox`, `primary`, `reset-at`)."""
    match = _FIELD.match(name)
    return None if match is None else (match[1].replace("-", "_"), match[2], match[3])


def _windows(slots: Slots, at: float) -> tuple[tuple[Window, ...], tuple[str, ...]]:
    """The windows of the slots, the account's own before those of further limits, and the warnings."""
    windows: dict[str, Window] = {}
    warnings: list[str] = []
    for limit, slot in sorted(slots, key=lambda place: (place[0], _SLOTS.index(place[1]))):
        fields = slots[limit, slot]
        percent, minutes = values.percent(fields.get("used-percent")), values.number(fields.get("window-minutes"))
        resets_at, reset_warnings = _reset(slot, fields, at)
        if percent is None or minutes is None:
            warnings += values.unparseable(slot, fields, {"used-percent": percent, "window-minutes": minutes})
        warnings += reset_warnings
        if not percent and not minutes and resets_at is None:
            continue
        of_account = limit == _ACCOUNT
        name = values.period(minutes) or slot
        name = name if of_account else f"{limit}:{name}"
        if name in windows:
            name = f"{name}_{slot}"
        windows[name] = Window(name, percent, resets_at, scope=None if of_account else Scope.MODEL, slot=slot)
    return tuple(windows.values()), tuple(warnings)


def _reset(slot: str, fields: Mapping[str, str], at: float) -> tuple[float | None, list[str]]:
    """The reset of a slot, absolute or relative to the capture, and the warnings."""
    resets_at = values.instant(fields.get("reset-at"))
    warnings = [] if resets_at is not None else values.unparseable(slot, fields, {"reset-at": None})
    wait = values.number(fields.get("reset-after-seconds"))
    if resets_at is None and wait is not None and wait > 0:
        resets_at = values.plausible(at + wait)
    return resets_at, warnings


def _status(reached_type: str | None) -> Status:
    if reached_type is None:
        return Status.UNKNOWN
    return Status.NO_CREDIT if "credits_depleted" in reached_type else Status.REJECTED


def frame(frame: Mapping[str, object], at: float) -> Reading | None:
    """Read a frame of a stream without headers (WebSocket); None if the frame is of another type."""
    if frame.get("type") != _FRAME:
        return None
    limits = frame.get("rate_limits")
    limits = limits if isinstance(limits, Mapping) else {}
    slots = _slots(_limit(frame), limits)
    for name, entry in _additional(frame.get(_ADDITIONAL)):
        slots |= _slots(name, entry)
    windows, warnings = _windows(slots, at)
    refused = limits.get("allowed") is False or limits.get("limit_reached") is True
    plan, credit = frame.get("plan_type"), _credits(frame.get("credits"))
    of_limit = _limit(frame) != _ACCOUNT
    own = [window for window in windows if of_limit or window.scope is None]
    full = [window for window in own if (window.utilization or 0) >= 1] if refused else []
    binding = max(full, key=lambda window: window.resets_at or 0.0, default=None)
    return Reading(
        status=Status.REJECTED if refused else Status.ALLOWED,
        scope=(Scope.MODEL if of_limit else Scope.ACCOUNT) if refused else None,
        windows=windows,
        binding=None if binding is None else binding.name,
        blocked_until=None if binding is None else binding.resets_at,
        plan=plan if isinstance(plan, str) else None,
        credits=None if credit == Credits() else credit,
        family=NAME,
        warnings=warnings,
    )


def _slots(limit: str, entry: Mapping[str, object]) -> Slots:
    """The slots of one limit: `primary`, or `primary_window` in the answers of the usage endpoint."""
    slots: Slots = {}
    for slot in _SLOTS:
        fields = next((value for key in (slot, f"{slot}_window") if isinstance(value := entry.get(key), Mapping)), None)
        if fields is not None:
            slots[limit, slot] = _fields(fields)
    return slots


def _additional(entries: object) -> list[tuple[str, Mapping[str, object]]]:
    """Name and slots of the further limits, each of some models: an object by name, or a list."""
    if isinstance(entries, Mapping):
        named = [(str(name), entry) for name, entry in entries.items()]
    else:
        named = [("", entry) for entry in entries] if isinstance(entries, list) else []
    limits = []
    for key, entry in named:
        if isinstance(entry, Mapping):
            name = key.strip()[:60] or _first_text(entry, ("limit_name", *_ID_KEYS)) or _ADDITIONAL
            inner = entry.get("rate_limit")
            limits.append((name, inner if isinstance(inner, Mapping) else entry))
    return limits


def _credits(entry: object) -> Credits:
    if not isinstance(entry, Mapping):
        return Credits()
    balance = entry.get("balance")
    return Credits(
        boolean(entry.get("has_credits")),
        boolean(entry.get("unlimited")),
        None if balance is None else str(balance)[:40],
    )


def _limit(frame: Mapping[str, object]) -> str:
    """The metered limit that the frame is about; `codex`, the account's own, if it names none."""
    limit = _first_text(frame, _ID_KEYS).lower().replace("-", "_")
    return _ACCOUNT if limit == _ACCOUNT else _first_text(frame, ("limit_name",)) or limit or _ACCOUNT


def _first_text(entry: Mapping[str, object], keys: Iterable[str]) -> str:
    """The first text under these keys, stripped and cut to 60 characters, or ""."""
    texts = (value.strip() for key in keys if isinstance(value := entry.get(key), str))
    return next((text[:60] for text in texts if text), "")


def _fields(entry: Mapping[str, object]) -> dict[str, str]:
    """The fields of a slot in a frame, by their names in the headers."""
    keys = {
        "used-percent": ("used_percent",),
        "window-minutes": ("window_minutes", "window_duration_mins"),
        "reset-at": _RESET_KEYS,
        "reset-after-seconds": _WAIT_KEYS,
    }
    fields = {}
    for field, alternatives in keys.items():
        value = next((entry[key] for key in alternatives if entry.get(key) is not None), None)
        if value is not None:
            fields[field] = str(value)
    seconds = entry.get("limit_window_seconds")
    if "window-minutes" not in fields and isinstance(seconds, (int, float)):
        fields["window-minutes"] = str(seconds / 60)
    return fields


_TEXT: Final = re.compile(r"hit your chatgpt usage limit(?: \((\w+) plan\))?(?:\W+try again in ~?(\d+) min)?")
_UNTIL: Final = re.compile(r'"resets_at": ?(\d{9,14})\b')
_IN: Final = re.compile(r'"resets_in_seconds": ?(\d{1,9})\b')
_PLAN: Final = re.compile(r'"plan_type": ?"(\w{1,40})"')


def classify(error: ErrorText) -> ErrorClass | None:
    """Classify a refusal of the backend, or the sentence that pi makes of it (in rounded minutes)."""
    text = error.lowercase
    sentence = _TEXT.search(text)
    if sentence is not None:
        wait = None if sentence[2] is None else float(sentence[2]) * 60
        end = None if wait is None else values.plausible(error.at + wait)
        return ErrorClass(Status.REJECTED, Scope.ACCOUNT, resets_at=end, retry_after_s=wait, plan=sentence[1])
    if "usage_limit_reached" in text or "the usage limit has been reached" in text:
        until, wait_match, plan = _UNTIL.search(text), _IN.search(text), _PLAN.search(text)
        end = values.instant(until[1]) if until else None
        if end is None and wait_match is not None:
            end = values.plausible(error.at + float(wait_match[1]))
        return ErrorClass(Status.REJECTED, Scope.ACCOUNT, resets_at=end, plan=plan[1] if plan else None)
    if "usage_not_included" in text:
        return ErrorClass(Status.POLICY_REJECTED, Scope.ACCOUNT, "not_in_plan")
    if "server_is_overloaded" in text or '"slow_down"' in text:
        return ErrorClass(Status.OVERLOADED, Scope.PROVIDER)
    return None
