"""ChatGPT plans (Codex) in the body of `wham/usage`: the windows of the account, and those of further limits.

`rate_limit` holds the account's windows, `additional_rate_limits` those of single models, as a list or by name. A
workspace may cap the spending of a member (`spend_control`). Sources: openai/codex, recorded responses.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from tokmon.evidence import values
from tokmon.evidence.model import Credits, ErrorClass, ErrorText, RawResponse, Reading, Scope, Status, Window, replace
from tokmon.evidence.reading import boolean

NAME: Final = "codex-usage"
PREFIXES: Final = ()

_FRAME: Final = "codex.usage"
_SLOTS: Final = ("primary", "secondary", "tertiary")
_MAX_LIMITS: Final = 100
_LONGEST_S: Final = 400 * 86400.0

Fields = Mapping[str, object]


def parse(response: RawResponse) -> Reading | None:  # noqa: ARG001 - the shape of a family
    """None: the figures are in the body, not in headers."""
    return None


def classify(error: ErrorText) -> ErrorClass | None:  # noqa: ARG001 - the shape of a family
    """None: its errors are those of the Codex backend."""
    return None


def frame(frame: Mapping[str, object], at: float) -> Reading | None:
    """Read the body that a probe stored; None if the frame is of another type.

    Without a window of the account that has a figure, the status is UNKNOWN.
    """
    body = frame.get("body")
    if frame.get("type") != _FRAME or not isinstance(body, Mapping):
        return None
    own, warnings = _mapping(body.get("rate_limit")), list[str]()
    account = _windows(None, own, at, warnings)
    of_models = [window for name, limit in _further(body) for window in _windows(name, limit, at, warnings)]
    full = [window for window in account if window.status is not None or (window.utilization or 0) >= 1]
    status, until = _status(body, own, account, full)
    refused = status in {Status.REJECTED, Status.NO_CREDIT}
    binding = max(full, key=lambda window: window.resets_at or 0.0, default=None)
    if until is None and binding is not None:
        until = binding.resets_at
    plan = body.get("plan_type")
    return Reading(
        status=status,
        substatus=values.NO_WINDOW if status is Status.UNKNOWN else None,
        scope=Scope.ACCOUNT if refused else None,
        windows=(*account, *of_models),
        binding=None if binding is None else binding.name,
        blocked_until=until if refused else None,
        plan=plan if isinstance(plan, str) else None,
        credits=_credits(body.get("credits")),
        family=NAME,
        warnings=tuple(warnings),
    )


def _status(body: Fields, own: Fields, account: list[Window], full: list[Window]) -> tuple[Status, float | None]:
    """The status of the account, and the end of a refusal for a limit of spending, which no window has."""
    spend = _mapping(body.get("spend_control"))
    if spend.get("reached") is True:
        return Status.NO_CREDIT, _instant(_mapping(spend.get("individual_limit")).get("reset_at"))
    reached = body.get("rate_limit_reached_type")
    reached = reached.get("type") if isinstance(reached, Mapping) else reached
    if reached:
        return (Status.NO_CREDIT if "credits_depleted" in str(reached) else Status.REJECTED), None
    if _is_refused(own) or (full and own.get("allowed") is not True):
        return Status.REJECTED, None
    if all(window.utilization is None for window in account):
        return Status.UNKNOWN, None
    return Status.ALLOWED_WARNING if full else Status.ALLOWED, None


def _further(body: Fields) -> Iterator[tuple[str, Fields]]:
    """Name and figures of the further limits. The figures are in `rate_limit`, or in the entry itself."""
    entries = body.get("additional_rate_limits")
    pairs = list(entries.items()) if isinstance(entries, Mapping) else []
    if isinstance(entries, list):
        pairs = [("", entry) for entry in entries]
    names: set[str] = set()
    for key, entry in pairs[:_MAX_LIMITS]:
        if isinstance(entry, Mapping):
            fields = (entry.get("limit_name"), key, entry.get("name"), entry.get("metered_feature"), "other")
            usable = (" ".join(name.split())[:60] for name in fields if isinstance(name, str) and name.strip())
            name = next((name for name in usable if name not in names), None)
            if name is not None:
                names.add(name)
                yield name, _mapping(entry["rate_limit"]) if "rate_limit" in entry else entry


def _windows(name: str | None, limit: Fields, at: float, warnings: list[str]) -> list[Window]:
    """The windows of one limit; `name` is None for that of the account.

    If the limit refuses requests, its fullest window has the status `rejected`.
    """
    windows: dict[str, Window] = {}
    for slot in _SLOTS:
        entry = limit.get(f"{slot}_window", limit.get(slot))
        window = _window(name, slot, entry, at, warnings) if isinstance(entry, Mapping) else None
        if window is not None:
            unique = f"{window.name}_{slot}" if window.name in windows else window.name
            windows[unique] = replace(window, name=unique)
    if _is_refused(limit):
        if name is not None and not windows:
            windows[name] = Window(name, scope=Scope.MODEL)
        fullest = max(windows.values(), key=lambda window: window.utilization or 0.0, default=None)
        if fullest is not None:
            windows[fullest.name] = replace(fullest, status=str(Status.REJECTED))
    return list(windows.values())


def _window(limit: str | None, slot: str, entry: Fields, at: float, warnings: list[str]) -> Window | None:
    """The window of a slot; None if the slot has no figure at all."""
    used, seconds = entry.get("used_percent"), _number(entry.get("limit_window_seconds"))
    percent, resets_at = values.percent(str(used)), _instant(entry.get("reset_at"))
    wait = _number(entry.get("reset_after_seconds"))
    if resets_at is None and wait is not None and wait > 0:
        resets_at = values.plausible(at + wait)
    if seconds is None and (minutes := _number(entry.get("window_minutes"))) is not None:
        seconds = minutes * 60
    is_length = seconds is not None and 0 < seconds <= _LONGEST_S
    name = (values.period(round(seconds / 60)) if seconds is not None and is_length else None) or slot
    name = name if limit is None else f"{limit}:{name}"
    raw = {"used_percent": used, "limit_window_seconds": entry.get("limit_window_seconds")}
    bad = {"used_percent": percent is None, "limit_window_seconds": not is_length}
    warnings += [f"unparseable {field}: {name} = {str(raw[field])[:40]}" for field in raw if bad[field] and raw[field]]
    if not percent and not is_length and resets_at is None:
        return None
    return Window(name, percent, resets_at, scope=None if limit is None else Scope.MODEL, slot=slot)


def _is_refused(limit: Fields) -> bool:
    return limit.get("allowed") is False or limit.get("limit_reached") is True


def _credits(entry: object) -> Credits | None:
    fields = _mapping(entry)
    balance = fields.get("balance")
    credit = Credits(
        boolean(fields.get("has_credits")),
        boolean(fields.get("unlimited")),
        None if balance is None else str(balance)[:40],
    )
    return None if credit == Credits() else credit


def _number(value: object) -> float | None:
    return None if isinstance(value, bool) else values.number(str(value))


def _instant(value: object) -> float | None:
    return values.instant(str(value)) if isinstance(value, (str, int, float)) else None


def _mapping(value: object) -> Fields:
    return value if isinstance(value, Mapping) else {}
