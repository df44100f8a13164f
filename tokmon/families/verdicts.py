"""From what the headers say and what the status code and the text say, to one reading.

The order matters and is the same for every family: an outcome told by the text (no credit, policy, overload)
outranks the headers, since a header set describes the account and the text describes what was refused; a 2xx
outranks a header that says `rejected`, since the answer was served.
"""

import re
from dataclasses import replace

from tokmon.headers import retry_after
from tokmon.model import Evidence, Reading, Scope, Status, Verdict, Window

_NETWORK = re.compile(
    r"\bE(?:CONN|NOTFOUND|AI_|TIMEDOUT|PIPE|HOST|NET|ADDR)|UND_ERR|fetch failed|connection error|socket hang up"
    r"|network|timed? ?out|certificate|\bTLS\b|\bDNS\b",
    re.IGNORECASE,
)
_REQUEST_ERRORS = range(400, 500)
_ERRORS = range(400, 600)
_LEADING = re.compile(r"^\s*(?:[A-Za-z ]*error[^0-9]{0,12})?\(?(\d{3})\b")


def leading_status(text: str) -> int | None:
    """The status code that pi puts in front of an error text (`429 {...}`, `OpenAI API error (429): ...`)."""
    found = _LEADING.match(text)
    code = int(found.group(1)) if found else 0
    return code if code in _ERRORS else None


def by_status_code(http_status: int | None, text: str | None) -> Verdict | None:
    """What a status code says where no family knew the text. A 400 or 403 alone says nothing of the account."""
    if http_status is None:
        if not text:
            return None
        # What no family knows and no network says is the request's own affair: it was aborted, or refused.
        return Verdict(Status.NETWORK_ERROR) if _NETWORK.search(text) else Verdict(Status.UNKNOWN, Scope.REQUEST)
    if http_status in _BY_CODE:
        return _BY_CODE[http_status]
    if http_status in _REQUEST_ERRORS:
        return Verdict(Status.ALLOWED if text else Status.UNKNOWN, Scope.REQUEST, "request_error")
    return Verdict(Status.UNKNOWN, Scope.PROVIDER, "server_error") if http_status in _ERRORS else None


_BY_CODE = {
    401: Verdict(Status.INVALID_KEY, Scope.ACCOUNT),
    402: Verdict(Status.NO_CREDIT, Scope.ACCOUNT),
    403: Verdict(Status.UNKNOWN, Scope.ACCOUNT, "forbidden"),
    429: Verdict(Status.REJECTED),
    503: Verdict(Status.OVERLOADED, Scope.PROVIDER),
    529: Verdict(Status.OVERLOADED, Scope.PROVIDER),
}


def combine(evidence: Evidence, http_status: int | None, parsed: Reading | None, verdict: Verdict | None) -> Reading:
    """One reading out of the headers' and the outcome's."""
    reading = parsed or Reading()
    wait = retry_after(evidence.headers.get("retry-after"), evidence.at)
    if wait is not None and reading.retry_after_s is None:
        reading = replace(reading, retry_after_s=wait)
    if verdict is None:
        return _served(reading, http_status)
    if verdict.status is Status.REJECTED:
        return _rejected(reading, verdict, evidence.at)
    return replace(
        reading,
        status=verdict.status,
        scope=verdict.scope,
        substatus=verdict.substatus,
        blocked_until=verdict.resets_at,
    )


def _served(reading: Reading, http_status: int | None) -> Reading:
    if http_status is None:
        return reading
    if reading.status is Status.UNKNOWN:
        return replace(reading, status=Status.ALLOWED)
    if reading.status is Status.REJECTED:
        # The answer came although the plan is spent: credits pay for it, or the provider was lenient.
        overage = reading.overage
        paid = overage is not None and (overage.in_use or overage.status in {"allowed", "allowed_warning"})
        return replace(reading, status=Status.ALLOWED_WARNING, billing="overage" if paid else reading.billing)
    return reading


def _rejected(reading: Reading, verdict: Verdict, at: float) -> Reading:
    spent = [window for window in reading.windows if window.status == Status.REJECTED]
    spent = spent or [window for window in reading.windows if window.remaining == 0]
    binding = reading.binding or (spent[0].name if spent else None)
    until = verdict.resets_at or _reset_of(spent, binding)
    if until is None and reading.retry_after_s is not None:
        until = at + reading.retry_after_s
    nothing_said = not reading.windows and reading.status is Status.UNKNOWN
    return replace(
        reading,
        status=Status.REJECTED,
        binding=binding,
        blocked_until=until,
        scope=verdict.scope or (Scope.REQUEST if nothing_said else _scope_of(spent)),
        substatus=verdict.substatus or ("throttled_no_window" if nothing_said else None),
    )


def _scope_of(spent: list[Window]) -> Scope:
    """A rejection by windows that bind some models only says nothing about the others on the same account."""
    return Scope.MODEL if spent and all(window.scope is Scope.MODEL for window in spent) else Scope.ACCOUNT


def _reset_of(spent: list[Window], binding: str | None) -> float | None:
    chosen = [window.resets_at for window in spent if window.name == binding and window.resets_at is not None]
    return max(chosen or [window.resets_at for window in spent if window.resets_at is not None], default=None)
