"""From what the headers say and what the status code and the text say, to one reading.

The order matters and is the same for every family: an outcome told by the text (no credit, policy, overload)
outranks the headers, since a header set describes the account and the text describes what was refused; a 2xx
outranks a header that says `rejected`, since the answer was served.
"""

import re

from tokmon.evidence.model import ErrorClass, ErrorText, RawResponse, Reading, Scope, Status, Window, replace
from tokmon.evidence.values import duration, plausible, retry_after, unparseable

_NETWORK = re.compile(
    r"\bE(?:CONN|NOTFOUND|AI_|TIMEDOUT|PIPE|HOST|NET|ADDR)|UND_ERR|fetch failed|connection error|socket hang up"
    r"|network|timed? ?out|certificate|\bTLS\b|\bDNS\b|\bterminated\b|other side closed|upstream connect"
    r"|websocket (?:closed|error)",
    re.IGNORECASE,
)
_REQUEST_ERRORS = range(400, 500)
_ERRORS = range(400, 600)
_SERVED = range(200, 300)
_NOTHING_OF_THE_ACCOUNT = frozenset({404, 405, 413, 415, 422})
"""Codes that tell of the request alone; what such a body quotes of the request is not what was refused."""

_BAD_REQUEST = 400
_ESCAPED = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([\"\\/nrt']))")
_WAITED = re.compile(r"^\s*Server requested (\d{1,9})s retry delay \(max: \d+s\)\.?\s*")
_AGAIN = re.compile(
    r"(?:(?:try again|retry) (?:in|after)|resets in) ~?(?:((?:\d{1,9}(?:\.\d{1,12})?(?:h|ms|m|s))+)(?![a-z0-9])"
    r"|(\d{1,9}(?:\.\d{1,12})?) ?(second|sec|minute|min|hour|day))"
)
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_OVERLOADED = re.compile(r"\boverloaded\b|service unavailable", re.IGNORECASE)
_THROTTLED = re.compile(r"\brate[ _-]?limit|too many requests", re.IGNORECASE)
_LEADING = re.compile(r"^\s*(?:(?:.{0,300}?\bAPI error|[A-Za-z ]*error)[^0-9]{0,12})?\(?(\d{3})\b", re.IGNORECASE)
_CONTENT = re.compile(r"\s*(?:[{\[:]|(?:event|data|id|retry):)")
_FAILED = re.compile(r'event: ?error\b|"type": ?"(?:error|response\.failed)"|"error": ?[{"]|"base_resp": ?{')
_CODE_WITHIN = re.compile(r'"(?:code|status)": ?"?(\d{3})\b')
_TYPES_WITHIN = (
    ("rate_limit_error", 429),
    ("authentication_error", 401),
    ("permission_error", 403),
    ("invalid_request_error", 400),
    ("not_found_error", 404),
    ("request_too_large", 413),
    ("api_error", 500),
)
_IN_BODY = re.compile(r'^\s*\{\s*"error": ?\{\s*"code": ?(\d{3})\b')


def said_by_error(text: str, http_status: int | None) -> str | None:
    """The error in what came, or None where it is none: an answer that was served may quote any sentence.

    What a stream said before its error is not part of it. Quotes within an answer are escaped, those of an error not.
    """
    if http_status not in _SERVED or not _CONTENT.match(text):
        return text
    found = _FAILED.search(text)
    return text[found.start() :] if found else None


def error_text(text: str, http_status: int | None, at: float, kind: str | None) -> ErrorText:
    """An error text as families look at it.

    Bodies come inside of other JSON, once or twice escaped (Google's client does so), hence no parser: they are
    cut to a length as well. pi puts the status code in front where it knows it.
    """
    plain = text
    while "\\" in plain and (loose := _ESCAPED.sub(_unescaped, plain)) != plain:
        plain = loose
    plain = plain.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    status = http_status if http_status is not None else _leading_status(plain)
    return ErrorText(status, plain, plain.lower(), at, kind or "")


def _unescaped(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else {"n": " ", "r": " ", "t": " "}.get(match[2], match[2])


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
    found = _AGAIN.search(error.lowercase)
    if found is None:
        return None
    return duration(found[1]) if found[1] else float(found[2]) * _UNITS[found[3][:1]]


def believable(error: ErrorText, verdict: ErrorClass) -> bool:
    """Whether a response of this status code can mean that: a 400 is no throttle and no overload."""
    if error.http_status == _BAD_REQUEST:
        return verdict.scope is not None and verdict.status is not Status.OVERLOADED
    return error.http_status not in _NOTHING_OF_THE_ACCOUNT


def by_text(error: ErrorText) -> ErrorClass | None:
    """What the status code of an error says whose text no family knew; of one in a stream, the code that it names."""
    status = error.http_status
    if status not in _SERVED:
        return by_status_code(status, error.text)
    code = _leading_status(error.text) or _status_within(error.lowercase)
    verdict = by_status_code(code, error.text)
    return None if code is None and verdict is not None and verdict.status is Status.UNKNOWN else verdict


def _status_within(said: str) -> int | None:
    code = next((code for name, code in _TYPES_WITHIN if name in said), None)
    found = _CODE_WITHIN.search(said) if code is None else None
    return int(found[1]) if found else code


def by_status_code(http_status: int | None, text: str | None) -> ErrorClass | None:
    """What a status code says where no family knew the text. A 400 or 403 alone says nothing of the account."""
    if http_status is None:
        return _by_words(text) if text else None
    if http_status in _BY_CODE:
        return _BY_CODE[http_status]
    if http_status in _REQUEST_ERRORS:
        return ErrorClass(Status.ALLOWED if text else Status.UNKNOWN, Scope.REQUEST, "request_error")
    return ErrorClass(Status.UNKNOWN, Scope.PROVIDER, "server_error") if http_status in _ERRORS else None


def _by_words(text: str) -> ErrorClass:
    """What a text without a status code says. What no network says is the request's own affair: aborted, or refused."""
    if _THROTTLED.search(text):
        return _BY_CODE[429]
    if _OVERLOADED.search(text):
        return _BY_CODE[529]
    return ErrorClass(Status.NETWORK_ERROR) if _NETWORK.search(text) else ErrorClass(Status.UNKNOWN, Scope.REQUEST)


_BY_CODE = {
    401: ErrorClass(Status.INVALID_KEY, Scope.ACCOUNT),
    402: ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT),
    403: ErrorClass(Status.UNKNOWN, Scope.ACCOUNT, "forbidden"),
    429: ErrorClass(Status.REJECTED),
    503: ErrorClass(Status.OVERLOADED, Scope.PROVIDER),
    529: ErrorClass(Status.OVERLOADED, Scope.PROVIDER),
}


_NOTHING = Reading()
_OTHER_REFUSALS = frozenset({Status.NO_CREDIT, Status.POLICY_REJECTED})
_REFUSALS = _OTHER_REFUSALS | {Status.REJECTED}


def combine(
    evidence: RawResponse, http_status: int | None, parsed: Reading | None, verdict: ErrorClass | None
) -> Reading:
    """One reading out of the headers' and the outcome's."""
    reading = parsed or _NOTHING
    said = evidence.headers.get("retry-after")
    if said is not None:
        wait = retry_after(said, evidence.at)
        doubtful = unparseable("response", {"retry-after": said}, {"retry-after": wait})
        wait = wait if reading.retry_after_s is None else reading.retry_after_s
        reading = replace(reading, retry_after_s=wait, warnings=(*reading.warnings, *doubtful))
    if verdict is None:
        return _served(reading, http_status)
    if verdict.windows:
        reading = replace(reading, windows=_put_together(reading.windows, verdict.windows))
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


def _put_together(said: tuple[Window, ...], told: tuple[Window, ...]) -> tuple[Window, ...]:
    """The windows of the headers and those of the text, which may be the same ones by a better name."""
    counted = [window for window in told if window.remaining is not None]
    kept = [window for window in said if not any(_same(window, other) for other in counted)]
    names = {window.name for window in kept}
    return (*kept, *(window for window in told if window.name not in names))


def _same(window: Window, other: Window) -> bool:
    """Whether all that the one says the other says too."""
    figures = ((window.limit, other.limit), (window.remaining, other.remaining), (window.resets_at, other.resets_at))
    return all(said is None or said == told for said, told in figures)


def _served(reading: Reading, http_status: int | None) -> Reading:
    if http_status is None:
        return reading
    if reading.status is Status.UNKNOWN:
        return replace(reading, status=Status.ALLOWED)
    if reading.status in _REFUSALS:
        # The answer came although the plan is spent: credits pay for it, or the provider was lenient.
        overage = reading.overage
        paid = overage is not None and (overage.in_use or overage.status in {"allowed", "allowed_warning"})
        return replace(
            reading,
            status=Status.ALLOWED_WARNING,
            billing="overage" if paid else reading.billing,
            binding=reading.binding or _binding(_spent(reading)),
        )
    return reading


def _rejected(reading: Reading, verdict: ErrorClass, at: float) -> Reading:
    if reading.status in _OTHER_REFUSALS:
        return reading  # the headers know better than the bare code why
    spent = _spent(reading)
    binding = reading.binding or _binding(spent)
    until = verdict.resets_at or _reset_of(spent, binding) or reading.blocked_until
    # What a header says to wait is until the end; what a text says is about this request, where a window is spent.
    wait = reading.retry_after_s if reading.retry_after_s is not None or spent else verdict.retry_after_s
    if until is None and wait is not None:
        until = plausible(at + wait)
    nothing_said = not reading.windows and reading.status is Status.UNKNOWN
    scope = _scope(reading, verdict, spent)
    return replace(
        reading,
        retry_after_s=reading.retry_after_s if reading.retry_after_s is not None else verdict.retry_after_s,
        status=Status.REJECTED,
        binding=binding,
        blocked_until=until,
        scope=Scope.REQUEST if nothing_said and verdict.scope is None else scope,
        substatus=verdict.substatus or ("throttled_no_window" if nothing_said and verdict.scope is None else None),
        plan=reading.plan or verdict.plan,
    )


def _scope(reading: Reading, verdict: ErrorClass, spent: list[Window]) -> Scope:
    """A rejection by windows that bind some models only says nothing about the others on the same account."""
    if spent and verdict.scope in {None, Scope.ACCOUNT}:
        return Scope.MODEL if all(window.scope is Scope.MODEL for window in spent) else Scope.ACCOUNT
    # Where the headers say that the account may go on, it was this request that came too fast.
    return verdict.scope or (Scope.REQUEST if reading.status is Status.ALLOWED else Scope.ACCOUNT)


def _spent(reading: Reading) -> list[Window]:
    """The windows that refuse, by their own word or else by their figures."""
    refusing = [window for window in reading.windows if window.status == Status.REJECTED]
    return refusing or [window for window in reading.windows if window.remaining == 0 or (window.utilization or 0) >= 1]


def _binding(spent: list[Window]) -> str | None:
    """Of the spent windows the one that binds longest, and one of the account before one of some models."""
    by_weight = sorted(spent, key=lambda window: (window.scope is Scope.MODEL, -(window.resets_at or 0.0)))
    return by_weight[0].name if by_weight else None


def _reset_of(spent: list[Window], binding: str | None) -> float | None:
    """When the last one of them ends that binds the account: each alone refuses. Of some models', the binding one."""
    binds = [window for window in spent if window.scope is not Scope.MODEL or window.name == binding]
    return max((window.resets_at for window in binds or spent if window.resets_at is not None), default=None)
