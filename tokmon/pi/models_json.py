"""What kind of account a provider is, from pi's own configuration (`models.json`, `auth.json`).

Only base URL, api and the public prefix of a literal key are looked at. A key is never kept: a key given as a
command or a variable has no shape here, and then the shape that the extension saw decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from tokmon.store.codec import parse, plain_json
from tokmon.store.fingerprint import Fingerprint, fingerprint
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
    if spoken == "anthropic-messages":
        shape = account.key_shape or key_shape
        if shape in _KEY_SHAPES:
            return _KEY_SHAPES[shape]
        return "teams-direct" if family == "anthropic-unified" else "anthropic"
    return _APIS.get(spoken or "", spoken)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""  # a person's typing error is no reason to know less about the others


class Configured:
    """models.json, and whether it has changed since it was last read."""

    def __init__(self, models: Path) -> None:
        self._models = models
        self._fingerprint: Fingerprint | None = None

    def changed(self) -> bool:
        """Whether the file is another one now."""
        return fingerprint(self._models) != self._fingerprint

    def read(self) -> dict[str, ConfiguredAccount]:
        """What it says."""
        self._fingerprint = fingerprint(self._models)
        return read_accounts(self._models)


def read_models(models: Path) -> dict[str, Any] | None:
    """models.json as pi reads it, comments and all; None if it is missing, damaged or no file."""
    try:
        return parse(plain_json(read_file(models, MAX_MODELS)))
    except OSError:
        return None


def read_accounts(models: Path) -> dict[str, ConfiguredAccount]:
    """The providers of models.json by name; an empty dict if there is no such file or it is not JSON."""
    return accounts_of(read_providers(models))


def read_providers(models: Path) -> dict[str, Any]:
    """What models.json says by provider, whatever it is; an empty dict if there is no such file or it is not JSON."""
    providers = (read_models(models) or {}).get("providers")
    return providers if isinstance(providers, dict) else {}


def accounts_of(providers: Mapping[str, Any]) -> dict[str, ConfiguredAccount]:
    """Those of them that are accounts, by name."""
    return {name: _account(entry) for name, entry in providers.items() if isinstance(entry, dict)}


def _account(entry: Mapping[str, Any]) -> ConfiguredAccount:
    api = entry.get("api")
    if not isinstance(api, str):
        listed = entry.get("models")
        first = listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else {}
        api = first.get("api")
    url = entry.get("baseUrl")
    return ConfiguredAccount(
        base_url=url if isinstance(url, str) else None,
        api=api if isinstance(api, str) else None,
        key_shape=_shape(entry.get("apiKey")),
    )


def _shape(key: object) -> str | None:
    """Only ever the name of a public prefix (`sk-ant-oat…` gives `ant-oat`)."""
    return next((shape for shape in _KEY_SHAPES if isinstance(key, str) and key.startswith(f"sk-{shape}")), None)
