"""The accounts of a test: each a pi provider name with its own fake key, all on the loopback provider."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.pi import protocols
from tests.pi.protocols import codex
from tests.pi.provider import Provider

ANTHROPIC: Final = "anthropic-messages"
COMPLETIONS: Final = "openai-completions"
RESPONSES: Final = "openai-responses"
CODEX: Final = "openai-codex-responses"
GEMINI: Final = "google-generative-ai"
APIS: Final = (ANTHROPIC, COMPLETIONS, RESPONSES, CODEX, GEMINI)

PRICE: Final[Mapping[str, float]] = {"input": 3, "output": 15, "cacheRead": 0.3, "cacheWrite": 3.75}
"""Dollars per million tokens: a custom model without a price costs 0 in pi."""

WORTH_WARMING: Final[Mapping[str, float]] = {"input": 100, "output": 100, "cacheRead": 0.1, "cacheWrite": 100}
"""A price at which pi warms the cache of an idle session with 100,000 cached tokens."""


@dataclass(frozen=True, slots=True)
class Seat:
    """One account. `plan` gives it the prefix of a plan token, so that pi sends it as a Bearer token.

    `price` None leaves the model without one; `cache_seconds` lets 0.87 and later warm the prompt cache ten seconds
    before that time is over.
    """

    name: str
    api: str = ANTHROPIC
    plan: bool = False
    model: str = "loopback-1"
    price: Mapping[str, float] | None = field(default_factory=lambda: PRICE)
    cache_seconds: int | None = None

    @property
    def key(self) -> str:
        """The fake credential, different for every seat."""
        if self.api == CODEX:
            return codex.key(f"account-{self.name}")
        return f"sk-ant-oat01-fake-{self.name}" if self.plan else f"sk-fake-{self.name}"

    @property
    def variable(self) -> str:
        """The environment variable that holds the key."""
        return "KEY_" + "".join(each if each.isalnum() else "_" for each in self.name).upper()

    @property
    def spec(self) -> str:
        """What `--model` takes."""
        return f"{self.name}/{self.model}"

    def entry(self, origin: str) -> dict[str, Any]:
        """Write this seat's part of models.json; `!command` is the one form of a key that all versions resolve."""
        model: dict[str, Any] = {"id": self.model, "contextWindow": 200_000, "maxTokens": 4096}
        if self.price is not None:
            model["cost"] = dict(self.price)
        if self.cache_seconds is not None:
            model["promptCache"] = {"short": self.cache_seconds, "long": self.cache_seconds}
        return {
            "baseUrl": origin + protocols.of_api(self.api).base,
            "api": self.api,
            "apiKey": f'!printf %s "${self.variable}"',
            "models": [model],
        }


def models_json(seats: Iterable[Seat], provider: Provider) -> dict[str, Any]:
    """Write pi's models.json for these seats, and let the provider recognise their keys."""
    found = list(seats)
    for seat in found:
        provider.know(seat.name, seat.key)
    return {"providers": {seat.name: seat.entry(provider.origin) for seat in found}}
