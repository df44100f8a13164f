"""What tokmon talks about, as frozen values. Instants are UTC epoch seconds; what was not said is None.

Words are those of the design: a *capture* is one response as the extension saw it, a *reading* is what it
says, a *window* is one limit over one period, the *claim* is the window that binds now.

They are structs of msgspec for their speed alone (a frozen dataclass takes eight times as long to make, and one
reading is several of them); `replace` gives a copy with other values.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec
from msgspec.structs import replace

__all__ = [
    "Credits",
    "ErrorText",
    "Overage",
    "RawResponse",
    "Reading",
    "Scope",
    "Status",
    "Value",
    "Verdict",
    "Window",
    "replace",
]

_PERIOD: Final = re.compile(r"^(\d+)([smhd])(?:_|$)|_(second|minute|hour|day)$")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Status(StrEnum):
    """What a reading says of the account. UNKNOWN is the absence of evidence, never a polite zero."""

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
    """Whom a rejection concerns."""

    REQUEST = "request"
    MODEL = "model"
    ACCOUNT = "account"
    PROVIDER = "provider"


class Value(msgspec.Struct, frozen=True, gc=False):
    """What all of these are, and the values of other modules."""


class Window(Value, frozen=True):
    """One limit over one period.

    `utilization` is the fraction used, unclamped (it may exceed 1); `resets_at` is the instant when the window
    starts afresh; `surpassed` the threshold that the provider says has been passed. `scope` is MODEL for a
    window that binds some models only, else None. `limit` and `remaining` count requests or tokens, as the name
    says; a limit in money stands in `limit_usd` and `used_usd`. `slot` is the provider's own place for it.
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
        """How long the window is, by its name (`5h`, `7d_sonnet`, `requests_minute`), in seconds."""
        match = _PERIOD.search(self.name)
        if match is None:
            return None
        return float(match[1]) * _SECONDS[match[2]] if match[1] else float(_SECONDS[match[3][0]])

    def expired(self, now: float) -> bool:
        """Whether the window has reset since it was read, so that its figures are of the past."""
        return self.resets_at is not None and self.resets_at <= now


class Overage(Value, frozen=True):
    """Paid use beyond the plan ("extra usage"). `in_use` is whether this response was paid from it.

    `used` counts what was used of it in the provider's own unit; `permitted` is whether it may be.
    """

    status: str | None = None
    in_use: bool = False
    utilization: float | None = None
    resets_at: float | None = None
    disabled_reason: str | None = None
    used: float | None = None
    permitted: bool | None = None


class Credits(Value, frozen=True):
    """Prepaid credits beside a plan. `balance` is in credits, as the provider writes it: not in money."""

    has_credits: bool | None = None
    unlimited: bool | None = None
    balance: str | None = None


class RawResponse(Value, frozen=True):
    """What there is to read: status code (None if no response came), headers by lower-case name, text, frame.

    `text` is the error text or body excerpt, already scrubbed; `frame` a frame of a stream that tells of limits;
    `at` is when it was captured. `kind` is what kind of account it came from, where that is known: families that
    share their headers' names may differ in what they mean.
    """

    http_status: int | None
    headers: Mapping[str, str]
    at: float
    text: str | None = None
    kind: str | None = None
    frame: Mapping[str, object] | None = None


class ErrorText(Value, frozen=True):
    """An error text as families look at it: `text` without escapes, `said` the same in lower case.

    Apostrophes are straight in both. `at` is when it came, `kind` the kind of account, where known.
    """

    http_status: int | None
    text: str
    said: str
    at: float
    kind: str = ""


class Verdict(Value, frozen=True):
    """What a status code and an error text say, without any header."""

    status: Status
    scope: Scope | None = None
    substatus: str | None = None
    resets_at: float | None = None
    retry_after_s: float | None = None
    windows: tuple[Window, ...] = ()
    plan: str | None = None


class Reading(Value, frozen=True):
    """What a capture or a probe says. `warnings` name what was there and could not be understood."""

    status: Status = Status.UNKNOWN
    windows: tuple[Window, ...] = ()
    claim: str | None = None
    """Which window bound the decision, in the provider's own word (`five_hour`)."""

    binding: str | None = None
    """The name of that window here (`5h`), where it can be told."""

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
        """The window of that name, if it was said."""
        return next((window for window in self.windows if window.name == name), None)
