"""Anthropic plan seats (OAuth): `anthropic-ratelimit-unified-*`, and the error texts of Anthropic's API.

Aggregate fields are `…-unified-FIELD`, window fields `…-unified-WINDOW-FIELD`; window slugs are open (`5h`,
`7d`, `7d_sonnet`, `7d_oi`, …). Utilization is a fraction that may exceed 1; resets are epoch seconds. An
`overage-status` of `rejected` is normal on a healthy account and never the account's own status.
Sources: captured responses and the vendor's client; docs/families.md.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from tokmon import headers as values
from tokmon.model import Overage, Reading, Scope, Status, Verdict, Window

NAME: Final = "anthropic-unified"
PREFIXES: Final = ("anthropic-ratelimit-unified-", "anthropic-organization-id")

_PREFIX: Final = PREFIXES[0]
_KNOWN_STATUS: Final = frozenset({"allowed", "allowed_warning", "rejected"})
_WINDOW_FIELD: Final = re.compile(r"^(\d+[a-z](?:_[a-z0-9_]+)?)-(utilization|reset|status|surpassed-threshold)$")
_MODEL_SCOPED: Final = re.compile(r"^\d+[a-z]_")
_CLAIMS: Final = {
    "five_hour": "5h",
    "seven_day": "7d",
    "seven_day_overage_included": "7d_oi",
    "seven_day_sonnet": "7d_sonnet",
    "seven_day_opus": "7d_opus",
}


def parse(headers: Mapping[str, str], at: float) -> Reading | None:  # noqa: ARG001 - its resets are absolute
    """Read the unified headers; None where there is none of them."""
    fields = {name[len(_PREFIX) :]: value for name, value in headers.items() if name.startswith(_PREFIX)}
    account = values.single(headers.get("anthropic-organization-id"))
    if not fields:
        return Reading(account=account, family=NAME) if account else None
    warnings: list[str] = []
    windows = _windows(fields, warnings)
    claim = values.single(fields.get("representative-claim"))
    binding = _CLAIMS.get(claim or "", claim)
    return Reading(
        status=_status(fields, windows, warnings),
        windows=windows,
        claim=claim,
        binding=binding or next((window.name for window in windows if window.status == Status.REJECTED), None),
        overage=_overage(fields),
        account=account,
        billing="overage" if values.flag(fields.get("overage-in-use")) else None,
        family=NAME,
        warnings=tuple(warnings),
    )


def _windows(fields: Mapping[str, str], warnings: list[str]) -> tuple[Window, ...]:
    found: dict[str, dict[str, str]] = {}
    for name, value in fields.items():
        window, what = _window_field(name)
        if what:
            found.setdefault(window, {})[what] = value
    # Sorted, so that the order in which headers arrive cannot matter.
    return tuple(_window(name, found[name], warnings) for name in sorted(found))


@lru_cache(256)
def _window_field(name: str) -> tuple[str, str]:
    """`7d_oi-reset` is the field `reset` of the window `7d_oi`; two empty texts for an aggregate field."""
    match = _WINDOW_FIELD.match(name)
    return (match.group(1), match.group(2)) if match else ("", "")


def _window(name: str, said: Mapping[str, str], warnings: list[str]) -> Window:
    utilization = values.fraction(said.get("utilization"))
    resets_at = values.instant(said.get("reset"))
    if utilization is None and values.single(said.get("utilization")):
        warnings.append(f"unparseable utilization: {name}")
    elif "%" in said.get("utilization", ""):
        warnings.append(f"percent form: {name}")
    if resets_at is None and values.single(said.get("reset")) and values.number(said.get("reset")) != 0:
        warnings.append(f"unparseable reset: {name}")
    status = values.single(said.get("status"))
    return Window(
        name=name,
        utilization=utilization,
        resets_at=resets_at,
        status=status if status is None or status in _KNOWN_STATUS else f"unknown:{status}",
        surpassed=values.number(said.get("surpassed-threshold")),
        scope=Scope.MODEL if _MODEL_SCOPED.match(name) else None,
    )


def _status(fields: Mapping[str, str], windows: tuple[Window, ...], warnings: list[str]) -> Status:
    said = values.single(fields.get("status"))
    if said in _KNOWN_STATUS:
        return Status(said)
    if said is not None:
        # A word that no capture has shown yet: something is up, and it is not known to be a refusal.
        warnings.append(f"unknown unified status: {said[:40]}")
        return Status.ALLOWED_WARNING
    statuses = {window.status for window in windows if window.scope is None}
    for worst in (Status.REJECTED, Status.ALLOWED_WARNING, Status.ALLOWED):
        if worst in statuses:
            return worst
    return Status.UNKNOWN


def _overage(fields: Mapping[str, str]) -> Overage | None:
    said = {name.removeprefix("overage-"): value for name, value in fields.items() if name.startswith("overage-")}
    if not said:
        return None
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


def classify(http_status: int | None, text: str) -> Verdict | None:  # noqa: ARG001 - the sentence decides
    """Read an error text of Anthropic's API; apostrophes come straight and curly."""
    said = text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    if "reached your specified" in said:
        regain = _REGAIN.search(said)
        until = values.instant(f"{regain.group(1)}t{regain.group(2)}:00z") if regain else None
        return Verdict(Status.NO_CREDIT, Scope.ACCOUNT, resets_at=until)
    return next((verdict for sentence, verdict in _TEXTS if sentence in said), None)
