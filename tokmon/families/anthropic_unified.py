"""Anthropic plan seats (OAuth): `anthropic-ratelimit-unified-*`, and the error texts of Anthropic's API.

Aggregate fields are `…-unified-FIELD`, window fields `…-unified-WINDOW-FIELD`. The set of window names is open
(`5h`, `7d`, `7d_sonnet`, `7d_oi`, …). Utilization is a fraction that may exceed 1; resets are epoch seconds. An
`overage-status` of `rejected` is normal on a healthy account; it is not the account's own status.
Sources: captured responses and the vendor's client; docs/families.md.
"""

import re
from functools import lru_cache
from typing import Final

from tokmon.evidence import values
from tokmon.evidence.model import ErrorClass, ErrorText, Overage, RawResponse, Reading, Scope, Status, Window

NAME: Final = "anthropic-unified"
PREFIXES: Final = ("anthropic-ratelimit-unified-", "anthropic-organization-id")

_PREFIX: Final = PREFIXES[0]
_STATUSES: Final = {str(word): word for word in (Status.ALLOWED, Status.ALLOWED_WARNING, Status.REJECTED)}
_WINDOW_FIELD: Final = re.compile(r"^(\d+[a-z](?:_[a-z0-9_]+)?)-(utilization|reset|status|surpassed-threshold)$")
_MODEL_SCOPED: Final = re.compile(r"^\d+[a-z]_")
_CLAIM: Final = re.compile(r"(five_hour|seven_day)(?:_fallback)?(?:_(.+))?")
_PERIODS: Final = {"five_hour": "5h", "seven_day": "7d"}
_OVERAGE_INCLUDED: Final = "overage_included"


def parse(response: RawResponse) -> Reading | None:
    """Read the unified headers; None if there are none."""
    get = response.headers.get
    window_headers, is_unified = _window_headers(tuple(response.headers))
    account = values.first_value(get("anthropic-organization-id"))
    if not is_unified:
        return Reading(account=account) if account else None
    parsed = [
        _window(name, get(utilization), get(reset), get(status), get(surpassed))
        for name, utilization, reset, status, surpassed in window_headers
    ]
    windows = tuple(window for window, _ in parsed)
    status, status_warnings = _status(get(f"{_PREFIX}status"), windows)
    claim = values.first_value(get(f"{_PREFIX}representative-claim"))
    overage, overage_warnings = _overage(*(get(name) for name in _OVERAGE_HEADERS))
    billed = overage is not None and overage.in_use
    if billed and status in _RAISED_BY_OVERAGE:
        status = Status.ALLOWED_WARNING
    # Only a refusal has an end: the reset of the binding window, which may be the only one in the headers.
    refused = response.http_status == _TOO_MANY
    return Reading(
        status=status,
        windows=windows,
        claim=claim,
        binding=_binding(claim, windows),
        overage=overage,
        account=account,
        billing="overage" if billed else None,
        blocked_until=values.instant(get(f"{_PREFIX}reset")) if refused else None,
        family=NAME,
        warnings=tuple(warning for _, warnings in parsed for warning in warnings) + status_warnings + overage_warnings,
    )


def _binding(claim: str | None, windows: tuple[Window, ...]) -> str | None:
    """The window of a claim: `five_hour_overage_included` is `5h_oi`, `seven_day_opus` is `7d_opus`.

    A claim that names no window stays the provider's word, unless a window refuses.
    """
    match = _CLAIM.fullmatch(claim.lower()) if claim else None
    if match is not None:
        kind = "oi" if match[2] == _OVERAGE_INCLUDED else match[2]
        return f"{_PERIODS[match[1]]}_{kind}" if kind else _PERIODS[match[1]]
    refusing = any(window.status == Status.REJECTED for window in windows)
    return None if refusing and claim not in {window.name for window in windows} else claim


_TOO_MANY: Final = 429
_RAISED_BY_OVERAGE: Final = frozenset({Status.ALLOWED, Status.UNKNOWN})
_WORST_FIRST: Final = (Status.REJECTED, Status.ALLOWED_WARNING, Status.ALLOWED)
_FIELDS: Final = ("utilization", "reset", "status", "surpassed-threshold")
_OVERAGE_HEADERS: Final = tuple(
    f"{_PREFIX}overage-{field}" for field in ("status", "in-use", "utilization", "reset", "disabled-reason")
)


@lru_cache(256)
def _window_headers(names: tuple[str, ...]) -> tuple[tuple[tuple[str, ...], ...], bool]:
    """For each window its name and the headers of its `_FIELDS`; and True if any of the headers is unified.

    `…-unified-7d_oi-reset` is the field `reset` of the window `7d_oi`. The windows are sorted, so that the order of
    the headers does not matter.
    """
    unified = [name.removeprefix(_PREFIX) for name in names if name.startswith(_PREFIX)]
    windows = sorted({match[1] for name in unified if (match := _WINDOW_FIELD.match(name))})
    return tuple((window, *(f"{_PREFIX}{window}-{field}" for field in _FIELDS)) for window in windows), bool(unified)


