"""ChatGPT plans (Codex): `x-codex-*` headers, the `codex.rate_limits` frame of a stream, and pi's own texts for them.

A slot (`primary`, `secondary`, `tertiary`) says how long its window is, and the window is named by that: a week
often sits in the primary slot. A slot of no minutes and nothing used does not exist. Further metered limits come
as `x-codex-LIMIT-SLOT-*`. Percents are of what is used. Sources: openai/codex, captured responses and frames.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from tokmon.evidence import values
from tokmon.evidence.model import Credits, ErrorClass, ErrorText, RawResponse, Reading, Scope, Status, Window

NAME: Final = "codex"
PREFIXES: Final = ("x-codex-",)

_SLOTS: Final = ("primary", "secondary", "tertiary")
_FIELD: Final = re.compile(
    r"^x-(codex(?:-[a-z0-9-]+?)?)-(primary|secondary|tertiary)"
    r"-(used-percent|window-minutes|reset-at|reset-after-seconds)$"
)
_DAY_MINUTES: Final = 1440
_FRAME: Final = "codex.rate_limits"
_RESET_WORDS: Final = ("reset_at", "resets_at")
_WAIT_WORDS: Final = ("reset_after_seconds", "resets_in_seconds")
_LIMIT_WORDS: Final = ("metered_limit_name", "limit_name")

Slots = dict[tuple[str, str], dict[str, str]]
"""What each slot of each limit says, by field."""


def parse(evidence: RawResponse) -> Reading | None:
    """Read the headers; None where there is none of them."""
    slots: Slots = {}
    theirs = False
    for name, value in evidence.headers.items():
        if name.startswith(PREFIXES):
            theirs = True
            place = _place(name)
            if place is not None:
                slots.setdefault(place[:2], {})[place[2]] = value
    if not theirs:
        return None
    said = evidence.headers.get
    credit = Credits(
        values.flag(said("x-codex-credits-has-credits")),
        values.flag(said("x-codex-credits-unlimited")),
        values.first_value(said("x-codex-credits-balance")),
    )
    windows, warnings = _windows(slots, evidence.at)
    status = _reached(values.first_value(said("x-codex-rate-limit-reached-type")))
    return Reading(
        status=status,
        scope=None if status is Status.UNKNOWN else Scope.ACCOUNT,
        windows=windows,
        plan=values.first_value(said("x-codex-plan-type")),
        credits=None if credit == Credits() else credit,
        family=NAME,
        warnings=warnings,
    )


@lru_cache(256)
def _place(name: str) -> tuple[str, str, str] | None:
    """`x-codex-bengalfox-primary-reset-at` is the field `reset-at` of the slot `primary` of `codex_bengalfox`."""
    match = _FIELD.match(name)
    return None if match is None else (match[1].replace("-", "_"), match[2], match[3])


def _windows(slots: Slots, at: float) -> tuple[tuple[Window, ...], tuple[str, ...]]:
    """The slots as windows, the account's own before those of further limits; and what could not be understood."""
    found: dict[str, Window] = {}
    warnings: list[str] = []
    for limit, slot in sorted(slots, key=lambda place: (place[0], _SLOTS.index(place[1]))):
        said = slots[limit, slot]
        percent, minutes = values.percent(said.get("used-percent")), values.number(said.get("window-minutes"))
        resets_at = values.instant(said.get("reset-at"))
        wait = values.number(said.get("reset-after-seconds"))
        if resets_at is None and wait is not None and wait > 0:
            resets_at = values.plausible(at + wait)
        if percent is None or minutes is None:
            warnings += values.unparseable(slot, said, {"used-percent": percent, "window-minutes": minutes})
        if said.get("reset-at") and values.instant(said["reset-at"]) is None:
            warnings += values.unparseable(slot, said, {"reset-at": None})
        if not percent and not minutes and resets_at is None:
            continue
        own = limit == "codex"
        name = (_named(minutes) or slot) if own else f"{limit}:{_named(minutes) or slot}"
        if name in found:
            name = f"{name}_{slot}"
        scope = None if own else Scope.MODEL
        found[name] = Window(name, percent, resets_at, scope=scope, slot=slot)
    return tuple(found.values()), tuple(warnings)


def _named(minutes: float | None) -> str | None:
    """`5h` for 300, `7d` for 10080, `30d` for a month of 43800."""
    if not minutes or minutes < 0:
        return None
    if minutes >= _DAY_MINUTES:
        return f"{round(minutes / _DAY_MINUTES)}d"
    return f"{round(minutes / 60)}h" if minutes % 60 == 0 else f"{round(minutes)}m"


