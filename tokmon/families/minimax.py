"""MiniMax: a numeric code in the error body, in parentheses or as `base_resp.status_code`.

Sources: error bodies as pi showed them; docs/families.md.
"""

import re
from typing import Final

from tokmon.evidence.model import ErrorClass, ErrorText, RawResponse, Reading, Scope, Status

NAME: Final = "minimax"
PREFIXES: Final = ()

_CODE: Final = re.compile(r'"status_code": ?"?(\d{4})\b')
_BRACKETED: Final = re.compile(r"\((1002|1004|1008|1039|2049|2056)\)")
_BAD_REQUEST: Final = 400
_CODES: Final = {
    "1002": ErrorClass(Status.REJECTED),
    "1004": ErrorClass(Status.INVALID_KEY, Scope.ACCOUNT),
    "1008": ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT),
    "1039": ErrorClass(Status.REJECTED),
    "2049": ErrorClass(Status.INVALID_KEY, Scope.ACCOUNT),
    "2056": ErrorClass(Status.REJECTED, Scope.ACCOUNT, "plan_limit"),
}


def parse(response: RawResponse) -> Reading | None:  # noqa: ARG001 - the shape of a family
    """None: it sends no headers about limits."""
    return None


def classify(error: ErrorText) -> ErrorClass | None:
    """Classify an error by its code."""
    if "insufficient_balance_error" in error.lowercase:
        return _CODES["1008"]
    code = _CODE.search(error.lowercase)
    if code is None and error.http_status != _BAD_REQUEST:  # in a 400, a number in parentheses may be anything
        code = _BRACKETED.search(error.lowercase)
    return _CODES.get(code[1]) if code else None
