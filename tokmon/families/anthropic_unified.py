"""Anthropic plan seats (OAuth): `anthropic-ratelimit-unified-*`, and the error texts of Anthropic's API.

Aggregate fields are `…-unified-FIELD`, window fields `…-unified-WINDOW-FIELD`; window slugs are open (`5h`,
`7d`, `7d_sonnet`, `7d_oi`, …). Utilization is a fraction that may exceed 1; resets are epoch seconds. An
`overage-status` of `rejected` is normal on a healthy account and never the account's own status.
Sources: captured responses and the vendor's client; docs/families.md.
"""

import re
from functools import lru_cache
from typing import Final

from tokmon import headers as values
from tokmon.model import ErrorText, Evidence, Overage, Reading, Scope, Status, Verdict, Window

NAME: Final = "anthropic-unified"
PREFIXES: Final = ("anthropic-ratelimit-unified-", "anthropic-organization-id")

_PREFIX: Final = PREFIXES[0]
_KNOWN_STATUS: Final = frozenset({"allowed", "allowed_warning", "rejected"})
_WINDOW_FIELD: Final = re.compile(r"^(\d+[a-z](?:_[a-z0-9_]+)?)-(utilization|reset|status|surpassed-threshold)$")
_AGGREGATE: Final = "/"
_OVERAGE: Final = "/overage"
"""Groups of fields that are no window: no slug holds a slash."""

_MODEL_SCOPED: Final = re.compile(r"^\d+[a-z]_")
_CLAIMS: Final = {
    "five_hour": "5h",
    "seven_day": "7d",
    "seven_day_overage_included": "7d_oi",
    "seven_day_sonnet": "7d_sonnet",
    "seven_day_opus": "7d_opus",
}


Said = tuple[tuple[str, str], ...]
"""The fields of one window, or of the overage, as said: names without their prefix, and values."""


def parse(evidence: Evidence) -> Reading | None:
    """Read the unified headers; None where there is none of them."""
    account = values.single(evidence.headers.get("anthropic-organization-id"))
    groups: dict[str, list[tuple[str, str]]] = {}
    for name, value in evidence.headers.items():
        group, what = _place(name)
        if what:
            groups.setdefault(group, []).append((what, value))
    if not groups:
        return Reading(account=account) if account else None
    aggregate = dict(groups.pop(_AGGREGATE, ()))
    overage = groups.pop(_OVERAGE, None)
    # Sorted, so that the order in which headers arrive cannot matter.
    read = [_window(name, tuple(groups[name])) for name in sorted(groups)]
    windows = tuple(window for window, _ in read)
    status, unknown = _status(aggregate.get("status"), windows)
    claim = values.single(aggregate.get("representative-claim"))
    binding = _CLAIMS.get(claim or "", claim)
    return Reading(
        status=status,
        windows=windows,
        claim=claim,
        binding=binding or next((window.name for window in windows if window.status == Status.REJECTED), None),
        overage=None if overage is None else _overage(tuple(overage)),
        account=account,
        billing="overage" if overage is not None and values.flag(dict(overage).get("in-use")) else None,
        family=NAME,
        warnings=tuple(warning for _, warnings in read for warning in warnings) + unknown,
    )


@lru_cache(256)
def _place(name: str) -> tuple[str, str]:
    """`…-unified-7d_oi-reset` is the field `reset` of the window `7d_oi`; two empty texts for other headers."""
    if not name.startswith(_PREFIX):
        return "", ""
    field = name[len(_PREFIX) :]
    match = _WINDOW_FIELD.match(field)
    if match:
        return match.group(1), match.group(2)
    return (_OVERAGE, field.removeprefix("overage-")) if field.startswith("overage-") else (_AGGREGATE, field)


@lru_cache(256)
def _window(name: str, fields: Said) -> tuple[Window, tuple[str, ...]]:
    """A window and what of it could not be understood. Windows recur from response to response."""
    said = dict(fields)
    warnings = []
    utilization = values.fraction(said.get("utilization"))
    resets_at = values.instant(said.get("reset"))
    if utilization is None and values.single(said.get("utilization")):
        warnings += values.unread(name, said, {"utilization": None})
    elif "%" in said.get("utilization", ""):
        warnings.append(f"percent form: {name}")
    if resets_at is None and values.single(said.get("reset")) and values.number(said.get("reset")) != 0:
        warnings += values.unread(name, said, {"reset": None})
    status = values.single(said.get("status"))
    window = Window(
        name=name,
        utilization=utilization,
        resets_at=resets_at,
        status=status if status is None or status in _KNOWN_STATUS else f"unknown:{status}",
        surpassed=values.number(said.get("surpassed-threshold")),
        scope=Scope.MODEL if _MODEL_SCOPED.match(name) else None,
    )
    return window, tuple(warnings)