def _reached(kind: str | None) -> Status:
    if kind is None:
        return Status.UNKNOWN
    return Status.NO_CREDIT if "credits_depleted" in kind else Status.REJECTED


def frame(frame: Mapping[str, object], at: float) -> Reading | None:
    """Read a frame of the stream, which comes where there are no headers (WebSocket); None if it is of another kind."""
    if frame.get("type") != _FRAME:
        return None
    limits = frame.get("rate_limits")
    limits = limits if isinstance(limits, Mapping) else {}
    slots: Slots = {}
    for slot in _SLOTS:
        told = limits.get(slot)
        if isinstance(told, Mapping):
            slots[_limit(frame), slot] = _fields(told)
    windows, warnings = _windows(slots, at)
    refused = limits.get("allowed") is False or limits.get("limit_reached") is True
    plan, told = frame.get("plan_type"), frame.get("credits")
    told = told if isinstance(told, Mapping) else {}
    balance = told.get("balance")
    credit = Credits(
        _truth(told.get("has_credits")), _truth(told.get("unlimited")), None if balance is None else str(balance)[:40]
    )
    full = [window for window in windows if (window.utilization or 0) >= 1] if refused else []
    binding = max(full, key=lambda window: window.resets_at or 0.0, default=None)
    return Reading(
        status=Status.REJECTED if refused else Status.ALLOWED,
        scope=(Scope.ACCOUNT if _limit(frame) == "codex" else Scope.MODEL) if refused else None,
        windows=windows,
        binding=None if binding is None else binding.name,
        blocked_until=None if binding is None else binding.resets_at,
        plan=plan if isinstance(plan, str) else None,
        credits=None if credit == Credits() else credit,
        family=NAME,
        warnings=warnings,
    )


def _limit(frame: Mapping[str, object]) -> str:
    """Which metered limit the frame tells of: the account's own, `codex`, where it names none."""
    named = next((name for key in _LIMIT_WORDS if isinstance(name := frame.get(key), str) and name.strip()), "codex")
    return named.strip().lower().replace("-", "_")[:60]


def _fields(told: Mapping[str, object]) -> dict[str, str]:
    """A slot of a frame in the words of the headers."""
    words = {
        "used-percent": ("used_percent",),
        "window-minutes": ("window_minutes",),
        "reset-at": _RESET_WORDS,
        "reset-after-seconds": _WAIT_WORDS,
    }
    found = {field: [told[key] for key in keys if told.get(key) is not None] for field, keys in words.items()}
    return {field: str(said[0]) for field, said in found.items() if said}


def _truth(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


_TEXT: Final = re.compile(r"hit your chatgpt usage limit(?: \((\w+) plan\))?(?:\W+try again in ~?(\d+) min)?")
_UNTIL: Final = re.compile(r'"resets_at": ?(\d{9,14})\b')
_IN: Final = re.compile(r'"resets_in_seconds": ?(\d{1,9})\b')
_PLAN: Final = re.compile(r'"plan_type": ?"(\w{1,40})"')


def classify(error: ErrorText) -> ErrorClass | None:
    """Read a refusal of the backend, or the sentence that pi makes of it (its minutes are rounded)."""
    said = error.lowercase
    found = _TEXT.search(said)
    if found is not None:
        wait = None if found[2] is None else float(found[2]) * 60
        end = None if wait is None else values.plausible(error.at + wait)
        return ErrorClass(Status.REJECTED, Scope.ACCOUNT, resets_at=end, retry_after_s=wait, plan=found[1])
    if "usage_limit_reached" in said or "the usage limit has been reached" in said:
        until, span, plan = _UNTIL.search(said), _IN.search(said), _PLAN.search(said)
        end = values.instant(until[1]) if until else None
        if end is None and span is not None:
            end = values.plausible(error.at + float(span[1]))
        return ErrorClass(
            Status.REJECTED,
            Scope.ACCOUNT,
            resets_at=end,
            plan=plan[1] if plan else None,
        )
    if "usage_not_included" in said:
        return ErrorClass(Status.POLICY_REJECTED, Scope.ACCOUNT, "not_in_plan")
    if "server_is_overloaded" in said or '"slow_down"' in said:
        return ErrorClass(Status.OVERLOADED, Scope.PROVIDER)
    return None
