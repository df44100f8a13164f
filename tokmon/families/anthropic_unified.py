"""Anthropic plan seats (OAuth): `anthropic-ratelimit-unified-*`, and the error texts of Anthropic's API.

Aggregate fields are `…-unified-FIELD`, window fields `…-unified-WINDOW-FIELD`; window slugs are open (`5h`,
`7d`, `7d_sonnet`, `7d_oi`, …). Utilization is a fraction that may exceed 1; resets are epoch seconds. An
`overage-status` of `rejected` is normal on a healthy account and never the account's own status.
Sources: captured responses and the vendor's client; docs/families.md.
"""

import re
from functools import lru_cache
from typing import Final

from tokmon.evidence import values
from tokmon.evidence.model import ErrorClass, ErrorText, Overage, RawResponse, Reading, Scope, Status, Window

NAME: Final = "anthropic-unified"
PREFIXES: Final = ("anthropic-ratelimit-unified-", "anthropic-organization-id")

ABSOLUTE: Final = True

_PREFIX: Final = PREFIXES[0]
_STATUSES: Final = {str(word): word for word in (Status.ALLOWED, Status.ALLOWED_WARNING, Status.REJECTED)}
_WINDOW_FIELD: Final = re.compile(r"^(\d+[a-z](?:_[a-z0-9_]+)?)-(utilization|reset|status|surpassed-threshold)$")
_MODEL_SCOPED: Final = re.compile(r"^\d+[a-z]_")
_CLAIMS: Final = {
    "five_hour": "5h",
    "seven_day": "7d",
    "seven_day_overage_included": "7d_oi",
    "seven_day_sonnet": "7d_sonnet",
    "seven_day_opus": "7d_opus",
}


def parse(evidence: RawResponse) -> Reading | None:
    """Read the unified headers; None where there is none of them."""
    said = evidence.headers.get
    windows, theirs = _places(tuple(evidence.headers))
    account = values.first_value(said("anthropic-organization-id"))
    if not theirs:
        return Reading(account=account) if account else None
    read = [
        _window(name, said(utilization), said(reset), said(status), said(surpassed))
        for name, utilization, reset, status, surpassed in windows
    ]
    found = tuple(window for window, _ in read)
    status, unknown = _status(said(f"{_PREFIX}status"), found)
    claim = values.first_value(said(f"{_PREFIX}representative-claim"))
    overage, doubtful = _overage(*(said(name) for name in _OVERAGE))
    paid = overage is not None and overage.in_use
    if paid and status in _UNPAID:
        status = Status.ALLOWED_WARNING
    # Only a refusal has an end: the reset of the window that binds, which may be the only one that is said.
    refused = evidence.http_status == _TOO_MANY
    return Reading(
        status=status,
        windows=found,
        claim=claim,
        binding=_CLAIMS.get(claim or "", claim),
        overage=overage,
        account=account,
        billing="overage" if paid else None,
        blocked_until=values.instant(said(f"{_PREFIX}reset")) if refused else None,
        family=NAME,
        warnings=tuple(warning for _, warnings in read for warning in warnings) + unknown + doubtful,
    )


_TOO_MANY: Final = 429
_UNPAID: Final = frozenset({Status.ALLOWED, Status.UNKNOWN})
_WORST_FIRST: Final = (Status.REJECTED, Status.ALLOWED_WARNING, Status.ALLOWED)
_FIELDS: Final = ("utilization", "reset", "status", "surpassed-threshold")
_OVERAGE: Final = tuple(
    f"{_PREFIX}overage-{field}" for field in ("status", "in-use", "utilization", "reset", "disabled-reason")
)


@lru_cache(256)
def _places(names: tuple[str, ...]) -> tuple[tuple[tuple[str, ...], ...], bool]:
    """The windows that these headers tell of, each with the names of its fields; and whether any header is unified.

    `…-unified-7d_oi-reset` is the field `reset` of the window `7d_oi`. Sorted, so that the order in which headers
    arrive cannot matter.
    """
    theirs = [name.removeprefix(_PREFIX) for name in names if name.startswith(_PREFIX)]
    slugs = sorted({match[1] for name in theirs if (match := _WINDOW_FIELD.match(name))})
    return tuple((slug, *(f"{_PREFIX}{slug}-{field}" for field in _FIELDS)) for slug in slugs), bool(theirs)


@lru_cache(512)
def _window(
    name: str, utilization: str | None, reset: str | None, status: str | None, surpassed: str | None
) -> tuple[Window, tuple[str, ...]]:
    """A window and what of it could not be understood. Windows recur from response to response."""
    used, resets_at, word = values.fraction(utilization), values.instant(reset), _word(status)
    warnings = []
    parts = set() if utilization is None or "," not in utilization else set(map(str.strip, utilization.split(", ")))
    said = [values.fraction(part) for part in parts]
    if len(said) > 1 and None not in said:
        # Duplicates that differ: nobody knows which is right, and too little used would be the costlier mistake.
        used = max(each for each in said if each is not None)
        warnings.append(f"conflicting utilization: {name} = {(utilization or '')[:40]}")
    if used is None and utilization:
        warnings += values.unparseable(name, {"utilization": utilization}, {"utilization": None})
    elif used is not None and "%" in (utilization or ""):
        warnings.append(f"percent form: {name}")
    if resets_at is None and reset and values.number(reset) != 0:
        warnings += values.unparseable(name, {"reset": reset}, {"reset": None})
    window = Window(
        name=name,
        utilization=used,
        resets_at=resets_at,
        status=word if word is None or word in _STATUSES else f"unknown:{word[:40]}",
        surpassed=values.number(surpassed),
        scope=Scope.MODEL if _MODEL_SCOPED.match(name) else None,
    )
    return window, tuple(warnings)


