"""From what the headers say and what the status code and the text say, to one reading.

The order matters and is the same for every family: an outcome told by the text (no credit, policy, overload)
outranks the headers, since a header set describes the account and the text describes what was refused; a 2xx
outranks a header that says `rejected`, since the answer was served.
"""

import re

from tokmon.headers import duration, retry_after, sane
from tokmon.model import ErrorText, Evidence, Reading, Scope, Status, Verdict, Window, replace

_NETWORK = re.compile(
    r"\bE(?:CONN|NOTFOUND|AI_|TIMEDOUT|PIPE|HOST|NET|ADDR)|UND_ERR|fetch failed|connection error|socket hang up"
    r"|network|timed? ?out|certificate|\bTLS\b|\bDNS\b",
    re.IGNORECASE,
)
_REQUEST_ERRORS = range(400, 500)
_ERRORS = range(400, 600)
_ESCAPED = re.compile(r"\\([\"\\/nrt'])")
_WAITED = re.compile(r"^\s*Server requested (\d{1,9})s retry delay \(max: \d+s\)\.?\s*")
_AGAIN = re.compile(
    r"(?:try again|retry) in ~?(?:((?:\d{1,9}(?:\.\d{1,12})?(?:h|ms|m|s))+)(?![a-z0-9])"
    r"|(\d{1,9}(?:\.\d{1,12})?) ?(second|sec|minute|min|hour))"
)
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_THROTTLED = re.compile(r"\brate[ _-]?limit|too many requests", re.IGNORECASE)
_LEADING = re.compile(r"^\s*(?:(?:.{0,300}?\bAPI error|[A-Za-z ]*error)[^0-9]{0,12})?\(?(\d{3})\b", re.IGNORECASE)
_IN_BODY = re.compile(r'^\s*\{\s*"error": ?\{\s*"code": ?(\d{3})\b')


def error_text(text: str, http_status: int | None, at: float, kind: str | None) -> ErrorText:
    """An error text as families look at it.

    Bodies come inside of other JSON, once or twice escaped (Google's client does so), hence no parser: they are
    cut to a length as well. pi puts the status code in front where it knows it.
    """
    plain = text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    while "\\" in plain and (loose := _ESCAPED.sub(_unescaped, plain)) != plain:
        plain = loose
    status = http_status if http_status is not None else _leading_status(plain)
    return ErrorText(status, plain, plain.lower(), at, kind or "")


def _unescaped(match: re.Match[str]) -> str:
    return {"n": " ", "r": " ", "t": " "}.get(match[1], match[1])


def _leading_status(text: str) -> int | None:
    """The status code in front of an error text: `429 {...}`, `NAME API error (429): ...`, Google's own body."""
    text = _WAITED.sub("", text, count=1)
    found = _LEADING.match(text) or _IN_BODY.match(text)
    code = int(found.group(1)) if found else 0
    return code if code in _ERRORS else None


def said_wait(error: ErrorText) -> float | None:
    """Seconds until another try may succeed, where the text says so: `try again in 6.35s`, pi's `7835s retry delay`."""
    found = _WAITED.match(error.text)
    if found:
        return float(found[1])
    found = _AGAIN.search(error.said)
    if found is None:
        return None
    return duration(found[1]) if found[1] else float(found[2]) * _UNITS[found[3][:1]]


def by_status_code(http_status: int | None, text: str | None) -> Verdict | None:
    """What a status code says where no family knew the text. A 400 or 403 alone says nothing of the account."""
    if http_status is None:
        if not text:
            return None
        if _THROTTLED.search(text):
            return _BY_CODE[429]
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


_NOTHING = Reading()
_OTHER_REFUSALS = frozenset({Status.NO_CREDIT, Status.POLICY_REJECTED})
_REFUSALS = _OTHER_REFUSALS | {Status.REJECTED}


def combine(evidence: Evidence, http_status: int | None, parsed: Reading | None, verdict: Verdict | None) -> Reading:
    """One reading out of the headers' and the outcome's."""
    reading = parsed or _NOTHING
    wait = retry_after(evidence.headers.get("retry-after"), evidence.at)
    if wait is not None and reading.retry_after_s is None:
        reading = replace(reading, retry_after_s=wait)
    if verdict is None:
        return _served(reading, http_status)
    if verdict.windows:
        names = {window.name for window in reading.windows}
        told = (window for window in verdict.windows if window.name not in names)
        reading = replace(reading, windows=(*reading.windows, *told))
    if verdict.status is Status.REJECTED:
        return _rejected(reading, verdict, evidence.at)
    return replace(
        reading,
        retry_after_s=reading.retry_after_s if reading.retry_after_s is not None else verdict.retry_after_s,
        status=verdict.status,
        scope=verdict.scope,
        substatus=verdict.substatus,
        blocked_until=verdict.resets_at,
        plan=reading.plan or verdict.plan,
    )


def _served(reading: Reading, http_status: int | None) -> Reading:
    if http_status is None:
        return reading
    if reading.status is Status.UNKNOWN:
        return replace(reading, status=Status.ALLOWED)
    if reading.status in _REFUSALS:
        # The answer came although the plan is spent: credits pay for it, or the provider was lenient.
        overage = reading.overage
        paid = overage is not None and (overage.in_use or overage.status in {"allowed", "allowed_warning"})
        return replace(reading, status=Status.ALLOWED_WARNING, billing="overage" if paid else reading.billing)
    return reading


def _rejected(reading: Reading, verdict: Verdict, at: float) -> Reading:
    if reading.status in _OTHER_REFUSALS:
        return reading  # the headers know better than the bare code why
    spent = [window for window in reading.windows if window.status == Status.REJECTED]
    spent = spent or [window for window in reading.windows if window.remaining == 0 or (window.utilization or 0) >= 1]
    binding = reading.binding or (spent[0].name if spent else None)
    until = verdict.resets_at or _reset_of(spent, binding)
    # What a header says to wait is until the end; what a text says is about this request, where a window is spent.
    wait = reading.retry_after_s if reading.retry_after_s is not None or spent else verdict.retry_after_s
    if until is None and wait is not None:
        until = sane(at + wait)
    nothing_said = not reading.windows and reading.status is Status.UNKNOWN
    return replace(
        reading,
        retry_after_s=reading.retry_after_s if reading.retry_after_s is not None else verdict.retry_after_s,
        status=Status.REJECTED,
        binding=binding,
        blocked_until=until,
        scope=verdict.scope or (Scope.REQUEST if nothing_said else _scope_of(spent)),
        substatus=verdict.substatus or ("throttled_no_window" if nothing_said and verdict.scope is None else None),
        plan=reading.plan or verdict.plan,
    )


def _scope_of(spent: list[Window]) -> Scope:
    """A rejection by windows that bind some models only says nothing about the others on the same account."""
    return Scope.MODEL if spent and all(window.scope is Scope.MODEL for window in spent) else Scope.ACCOUNT


def _reset_of(spent: list[Window], binding: str | None) -> float | None:
    chosen = [window.resets_at for window in spent if window.name == binding and window.resets_at is not None]
    return max(chosen or [window.resets_at for window in spent if window.resets_at is not None], default=None)