def _status(value: str | None, windows: tuple[Window, ...]) -> tuple[Status, tuple[str, ...]]:
    said = values.single(value)
    if said in _KNOWN_STATUS:
        return Status(said), ()
    if said is not None:
        # A word that no capture has shown yet: something is up, and it is not known to be a refusal.
        return Status.ALLOWED_WARNING, (f"unknown unified status: {said[:40]}",)
    statuses = {window.status for window in windows if window.scope is None}
    for worst in (Status.REJECTED, Status.ALLOWED_WARNING, Status.ALLOWED):
        if worst in statuses:
            return worst, ()
    return Status.UNKNOWN, ()


@lru_cache(256)
def _overage(fields: Said) -> Overage:
    said = dict(fields)
    status = values.single(said.get("status"))
    return Overage(
        status=None if status == "null" else status,
        in_use=values.flag(said.get("in-use")) or False,
        utilization=values.fraction(said.get("utilization")),
        resets_at=values.instant(said.get("reset")),
        disabled_reason=values.single(said.get("disabled-reason")),
    )


# The order is part of the meaning: `invalid_request_error` and `rate_limit_error` each stand for several
# things, so the sentence decides and never the type; the narrower sentence comes first.
_TEXTS: Final = (
    ("third-party apps now draw from", Verdict(Status.POLICY_REJECTED, Scope.ACCOUNT)),
    ("only authorized for use with claude code", Verdict(Status.POLICY_REJECTED, Scope.ACCOUNT)),
    ("oauth authentication is currently not allowed", Verdict(Status.POLICY_REJECTED, Scope.ACCOUNT)),
    ("oauth_not_allowed_for_organization", Verdict(Status.POLICY_REJECTED, Scope.ACCOUNT)),
    ("this organization has been disabled", Verdict(Status.POLICY_REJECTED, Scope.ACCOUNT)),
    ("usage credits are required for long context", Verdict(Status.NO_CREDIT, Scope.REQUEST)),
    ("extra usage is required for long context", Verdict(Status.NO_CREDIT, Scope.REQUEST)),
    ("usage credits are required for this model", Verdict(Status.NO_CREDIT, Scope.MODEL)),
    ("credits_required", Verdict(Status.NO_CREDIT, Scope.MODEL)),
    ("monthly spend limit", Verdict(Status.NO_CREDIT, Scope.ACCOUNT)),
    ("you're out of extra usage", Verdict(Status.NO_CREDIT, Scope.ACCOUNT)),
    ("credit balance is too low", Verdict(Status.NO_CREDIT, Scope.ACCOUNT)),
    ("oauth token does not meet scope", Verdict(Status.INVALID_KEY, Scope.ACCOUNT, "scope")),
    ("oauth token has expired", Verdict(Status.INVALID_KEY, Scope.ACCOUNT, "expired")),
    ("invalid authentication credentials", Verdict(Status.INVALID_KEY, Scope.ACCOUNT, "transient_possible")),
    ("oauth authentication is currently not supported", Verdict(Status.INVALID_KEY, Scope.ACCOUNT, "beta_header")),
    ("invalid oauth token", Verdict(Status.INVALID_KEY, Scope.ACCOUNT)),
    ("invalid x-api-key", Verdict(Status.INVALID_KEY, Scope.ACCOUNT)),
    ("authentication_error", Verdict(Status.INVALID_KEY, Scope.ACCOUNT)),
    ("overloaded_error", Verdict(Status.OVERLOADED, Scope.PROVIDER)),
)
_REGAIN: Final = re.compile(
    r"reached your specified (?:\w+ )?api usage limits.*?regain access on (\d{4}-\d\d-\d\d) at (\d\d:\d\d) utc",
    re.DOTALL,
)


def classify(error: ErrorText) -> Verdict | None:
    """Read an error text of Anthropic's API."""
    said = error.said
    if "reached your specified" in said:
        regain = _REGAIN.search(said)
        until = values.instant(f"{regain.group(1)}t{regain.group(2)}:00z") if regain else None
        return Verdict(Status.NO_CREDIT, Scope.ACCOUNT, resets_at=until)
    return next((verdict for sentence, verdict in _TEXTS if sentence in said), None)