def _status(value: str | None, windows: tuple[Window, ...]) -> tuple[Status, tuple[str, ...]]:
    if value in _STATUSES:
        return _STATUSES[value], ()
    said = _word(value)
    if said in _STATUSES:
        parts = {part.strip().lower() for part in (value or "").split(",")}
        worst = next(word for word in _WORST_FIRST if word in parts)
        return worst, (f"conflicting unified status: {(value or '')[:40]}",) if len(parts) > 1 else ()
    if said is not None:
        # A word that no capture has shown yet: something is up, and it is not known to be a refusal.
        return Status.ALLOWED_WARNING, (f"unknown unified status: {said[:40]}",)
    statuses = {window.status for window in windows if window.scope is None}
    return next((word for word in _WORST_FIRST if word in statuses), Status.UNKNOWN), ()


def _word(value: str | None) -> str | None:
    said = values.first_value(value)
    return None if said is None else said.lower()


@lru_cache(256)
def _overage(
    status: str | None, in_use: str | None, utilization: str | None, reset: str | None, reason: str | None
) -> tuple[Overage | None, tuple[str, ...]]:
    """What is said of paid use, and what of it could not be understood."""
    if status is None and in_use is None and utilization is None and reset is None and reason is None:
        return None, ()
    word = _word(status)
    used, resets_at = values.fraction(utilization), values.instant(reset)
    said = {"utilization": utilization or "", "reset": "" if values.number(reset) == 0 else reset or ""}
    overage = Overage(
        status=None if word == "null" else word,
        in_use=values.flag(in_use) or False,
        utilization=used,
        resets_at=resets_at,
        disabled_reason=values.first_value(reason),
    )
    return overage, tuple(values.unparseable("overage", said, {"utilization": used, "reset": resets_at}))


# The order is part of the meaning: `invalid_request_error` and `rate_limit_error` each stand for several
# things, so the sentence decides and never the type; the narrower sentence comes first.
_TEXTS: Final = (
    ("third-party apps now draw from", ErrorClass(Status.POLICY_REJECTED, Scope.ACCOUNT)),
    ("only authorized for use with claude code", ErrorClass(Status.POLICY_REJECTED, Scope.ACCOUNT)),
    ("oauth authentication is currently not allowed", ErrorClass(Status.POLICY_REJECTED, Scope.ACCOUNT)),
    ("oauth_not_allowed_for_organization", ErrorClass(Status.POLICY_REJECTED, Scope.ACCOUNT)),
    ("this organization has been disabled", ErrorClass(Status.POLICY_REJECTED, Scope.ACCOUNT)),
    ("usage credits are required for long context", ErrorClass(Status.NO_CREDIT, Scope.REQUEST)),
    ("extra usage is required for long context", ErrorClass(Status.NO_CREDIT, Scope.REQUEST)),
    ("usage credits are required for", ErrorClass(Status.NO_CREDIT, Scope.MODEL)),
    ("credits_required", ErrorClass(Status.NO_CREDIT, Scope.MODEL)),
    ("monthly spend limit", ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)),
    ("you're out of extra usage", ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)),
    ("credit balance is too low", ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)),
    ("oauth token does not meet scope", ErrorClass(Status.INVALID_KEY, Scope.ACCOUNT, "scope")),
    ("oauth token has expired", ErrorClass(Status.INVALID_KEY, Scope.ACCOUNT, "expired")),
    ("invalid authentication credentials", ErrorClass(Status.INVALID_KEY, Scope.ACCOUNT, "transient_possible")),
    ("oauth authentication is currently not supported", ErrorClass(Status.INVALID_KEY, Scope.ACCOUNT, "beta_header")),
    ("invalid oauth token", ErrorClass(Status.INVALID_KEY, Scope.ACCOUNT)),
    ("invalid x-api-key", ErrorClass(Status.INVALID_KEY, Scope.ACCOUNT)),
)
_TYPES: Final = (
    ("authentication_error", ErrorClass(Status.INVALID_KEY, Scope.ACCOUNT)),
    ("overloaded_error", ErrorClass(Status.OVERLOADED, Scope.PROVIDER)),
)
"""What a type says where no sentence does. In a 400 it is quoted: the error itself is an `invalid_request_error`."""

_ALL: Final = (*_TEXTS, *_TYPES)
_BAD_REQUEST: Final = 400
_REGAIN: Final = re.compile(
    r"reached your specified (?:\w+ )?api usage limits.*?regain access on (\d{4}-\d\d-\d\d) at (\d\d:\d\d) utc",
    re.DOTALL,
)


def classify(error: ErrorText) -> ErrorClass | None:
    """Read an error text of Anthropic's API."""
    said = error.lowercase
    if "reached your specified" in said:
        regain = _REGAIN.search(said)
        until = values.instant(f"{regain.group(1)}t{regain.group(2)}:00z") if regain else None
        return ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT, resets_at=until)
    asked = _TEXTS if error.http_status == _BAD_REQUEST else _ALL
    return next((verdict for words, verdict in asked if words in said), None)
