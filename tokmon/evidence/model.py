"""The values of the evidence rooms, frozen. Instants are UTC epoch seconds; a value that is not known is None.

A *capture* is one response as the extension saw it, a *reading* is what it says about the account, a *window* is
one limit over one period, and the *claim* is the window that limits the account now.

They are msgspec structs because every capture makes several of them, and a frozen dataclass takes eight times as
long to create. `replace` returns a copy with other values.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec
from msgspec.structs import replace

__all__ = [
    "Credits",
    "ErrorClass",
    "ErrorText",
    "Overage",
    "RawResponse",
    "Reading",
    "Scope",
    "Status",
    "Value",
    "Window",
    "replace",
]

_PERIOD: Final = re.compile(r"(?:^|:)(\d+)([smhd])(?:_|:|$)|(?:_|Per)([Ss]econd|[Mm]inute|[Hh]our|[Dd]ay)(?=$|-|Per)")
_NAMED_S: Final = {"session": 5 * 3600.0, "weekly": 7 * 86_400.0}
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Status(StrEnum):
    """The state of an account according to one reading. UNKNOWN means that there is no evidence."""

    ALLOWED = "allowed"
    ALLOWED_WARNING = "allowed_warning"
    REJECTED = "rejected"
    INVALID_KEY = "invalid_key"
    POLICY_REJECTED = "policy_rejected"
    NO_CREDIT = "no_credit"
    OVERLOADED = "overloaded"
    NETWORK_ERROR = "network_error"
    UNKNOWN = "unknown"


class Scope(StrEnum):
    """What a rejection applies to."""

    REQUEST = "request"
    MODEL = "model"
    ACCOUNT = "account"
    PROVIDER = "provider"


class Value(msgspec.Struct, frozen=True, gc=False):
    """Base of all frozen values of `evidence`."""


class Window(Value, frozen=True):
    """One limit over one period.

    `utilization` is the fraction used, unclamped (it may exceed 1). `resets_at` is the instant of the next reset.
    `surpassed` is the warning threshold that the provider reports as passed. `scope` is MODEL for a window that
    applies to some models only, else None. `limit` and `remaining` count requests or tokens, as the name says;
    `limit_usd` and `used_usd` are a limit in money. `slot` is the provider's own position of the window.
    """

    name: str
    utilization: float | None = None
    resets_at: float | None = None
    status: str | None = None
    limit: float | None = None
    remaining: float | None = None
    surpassed: float | None = None
    scope: Scope | None = None
    slot: str | None = None
    limit_usd: float | None = None
    used_usd: float | None = None

    @property
    def period_s(self) -> float | None:
        """How long the window is, in seconds, by its name: `5h`, `7d_sonnet`, `Spark:5h`, `requests_day`, `XPerDay`."""
        match = _PERIOD.search(self.name)
        if match is None:
            return _NAMED_S.get(self.name)
        return float(match[1]) * _SECONDS[match[2]] if match[1] else float(_SECONDS[match[3][0].lower()])

    @property
    def is_full(self) -> bool:
        """True if nothing of the window was left when it was read."""
        return self.status == Status.REJECTED or self.remaining == 0 or (self.utilization or 0) >= 1

    def expired(self, now: float) -> bool:
        """True if the window has reset since it was read, so that its figures are out of date."""
        return self.resets_at is not None and self.resets_at <= now


class Overage(Value, frozen=True):
    """Paid use beyond the plan ("extra usage"). `in_use`: this response was paid from it.

    `used` is the amount used, in the provider's own unit; `permitted`: the account may use it.
    """

    status: str | None = None
    in_use: bool = False
    utilization: float | None = None
    resets_at: float | None = None
    disabled_reason: str | None = None
    used: float | None = None
    permitted: bool | None = None


class Credits(Value, frozen=True):
    """Prepaid credits beside a plan. `balance` is in the provider's credits, not in money."""

    has_credits: bool | None = None
    unlimited: bool | None = None
    balance: str | None = None


class RawResponse(Value, frozen=True):
    """A response before it is read. `http_status` is None if none came; header names are in lower case.

    `text` is the error text or an excerpt of the body, already scrubbed. `frame` is a stream frame with rate
    limits. `at` is the instant of the capture. `account_type` is None if it is not known; families whose headers
    have the same names need it, because the meanings differ.
    """

    http_status: int | None
    headers: Mapping[str, str]
    at: float
    text: str | None = None
    account_type: str | None = None
    frame: Mapping[str, object] | None = None


class ErrorText(Value, frozen=True):
    """An error text, prepared for the families: `text` without escapes, `lowercase` the same in lower case.

    Apostrophes are straight in both. `at` is the instant of the capture; `account_type` is "" if it is not known.
    """

    http_status: int | None
    text: str
    lowercase: str
    at: float
    account_type: str = ""


class ErrorClass(Value, frozen=True):
    """What a status code and an error text say about the account, without the headers."""

    status: Status
    scope: Scope | None = None
    substatus: str | None = None
    resets_at: float | None = None
    retry_after_s: float | None = None
    windows: tuple[Window, ...] = ()
    plan: str | None = None
    of_model: bool = False
    """True if the text names a model: a long wait is then that model's."""


class Reading(Value, frozen=True):
    """What a capture or a probe says about the account. `warnings` name values that could not be parsed."""

    status: Status = Status.UNKNOWN
    windows: tuple[Window, ...] = ()
    claim: str | None = None
    """The window that limits the account, in the provider's own word (`five_hour`)."""

    binding: str | None = None
    """The name of that window in `windows` (`5h`), or the provider's word if no window has that name."""

    overage: Overage | None = None
    retry_after_s: float | None = None
    blocked_until: float | None = None
    scope: Scope | None = None
    substatus: str | None = None
    account: str | None = None
    billing: str | None = None
    plan: str | None = None
    credits: Credits | None = None
    cost_usd: float | None = None
    family: str | None = None
    warnings: tuple[str, ...] = ()

    def window(self, name: str) -> Window | None:
        """The window of that name, or None."""
        for window in self.windows:
            if window.name == name:
                return window
        return None
