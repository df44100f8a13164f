"""z.ai (GLM coding plans): a numeric code in the error body, and a reset without time zone, which is China's time.

Sources: error bodies as pi showed them; docs/families.md.
"""

import re
from typing import Final

from tokmon.evidence.ends import stated_end
from tokmon.evidence.limit_words import named_window
from tokmon.evidence.model import ErrorClass, ErrorText, RawResponse, Reading, Scope, Status, Window

NAME: Final = "zai"
PREFIXES: Final = ()

_CODE: Final = re.compile(r'(?:"(?:code|type)": ?"?|\[)(1\d{3})(?:"|\]|\b)')
_PERIOD: Final = re.compile(r"limit reached for (?:the )?(\d+)?[ -]?(hour|day|week|month)")
_CHINA_H: Final = 8.0
_PLAIN: Final = {
    "1113": ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT),
    "1302": ErrorClass(Status.REJECTED),
    "1303": ErrorClass(Status.REJECTED),
    "1305": ErrorClass(Status.OVERLOADED, Scope.PROVIDER),
    "1309": ErrorClass(Status.POLICY_REJECTED, Scope.ACCOUNT, "plan_expired"),
    "1313": ErrorClass(Status.POLICY_REJECTED, Scope.ACCOUNT, "fair_use"),
}
_LIMITS: Final = {"1308": "5h", "1310": "7d", "1316": "5h", "1317": "7d"}
_WEEK_OR_MONTH: Final = "1310"
"""One code for both: an end in more than a week is that of the month."""

_WEEK_S: Final = 7 * 86_400.0
_SENTENCES: Final = (
    ("limit reached for", _PERIOD, "1308"),
    ("limit exhausted. your limit will reset", None, "1310"),
    ("fair usage policy", None, "1313"),
    ("余额不足", None, "1113"),
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
    end = stated_end(error.lowercase, error.at, _CHINA_H)
    resets_at = None if end is None else end.resets_at
    name = named_window(error.lowercase) or _LIMITS[code]
    if resets_at is not None and resets_at - error.at > _WEEK_S and code == _WEEK_OR_MONTH:
        name = "30d"
    window = Window(name, 1.0, resets_at, status=Status.REJECTED)
    return ErrorClass(Status.REJECTED, Scope.ACCOUNT, resets_at=resets_at, windows=(window,))


def _code_of_sentence(text: str) -> str | None:
    """The code that belongs to the sentence, for a text without a code."""
    return next((code for words, also, code in _SENTENCES if words in text and (not also or also.search(text))), None)
