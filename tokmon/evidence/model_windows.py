"""Windows of some models: which models such a window concerns. Pure.

The name of such a window has a period and a qualifier: `7d_opus`, `GPT-5.3-Codex-Spark:5h`, `7d_Fable`. A qualifier
without a version names a model family, and concerns every model whose id has these words. A qualifier with a version
names one model, and concerns its dated ids and its aliases, but not its variants (`-lite`, `-mini`, `-spark`).
"""

import re
from collections.abc import Collection
from functools import lru_cache
from typing import Final

from tokmon.evidence.model import Scope, Window

_PERIOD: Final = re.compile(r"^\d+[smhd](?:_|:|$)|:(?:\d+[smhd](?:_[a-z]+)?|primary|secondary|tertiary)$")
_WORD: Final = re.compile(r"[a-z0-9]+")
_VERSION: Final = re.compile(r"v?\d\w*")
_COMMON: Final = frozenset(
    {"anthropic", "claude", "openai", "google", "models", "latest", "preview", "us", "eu", "apac", "global"}
)
"""Words of ids that tell no model of a vendor from another: vendors, regions, aliases."""

_BY_RESPONSE: Final = frozenset({"oi"})
"""Qualifiers that name no model: such a window concerns the models on whose responses it stands."""


def qualifier(name: str) -> str:
    """The name of a window without its period or slot: `opus` of `7d_opus`, `GPT-5.3-Codex-Spark` of `…:5h`."""
    return _PERIOD.sub("", name)


def names_no_model(window: Window) -> bool:
    """Whether only the responses that have the window show which models it concerns (`7d_oi`)."""
    return window.scope is Scope.MODEL and qualifier(window.name) in _BY_RESPONSE


def concerns(window: Window, model: str, read_on: Collection[str] = ()) -> bool:
    """Whether a session on that model draws on the window.

    `read_on` are the models on whose responses the window stood; it matters only where the name has no model.
    """
    if window.scope is not Scope.MODEL:
        return True
    if names_no_model(window):
        return any(_names(" ".join(_parse(other)[0]), model) for other in read_on)
    return _names(qualifier(window.name), model)


def models_of(window: Window, read_on: Collection[str] = ()) -> tuple[str, ...]:
    """The models or families that a window of some models concerns, by name; empty for a window of the account."""
    if window.scope is not Scope.MODEL:
        return ()
    return tuple(sorted(read_on)) if names_no_model(window) else (qualifier(window.name),)


@lru_cache(1024)
def _names(name: str, model: str) -> bool:
    """Whether the name (of a family, or of one model) means that model id."""
    words, version = _parse(name)
    model_words, model_version = _parse(model.rpartition("/")[2])
    if not words:
        return False
    if not version:
        return words <= model_words
    return words == model_words and model_version[: len(version)] in {version, ()}


def _parse(name: str) -> tuple[frozenset[str], tuple[str, ...]]:
    """The words of a name without those in common, and its version with everything numeric after it."""
    words = _WORD.findall(name.lower())
    numbers = tuple(word for word in words if _VERSION.fullmatch(word))
    own = frozenset(word for word in words if word not in numbers)
    return own - _COMMON or own, numbers
