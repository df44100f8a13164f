"""z.ai (GLM coding plans): a numeric code in the error body, and a reset without zone, which is China's.

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


def parse(evidence: RawResponse) -> Reading | None:  # noqa: ARG001 - it sends no headers about limits
    """Nothing: it sends no headers about limits."""
    return None


def classify(error: ErrorText) -> ErrorClass | None:
    """Read an error by its code."""
    found = _CODE.search(error.lowercase)
    # pi shows the sentence alone where the body has the form of OpenAI's.
    code = found[1] if found else _told(error.lowercase)
    if code is None:
        return None
    if code not in _LIMITS:
        return _PLAIN.get(code)
    reset = _RESET.search(error.lowercase)
    resets_at = values.local_instant(reset[1], _CHINA_H) if reset else None
    window = Window(_window(error.lowercase) or _LIMITS[code], 1.0, resets_at, status=Status.REJECTED)
    return ErrorClass(Status.REJECTED, Scope.ACCOUNT, resets_at=resets_at, windows=(window,))


def _told(said: str) -> str | None:
    """The code of the sentence, where it stands alone."""
    return next((code for words, more, code in _SENTENCES if words in said and (not more or more.search(said))), None)


def _window(said: str) -> str | None:
    """The window that the sentence names, `5 hour`; None where it names none."""
    found = _PERIOD.search(said)
    if found is None:
        return None
    number = int(found[1] or 1)
    days = {"hour": 0, "day": 1, "week": 7, "month": 30}[found[2]]
    return f"{number * days}d" if days else f"{number}h"
