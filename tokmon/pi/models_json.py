"""What kind of account a provider of models.json is.

Only base URL, api and the public prefix of a literal key are looked at. A key is never kept: a key given as a
command or a variable has no shape here, and then the shape that the extension saw decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from tokmon.evidence.log_line import GENERIC_TYPE
from tokmon.store.codec import parse, plain_json
from tokmon.store.opener import read_file

MAX_MODELS: Final = 4 << 20
"""Bytes of models.json."""

_HOSTS: Final = (
    ("exe.dev", "gateway"),
    ("generativelanguage.googleapis.com", "gemini"),
    ("aiplatform.googleapis.com", "vertex"),
    ("api.x.ai", "xai"),
    ("chatgpt.com", "openai-codex"),
    ("api.openai.com", "openai"),
    ("openai.azure.com", "azure-openai"),
    ("openrouter.ai", "openrouter"),
    ("api.groq.com", "groq"),
    ("api.cerebras.ai", "cerebras"),
    ("api.mistral.ai", "mistral"),
    ("api.fireworks.ai", "fireworks"),
    ("api.together.xyz", "together"),
    ("api.deepseek.com", "deepseek"),
    ("githubcopilot.com", "github-copilot"),
    ("gateway.ai.cloudflare.com", "cloudflare"),
    ("api.z.ai", "zai"),
    ("moonshot.ai", "moonshot"),
    ("moonshot.cn", "moonshot"),
    ("api.kimi.com", "moonshot"),
    ("minimax.io", "minimax"),
    ("minimaxi.com", "minimax"),
    ("bigmodel.cn", "zai"),
)
_APIS: Final = {
    "google-generative-ai": "gemini",
    "google-vertex": "vertex",
    "openai-codex-responses": "openai-codex",
    "bedrock-converse-stream": "bedrock",
    "mistral-conversations": "mistral",
    "azure-openai-responses": "azure-openai",
    "openai-responses": "openai",
    "openai-completions": "openai",
}
_KEY_SHAPES: Final = {"ant-oat": "teams-direct", "ant-api": "anthropic-api"}


@dataclass(frozen=True, slots=True)
class ConfiguredAccount:
    """What models.json says of a provider; `key_shape` names a literal key's public prefix, if it has one."""

    base_url: str | None = None
    api: str | None = None
    key_shape: str | None = None


@lru_cache(256)
def account_type(
    account: ConfiguredAccount, *, api: str | None, key_shape: str | None, family: str | None
) -> str | None:
    """The log's `type`: by what the configuration says, then by what the capture shows; None if neither does."""
    host = _host(account.base_url or "")
    for suffix, kind in _HOSTS:
        if host == suffix or host.endswith(f".{suffix}"):
            return kind
    spoken = account.api or api
    if spoken is None and account.key_shape in _KEY_SHAPES:
        return _KEY_SHAPES[account.key_shape]
    if spoken == "anthropic-messages":
        shape = account.key_shape or key_shape
        if shape in _KEY_SHAPES:
            return _KEY_SHAPES[shape]
        return "teams-direct" if family == "anthropic-unified" else GENERIC_TYPE
    return _APIS.get(spoken or "", spoken)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""  # a person's typing error is no reason to know less about the others


def read_models(models: Path) -> dict[str, Any] | None:
    """models.json as pi reads it, comments and all; None if it is missing, damaged or no file."""
    try:
        return parse(plain_json(read_file(models, MAX_MODELS)))
    except OSError:
        return None


def read_providers(models: Path) -> dict[str, Any]:
    """What models.json says by provider, whatever it is; an empty dict if there is no such file or it is not JSON."""
    providers = (read_models(models) or {}).get("providers")
    return providers if isinstance(providers, dict) else {}


def account_of(entry: Mapping[str, Any], key: object) -> ConfiguredAccount:
    """The account of an entry in models.json, for which pi uses this key."""
    api = entry.get("api")
    if not isinstance(api, str):
        listed = entry.get("models")
        first = listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else {}
        api = first.get("api")
    url = entry.get("baseUrl")
    return ConfiguredAccount(
        base_url=url if isinstance(url, str) else None,
        api=api if isinstance(api, str) else None,
        key_shape=_shape(key),
    )


def _shape(key: object) -> str | None:
    """Only ever the name of a public prefix (`sk-ant-oat…` gives `ant-oat`)."""
    return next((shape for shape in _KEY_SHAPES if isinstance(key, str) and key.startswith(f"sk-{shape}")), None)
