"""z.ai (GLM coding plans): a numeric code in the error body, and a reset without time zone, which is China's time.

Sources: error bodies as pi showed them; docs/families.md.
"""

import re
from typing import Final

from tokmon.evidence import values
from tokmon.evidence.model import ErrorClass, ErrorText, RawResponse, Reading, Scope, Status, Window

NAME: Final = "zai"
PREFIXES: Final = ()

_CODE: Final = re.compile(r'(?:"(?:code|type)": ?"?|\[)(1\d{3})(?:"|\]|\b)')
_RESET: Final = re.compile(r"reset at (\d{4}-\d\d-\d\d[ t]\d\d:\d\d(?::\d\d)?)")
_PERIOD: Final = re.compile(r"limit reached for (?:the )?(\d+)?[ -]?(hour|day|week|month)")
_CHINA_H: Final = 8.0
_PLAIN: Final = {
    "1113": ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT),
    "1302": ErrorClass(Status.REJECTED),
    "1303": ErrorClass(Status.REJECTED),
    "1305": ErrorClass(Status.OVERLOADED, Scope.PROVIDER),
    "1313": ErrorClass(Status.POLICY_REJECTED, Scope.ACCOUNT, "fair_use"),
}
_LIMITS: Final = {"1308": "5h", "1310": "7d", "1316": "5h", "1317": "7d"}
_SENTENCES: Final = (
    ("limit reached for", _PERIOD, "1308"),
    ("limit exhausted. your limit will reset", None, "1310"),
    ("fair usage policy", None, "1313"),
)


def parse(response: RawResponse) -> Reading | None:  # noqa: ARG001 - the shape of a family
    """None: it sends no headers about limits."""
    return None


def classify(error: ErrorText) -> ErrorClass | None:
    """Read an error by its code."""
    match = _CODE.search(error.lowercase)
    # If the body has OpenAI's form, pi shows only the sentence.
    code = match[1] if match else _code_of_sentence(error.lowercase)
    if code is None:
        return None
    if code not in _LIMITS:
        return _PLAIN.get(code)
    reset = _RESET.search(error.lowercase)
    resets_at = values.local_instant(reset[1], _CHINA_H) if reset else None
    window = Window(_window(error.lowercase) or _LIMITS[code], 1.0, resets_at, status=Status.REJECTED)
    return ErrorClass(Status.REJECTED, Scope.ACCOUNT, resets_at=resets_at, windows=(window,))


def _code_of_sentence(text: str) -> str | None:
    """The code that belongs to the sentence, for a text without a code."""
    return next((code for words, also, code in _SENTENCES if words in text and (not also or also.search(text))), None)


def _window(text: str) -> str | None:
    """The window in the sentence: `5 hour` gives `5h`; None if it names none."""
    period = _PERIOD.search(text)
    if period is None:
        return None
    number = int(period[1] or 1)
    days = {"hour": 0, "day": 1, "week": 7, "month": 30}[period[2]]
    return f"{number * days}d" if days else f"{number}h"
