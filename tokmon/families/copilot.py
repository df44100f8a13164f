"""GitHub Copilot: quota snapshots as URL queries, and the names of exceeded usage limits.

`rem` is the percentage that *remains*, `ent` the entitlement (-1: unlimited), `ov` the use beyond it.
Sources: microsoft/vscode-copilot-chat, captured responses; docs/families.md.
"""

import re
from typing import Final
from urllib.parse import parse_qs

from tokmon.evidence import values
from tokmon.evidence.limit_words import concerns_a_model
from tokmon.evidence.model import ErrorClass, ErrorText, Overage, RawResponse, Reading, Scope, Status, Window

NAME: Final = "copilot"
PREFIXES: Final = (
    "x-quota-snapshot-",
    "x-ratelimit-exceeded",
    "x-ratelimit-user-retry-after",
    "x-usage-ratelimit-",
)

_QUOTAS: Final = ("x-quota-snapshot-", "x-usage-ratelimit-")
_EXCEEDED: Final = (("5-hour", "session"), ("session", "session"), ("weekly", "weekly"), ("7-day", "weekly"))
_PREMIUM: Final = "premium"


def parse(response: RawResponse) -> Reading | None:
    """Read the quotas, and the limit that a refusal names; None if there are no such headers."""
    windows: dict[str, Window] = {}
    overage: Overage | None = None
    warnings: list[str] = []
    for header in sorted(response.headers):
        if not header.startswith(_QUOTAS):
            continue
        name = header.removeprefix(_QUOTAS[0]).removeprefix(_QUOTAS[1]).replace("-", "_")
        # A plus sign belongs to a time zone here; `parse_qs` would read it as a space.
        query = (values.first_value(response.headers[header]) or "").replace("+", "%2B")
        fields = {key: fields[0] for key, fields in parse_qs(query).items()}
        window = _quota(name, fields, response.at)
        windows[name] = window
        if not fields:
            warnings += values.unparseable(name, {"quota": query}, {"quota": None})
        warnings += values.unparseable(name, fields, {"rem": window.utilization, "rst": window.resets_at})
        if "ov" in fields and (overage is None or name.startswith(_PREMIUM)):
            used = values.count(fields["ov"])
            overage = Overage(in_use=bool(used), used=used, permitted=values.flag(fields.get("ovPerm")))
    exceeded = values.first_value(response.headers.get("x-ratelimit-exceeded"))
    wait = values.number(response.headers.get("x-ratelimit-user-retry-after") or response.headers.get("retry-after"))
    full = next((name for word, name in _EXCEEDED if exceeded and word in exceeded), None)
    if full is not None:
        until = None if wait is None or wait < 0 else values.plausible(response.at + wait)
        windows[full] = Window(full, 1.0, until, status=Status.REJECTED)
    if not windows and exceeded is None:
        return None
    return Reading(
        windows=tuple(windows.values()),
        overage=overage,
        retry_after_s=wait if exceeded is not None and wait is not None and wait >= 0 else None,
        family=NAME,
        warnings=tuple(warnings),
    )


def _quota(name: str, fields: dict[str, str], at: float) -> Window:
    """The window of one quota; an unlimited one has no limit."""
    entitlement = values.number(fields.get("ent"))
    left = values.percent_left(fields.get("rem"))
    if entitlement is not None and entitlement < 0:
        entitlement = None
    return Window(
        name=name,
        utilization=None if left is None else round(max(0.0, 1 - left), 9),
        resets_at=values.reset(fields.get("rst"), at),
        limit=entitlement,
        remaining=round(entitlement * left, 6) if entitlement is not None and left is not None else None,
    )


def classify(error: ErrorText) -> ErrorClass | None:
    """Classify an error text of Copilot."""
    text = error.lowercase
    limit = _LIMIT.search(text) if _OWN.search(text) or "copilot" in error.account_type else None
    if limit is not None and error.http_status != _BAD_REQUEST:
        if concerns_a_model(text):
            return ErrorClass(Status.REJECTED, Scope.MODEL)
        window = Window("session" if limit[1] else "weekly", 1.0, status=Status.REJECTED)
        return ErrorClass(Status.REJECTED, Scope.ACCOUNT, windows=(window,))
    if "copilot" in error.account_type and _QUOTA.search(text) and error.http_status != _BAD_REQUEST:
        return ErrorClass(Status.REJECTED, Scope.ACCOUNT)
    if "additional_spend_limit_reached" in text:
        return ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)
    if error.http_status == _CLIENT_UNSUPPORTED and "copilot" in error.account_type:
        return ErrorClass(Status.POLICY_REJECTED, Scope.ACCOUNT, "client_unsupported")
    return None


_OWN: Final = re.compile(r"\bcopilot\b|\buser_[a-z]{1,20}_rate_limited")
_LIMIT: Final = re.compile(
    r"(?:^|[.,!?:;\"\d] ?)you(?:'ve| have) (?:exceeded|reached|hit) (?:your|the) "
    r"(?:(5[- ]hour|session)|weekly|7[- ]day)\b"
    r"|(session_)quota_exceeded"
    r"|user_weekly_rate_limited"
)
_QUOTA: Final = re.compile(r"(?<![a-z_])quota_exceeded")
_BAD_REQUEST: Final = 400
_CLIENT_UNSUPPORTED: Final = 466
