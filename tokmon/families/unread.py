"""Families that are captured and not read yet.

Their headers are on the allow-list, so every line keeps them raw and nothing is lost: when a family gets a
module of its own, it takes its prefixes from here and the old lines read as if it had always been there.
Sources: the vendors' documentation and captured responses.
"""

from collections.abc import Mapping
from typing import Final

from tokmon.model import Reading, Verdict

NAME: Final = "unread"

PREFIXES: Final = (
    # Anthropic, pay per use
    "anthropic-fast-",
    "anthropic-priority-",
    "anthropic-ratelimit-input-tokens-",
    "anthropic-ratelimit-output-tokens-",
    "anthropic-ratelimit-requests-",
    "anthropic-ratelimit-tokens-",
    # OpenAI and those who speak like it (xAI, Groq, Cerebras, Fireworks, Mistral, Together, Azure, OpenRouter)
    "fireworks-cached-prompt-tokens",
    "fireworks-prompt-tokens",
    "openai-organization",
    "openai-processing-ms",
    "openai-project",
    "ratelimitbysize-",
    "x-groq-region",
    "x-ms-region",
    "x-ratelimit-",
    "x-ratelimitbysize-",
    "x-tokenlimit-",
    # Codex, Copilot
    "x-codex-",
    "x-quota-snapshot-",
    "x-usage-ratelimit-",
    # Gateways
    "cf-aig-",
    "exedev-gateway-cost",
    "llm_provider-anthropic-ratelimit-",
    "llm_provider-retry-after",
    "llm_provider-x-ratelimit-",
    "x-litellm-",
    # Others
    "ratelimit",
    "retry-after-ms",
    "x-admission-",
    "x-concurrent-limit-",
    "x-gemini-service-tier",
    "x-tpm-limit-",
)


def parse(headers: Mapping[str, str], at: float) -> Reading | None:  # noqa: ARG001 - the shape of a family
    """Nothing yet: the raw headers stay in the line."""
    return None


def classify(http_status: int | None, text: str) -> Verdict | None:  # noqa: ARG001 - the shape of a family
    """Nothing yet: the text stays in the line."""
    return None