@lru_cache(512)
def _window(
    name: str, utilization: str | None, reset: str | None, status: str | None, surpassed: str | None
) -> tuple[Window, tuple[str, ...]]:
    """A window and its warnings. It is cached because the same values come in many responses."""
    used, resets_at, word = values.fraction(utilization), values.instant(reset), _word(status)
    warnings = []
    parts = set() if utilization is None or "," not in utilization else set(map(str.strip, utilization.split(", ")))
    fractions = [values.fraction(part) for part in parts]
    if len(fractions) > 1 and None not in fractions:
        # Duplicates that differ: take the highest, because to assume too little use is the costlier mistake.
        used = max(fraction for fraction in fractions if fraction is not None)
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
        surpassed=values.fraction(surpassed),
        scope=Scope.MODEL if _MODEL_SCOPED.match(name) else None,
    )
    return window, tuple(warnings)


def _status(value: str | None, windows: tuple[Window, ...]) -> tuple[Status, tuple[str, ...]]:
    if value in _STATUSES:
        return _STATUSES[value], ()
    word = _word(value)
    if word in _STATUSES:
        parts = {part.strip().lower() for part in (value or "").split(",")}
        worst = next(status for status in _WORST_FIRST if status in parts)
        return worst, (f"conflicting unified status: {(value or '')[:40]}",) if len(parts) > 1 else ()
    if word is not None:
        # A status that no capture has shown yet. It is a warning, because it is not known to be a refusal.
        return Status.ALLOWED_WARNING, (f"unknown unified status: {word[:40]}",)
    statuses = {window.status for window in windows if window.scope is None}
    return next((status for status in _WORST_FIRST if status in statuses), Status.UNKNOWN), ()


def _word(value: str | None) -> str | None:
    word = values.first_value(value)
    return None if word is None else word.lower()


@lru_cache(256)
def _overage(
    status: str | None, in_use: str | None, utilization: str | None, reset: str | None, reason: str | None
) -> tuple[Overage | None, tuple[str, ...]]:
    """The overage, None if no header mentions it, and its warnings."""
    if status is None and in_use is None and utilization is None and reset is None and reason is None:
        return None, ()
    word = _word(status)
    used, resets_at = values.fraction(utilization), values.instant(reset)
    raw = {"utilization": utilization or "", "reset": "" if values.number(reset) == 0 else reset or ""}
    overage = Overage(
        status=None if word == "null" else word,
        in_use=values.flag(in_use) or False,
        utilization=used,
        resets_at=resets_at,
        disabled_reason=values.first_value(reason),
    )
    return overage, tuple(values.unparseable("overage", raw, {"utilization": used, "reset": resets_at}))


# `invalid_request_error` and `rate_limit_error` each have several meanings, so the sentence decides and not the
# type. Narrow sentences come before wide ones.
_TEXTS: Final = (
    ("third-party apps now draw from", ErrorClass(Status.POLICY_REJECTED, Scope.ACCOUNT)),
    ("only authorized for use with claude code", ErrorClass(Status.POLICY_REJECTED, Scope.ACCOUNT)),
    ("oauth authentication is currently not allowed", ErrorClass(Status.POLICY_REJECTED, Scope.ACCOUNT)),
    ("oauth_not_allowed_for_organization", ErrorClass(Status.POLICY_REJECTED, Scope.ACCOUNT)),
    ("this organization has been disabled", ErrorClass(Status.POLICY_REJECTED, Scope.ACCOUNT)),
    ("usage credits are required for long context", ErrorClass(Status.NO_CREDIT, Scope.REQUEST)),
    ("extra usage is required for long context", ErrorClass(Status.NO_CREDIT, Scope.REQUEST)),
    ("long context beta", ErrorClass(Status.POLICY_REJECTED, Scope.REQUEST, "long_context")),
    ("required for 1m context", ErrorClass(Status.NO_CREDIT, Scope.REQUEST)),
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
"""The meaning of a type if no sentence is known. Not used for a 400, which may quote a type from the request."""

_ALL: Final = (*_TEXTS, *_TYPES)
_BAD_REQUEST: Final = 400
_REGAIN: Final = re.compile(
    r"reached your specified (?:\w+ )?api usage limits.*?regain access on (\d{4}-\d\d-\d\d) at (\d\d:\d\d) utc",
    re.DOTALL,
)


def classify(error: ErrorText) -> ErrorClass | None:
    """Classify an error text of Anthropic's API."""
    text = error.lowercase
    if "reached your specified" in text:
        regain = _REGAIN.search(text)
        until = values.instant(f"{regain[1]}t{regain[2]}:00z") if regain else None
        return ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT, resets_at=until)
    patterns = _TEXTS if error.http_status == _BAD_REQUEST else _ALL
    return next((error_class for words, error_class in patterns if words in text), None)
