"""Remove secrets from free text: error texts, mission names, and other texts of a person or provider.

By their value where a process knows them (probes, checks, the extension), and by patterns.

The patterns use only syntax that Python and JavaScript share. The extension gets them in `schema.ts` and scrubs
before a text leaves pi; the sidecar scrubs again.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

PLACEHOLDER: Final = "[secret]"

BARE: Final[tuple[str, ...]] = (
    r"\b[0-9a-f]{32}\.[A-Za-z0-9]{16}\b",  # z.ai (GLM)
    r"\b(?:[0-9a-f]{32}|[0-9A-F]{32})\b",
    r"\b(?=[A-Za-z]*[0-9])(?=[A-Z0-9]*[a-z])(?=[a-z0-9]*[A-Z])[A-Za-z0-9]{32}\b",  # Mistral
)
"""Keys without a prefix. Request ids may look like these."""

PATTERNS: Final[tuple[str, ...]] = (
    *BARE,
    r"\bsk-[A-Za-z0-9_-]{8,}",  # Anthropic, OpenAI, OpenRouter, DeepSeek
    r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_.-]*",  # a JSON web token
    r"\bxai-[A-Za-z0-9_-]{8,}",
    r"\bAIza[A-Za-z0-9_-]{16,}",
    r"\bya29\.[A-Za-z0-9_-]{8,}",
    r"\bgsk_[A-Za-z0-9]{8,}",
    r"\bgh[a-z]_[A-Za-z0-9]{16,}",
    r"\b(?:csk|fw|pplx|hf|r8|nvapi|tgp)[-_][A-Za-z0-9_-]{16,}",
    r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}",
    r"\bx(?:ox[a-z]|app)-[A-Za-z0-9-]{8,}",  # Slack
    r"\b[Bb]earer +[A-Za-z0-9._~+/=-]{8,}",
    r"\b[Bb]asic +[A-Za-z0-9+/=]{12,}",
    r"://[^/\s:@\"]+:[^/\s@\"]+@",  # user:password in a URL
    r"\b[Xx]-[Aa][Mm][Zz]-[A-Za-z0-9-]{1,40}[\"']? *[=:] *[\"']?[^\s\"'&,}]{4,}",
    r"[?&;](?:[A-Za-z_-]{0,20}[Tt]oken|sig|[Ss]ignature|[A-Za-z_-]{0,20}[Kk]ey|[Ss]ecret|auth)=[^\s\"'&]{4,}",
    (
        r"\b(?:api[_-]?key|access[_-]?token|refresh[_-]?token|client[_-]?secret|password|key)[\"']? *[=:] *[\"']?"
        r"[^\s\"'&,}]{8,}"
    ),
)

_WORDS: Final = "|".join(pattern.removeprefix(r"\b") for pattern in PATTERNS if pattern.startswith(r"\b"))
_OTHERS: Final = "|".join(pattern for pattern in PATTERNS if not pattern.startswith(r"\b"))
_ANY: Final = re.compile(rf"\b(?:{_WORDS})|{_OTHERS}")
"""Any pattern. That of a word is tried only where a word begins, which takes half the time."""


MIN_PART: Final = 8
"""Characters of a credential's beginning or end that are removed, where a text repeats a part of it."""

_SHORTEST: Final = len("://u:p@")
"""No pattern matches a shorter text, and most header values are shorter."""


_FIGURES: Final = "0123456789hmsTZ.:,+-% "
_LONGEST_FIGURE: Final = 31
"""No pattern matches a text of these characters alone that is no longer: most other header values are such."""


def scrub(text: str) -> str:
    """The text with everything that looks like a credential replaced."""
    if len(text) < _SHORTEST or (len(text) <= _LONGEST_FIGURE and not text.strip(_FIGURES)):
        return text
    return _scrubbed(text)


@lru_cache(256)
def _scrubbed(text: str) -> str:
    return _ANY.sub(PLACEHOLDER, text)


def without_values(text: str, credentials: Iterable[str], values: Iterable[str] = ()) -> str:
    """The text without these credentials and either end of one of 8 characters or more, and without other `values`."""
    credentials = sorted((value for value in credentials if len(value) >= MIN_PART), key=len, reverse=True)
    for value in (*credentials, *sorted(values, key=len, reverse=True)):
        text = text.replace(value, PLACEHOLDER)
    for value in credentials:
        text = _without_start(text, value)
        text = _without_start(text[::-1], value[::-1], PLACEHOLDER[::-1])[::-1]
    return text


def _without_start(text: str, value: str, placeholder: str = PLACEHOLDER) -> str:
    """The text without each part that begins as the value does."""
    pieces, position = [], 0
    while (at := text.find(value[:MIN_PART], position)) >= 0:
        end = at + MIN_PART
        while end < len(text) and end - at < len(value) and text[end] == value[end - at]:
            end += 1
        pieces += [text[position:at], placeholder]
        position = end
    return "".join([*pieces, text[position:]])
