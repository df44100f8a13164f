"""Remove secrets from free text: error texts, mission names, and other texts of a person or provider.

The patterns use only syntax that Python and JavaScript share. The extension gets them in `schema.ts` and scrubs
before a text leaves pi; the sidecar scrubs again.
"""

import re
from functools import lru_cache
from typing import Final

PLACEHOLDER: Final = "[secret]"

PATTERNS: Final[tuple[str, ...]] = (
    r"\bsk-[A-Za-z0-9_-]{8,}",  # Anthropic, OpenAI, OpenRouter, DeepSeek
    r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_.-]*",  # a JSON web token
    r"\bxai-[A-Za-z0-9_-]{8,}",
    r"\bAIza[A-Za-z0-9_-]{16,}",
    r"\bya29\.[A-Za-z0-9_-]{8,}",
    r"\bgsk_[A-Za-z0-9]{8,}",
    r"\bgh[a-z]_[A-Za-z0-9]{16,}",
    r"\b(?:csk|fw|pplx|hf|r8|nvapi|tgp)[-_][A-Za-z0-9_-]{16,}",
    r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}",
    r"\b[Bb]earer +[A-Za-z0-9._~+/=-]{8,}",
    r"\b[Bb]asic +[A-Za-z0-9+/=]{12,}",
    r"://[^/\s:@\"]+:[^/\s@\"]+@",  # user:password in a URL
    (
        r"\b(?:api[_-]?key|access[_-]?token|refresh[_-]?token|client[_-]?secret|password|key)[\"']? *[=:] *[\"']?"
        r"[^\s\"'&,}]{8,}"
    ),
)

_ANY: Final = re.compile("|".join(PATTERNS))


_SHORTEST: Final = len("://u:p@")
"""No pattern matches a shorter text, and most header values are shorter."""


def scrub(text: str) -> str:
    """The text with everything that looks like a credential replaced."""
    return text if len(text) < _SHORTEST else _scrubbed(text)


@lru_cache(256)
def _scrubbed(text: str) -> str:
    return _ANY.sub(PLACEHOLDER, text)
