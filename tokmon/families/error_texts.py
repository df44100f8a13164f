"""Error texts: the text that a family classifies, and the class of a text or status code that no family knows."""

import re

from tokmon.evidence.model import ErrorClass, ErrorText, Scope, Status

_NETWORK = re.compile(
    r"\bE(?:CONN|NOTFOUND|AI_|TIMEDOUT|PIPE|HOST|NET|ADDR)|UND_ERR|fetch failed|connection error|socket hang up"
    r"|network|timed? ?out|certificate|\bTLS\b|\bDNS\b|\bterminated\b|other side closed|upstream connect"
    r"|websocket (?:closed|error)",
    re.IGNORECASE,
)
_REQUEST_ERRORS = range(400, 500)
_ERRORS = range(400, 600)
_SERVED = range(200, 300)
_REQUEST_ONLY = frozenset({404, 405, 413, 415, 422})
"""Codes that concern the request only. Such a body may quote the request, so its words prove nothing."""

_BAD_REQUEST = 400
_ESCAPED = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([\"\\/nrt']))")
_MOST_ESCAPES = 6
_PLAIN_MARKS = str.maketrans(
    {
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{IDEOGRAPHIC FULL STOP}": ". ",
        "\N{FULLWIDTH COMMA}": ", ",
        "\N{FULLWIDTH COLON}": ": ",
        "\N{FULLWIDTH SEMICOLON}": "; ",
        "\N{FULLWIDTH EXCLAMATION MARK}": "! ",
        "\N{FULLWIDTH QUESTION MARK}": "? ",
    }
)
_QUOTED_REQUEST = re.compile(
    r'"(?:prompt|input|messages|contents?|instructions|request_body|user_input)" {0,4}:'
    r"|\b(?:prompt|input|policy|filter|flagged|instructions?)(?: was| is| contains| says)?[:=]? ?"
    r"[\"'`\u201c](?=[^\W\d_]|\[)",
    re.IGNORECASE,
)
"""Where an error body quotes the request: what follows may be any sentence."""

_PI_RETRY = re.compile(r"^\s*Server requested (\d{1,9})s retry delay \(max: \d+s\)\.?\s*")
_OVERLOADED = re.compile(r"\boverloaded\b|service unavailable", re.IGNORECASE)
_THROTTLED = re.compile(r"\brate[ _-]?limit|too many requests", re.IGNORECASE)
_LEADING_CODE = re.compile(
    r"^\s*(?:(?:[^:.{\n]{0,100}?\bAPI error|[A-Za-z ]{0,60}error)[^0-9]{0,12})?\(?(\d{3})\b", re.IGNORECASE
)
_CONTENT = re.compile(r"\s*(?:[{\[:]|(?:event|data|id|retry):)")
_STREAM_ERROR = re.compile(r'event: ?error\b|"type": ?"(?:error|response\.failed)"|"error": ?[{"]|"base_resp": ?{')
_QUOTED_CODE = re.compile(r'"(?:code|status)": ?"?(\d{3})\b')
_CODE_OF_TYPE = (
    ("rate_limit_error", 429),
    ("authentication_error", 401),
    ("permission_error", 403),
    ("invalid_request_error", 400),
    ("not_found_error", 404),
    ("request_too_large", 413),
    ("api_error", 500),
)
_GOOGLE_CODE = re.compile(r'^\s*\{\s*"error": ?\{\s*"code": ?(\d{3})\b')


def error_part(text: str, http_status: int | None) -> str | None:
    """The part of a body that is an error; None for a served answer, which may quote any sentence.

    The events of a stream before its error are cut off. Quotes inside an answer are escaped, those of an error are not.
    """
    if http_status not in _SERVED or not _CONTENT.match(text):
        return text
    error = _STREAM_ERROR.search(text)
    return text[error.start() :] if error else None


def error_text(text: str, http_status: int | None, at: float, account_type: str | None) -> ErrorText:
    """An error text without escapes and without what it quotes of the request, with the status code in front of it.

    Full-width punctuation is plain in it. Bodies are not parsed as JSON: they are cut to a length, and Google's client
    escapes them inside other JSON once or twice.
    """
    plain = text
    for _ in range(_MOST_ESCAPES):
        if "\\" not in plain or (unescaped := _ESCAPED.sub(_unescape, plain)) == plain:
            break
        plain = unescaped
    plain = plain.translate(_PLAIN_MARKS)
    quoted = _QUOTED_REQUEST.search(plain)
    plain = plain[: quoted.start()] if quoted else plain
    status = http_status if http_status is not None else _leading_status(plain)
    return ErrorText(status, plain, plain.lower(), at, account_type or "")


def _unescape(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else {"n": " ", "r": " ", "t": " "}.get(match[2], match[2])


def _leading_status(text: str) -> int | None:
    """The status code in front of an error text: `429 {...}`, `NAME API error (429): ...`, Google's own body."""
    text = _PI_RETRY.sub("", text, count=1)
    match = _LEADING_CODE.match(text) or _GOOGLE_CODE.match(text)
    code = int(match[1]) if match else 0
    return code if code in _ERRORS else None


def is_believable(error: ErrorText, error_class: ErrorClass) -> bool:
    """True if a response of this status code can mean that: a 400 is no throttle, a served answer no error.

    Prose in a served answer is believed if pi's status code precedes it, or if it is about the provider only.
    """
    if error.http_status == _BAD_REQUEST:
        return error_class.scope is not None and error_class.status is not Status.OVERLOADED
    if _is_prose(error):
        return error_class.scope is Scope.PROVIDER or _leading_status(error.text) is not None
    return error.http_status not in _REQUEST_ONLY


def by_text(error: ErrorText) -> ErrorClass | None:
    """The class of an error that no family knows, by its status code; in a stream, by the code that the text names."""
    status = error.http_status
    if status not in _SERVED:
        return by_status_code(status, error.text)
    is_prose = _is_prose(error)
    code = _leading_status(error.text) or (None if is_prose else _named_status(error.lowercase))
    error_class = by_status_code(code, error.text)
    no_error = {Status.UNKNOWN, Status.REJECTED} if is_prose else {Status.UNKNOWN}
    return None if code is None and error_class is not None and error_class.status in no_error else error_class


def _is_prose(error: ErrorText) -> bool:
    """True if the text came with a served answer, and is no error of its stream."""
    return error.http_status in _SERVED and not _STREAM_ERROR.match(error.text)


def _named_status(text: str) -> int | None:
    code = next((code for name, code in _CODE_OF_TYPE if name in text), None)
    quoted = _QUOTED_CODE.search(text) if code is None else None
    return int(quoted[1]) if quoted else code


def by_status_code(http_status: int | None, text: str | None) -> ErrorClass | None:
    """The class of a status code with a text that no family knows. A 400 or 403 alone is no evidence of the account."""
    if http_status is None:
        return _by_words(text) if text else None
    if http_status in _BY_CODE:
        return _BY_CODE[http_status]
    if http_status in _REQUEST_ERRORS:
        return ErrorClass(Status.ALLOWED if text else Status.UNKNOWN, Scope.REQUEST, "request_error")
    return ErrorClass(Status.UNKNOWN, Scope.PROVIDER, "server_error") if http_status in _ERRORS else None


def _by_words(text: str) -> ErrorClass:
    """The class of a text without a status code. Other texts (aborted, refused by pi) concern the request only."""
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
