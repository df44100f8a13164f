"""The accounts of pi as probe targets: what a probe needs, or the reason why it cannot be made."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import quote, urlsplit

from tokmon.paths import Paths
from tokmon.pi.accounts import configured_type, is_oauth, read_account, read_entries, read_logins
from tokmon.probes.credentials import NoCredentialError, UnsetVariableError, credential, resolve
from tokmon.store.codec import encode

_SECRET_MIN: Final = 8
"""Characters. A shorter value (`none`, `true`) is no secret, and its removal would damage other texts."""

_SECRET_HEADER: Final = re.compile("auth|key|token|secret|cookie|password|credential|signature")

_PROBED_LOGINS: Final = frozenset({"teams-direct", "openai-codex"})
"""Other providers accept a login for their models only, and a refusal elsewhere says nothing about it."""

_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,200}")


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """An account to probe. If it has an `unavailable_reason`, only its name and type are set."""

    name: str
    account_type: str | None
    api: str = ""
    base_url: str = ""
    key: str = field(default="", repr=False)
    is_bearer: bool = False
    """Whether pi sends the key in `Authorization`, whatever the API."""

    chatgpt_account: str | None = None
    models: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    closed_paths: tuple[str, ...] = ()
    """Paths that do not exist, or refuse this credential."""

    unavailable_reason: str | None = None
    in_other_environment: bool = False
    """True if another process may be able to probe the account, because only an environment variable is missing."""

    @property
    def credentials(self) -> tuple[str, ...]:
        """Those secrets of which no part may be stored or shown."""
        named = (value for name, value in self.headers.items() if _SECRET_HEADER.search(name))
        return _forms({self.key, self.chatgpt_account or "", *named})

    @property
    def account(self) -> str | None:
        """The ChatGPT account as in the log (`extensions/tokmon/identity.ts`): hashed, since its id is private."""
        if self.chatgpt_account is None:
            return None
        return f"chatgpt-{hashlib.sha256(f'chatgpt-account:{self.chatgpt_account}'.encode()).hexdigest()[:16]}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that must not be stored or shown, plain and escaped as in JSON, the longest first."""
        return _forms({self.key, self.chatgpt_account or "", *self.headers.values()})


def targets(paths: Paths, env: Mapping[str, str], now: float) -> dict[str, ProbeTarget]:
    """The accounts of pi by name: those of models.json in its order, then those of auth.json and the environment."""
    logins = read_logins(paths)
    return {name: _target(name, entry, logins.get(name), env, now) for name, entry in read_entries(paths, env).items()}


def _target(name: str, entry: Mapping[str, Any], login: object, env: Mapping[str, str], now: float) -> ProbeTarget:
    account = read_account(entry, login, env)
    unavailable = ProbeTarget(name, configured_type(account))
    if is_oauth(login) and unavailable.account_type not in _PROBED_LOGINS:
        return replace(unavailable, unavailable_reason="logins of this type cannot be probed")
    try:
        base_url = _base_url(account.base_url)
        key = credential(entry, login, env, now)
        headers = _headers(entry.get("headers"), env)
    except NoCredentialError as error:
        is_unset = isinstance(error, UnsetVariableError)
        return replace(unavailable, unavailable_reason=f"no credential here: {error}", in_other_environment=is_unset)
    except ValueError as error:
        return replace(unavailable, unavailable_reason=str(error))
    return ProbeTarget(
        name=name,
        account_type=unavailable.account_type,
        api=account.api or "",
        base_url=base_url,
        key=key.key,
        is_bearer=entry.get("authHeader") is True,
        chatgpt_account=key.chatgpt_account,
        models=_models(entry.get("models")),
        headers=headers,
    )


def _base_url(url: str | None) -> str:
    try:
        parts = urlsplit(url or "")
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and not parts.query and not parts.fragment
        if not usable or parts.username is not None or (parts.port or 1) < 0:
            raise ValueError
    except ValueError:
        raise ValueError("its base URL cannot be used" if url else "models.json has no base URL for it") from None
    return (url or "").rstrip("/")


def _forms(plain: set[str]) -> tuple[str, ...]:
    """The texts plain, escaped as in JSON and as in a URL, without those that are too short; the longest first."""
    escaped = {encode(text).decode()[1:-1] for text in plain}
    texts = plain | escaped | {text.replace("/", "\\/") for text in escaped} | {quote(text, safe="") for text in plain}
    return tuple(sorted((text for text in texts if len(text) >= _SECRET_MIN), key=len, reverse=True))


def _models(setting: object) -> tuple[str, ...]:
    entries = setting if isinstance(setting, list) else []
    ids = (entry.get("id") for entry in entries if isinstance(entry, dict))
    return tuple(model for model in ids if isinstance(model, str) and model)


def _headers(setting: object, env: Mapping[str, str]) -> dict[str, str]:
    """The headers that pi sends to this provider. A header whose value is not available here is left out."""
    headers = {}
    for name, value in setting.items() if isinstance(setting, dict) else ():
        try:
            if isinstance(value, str) and _HEADER.fullmatch(name):
                headers[name.lower()] = resolve(value, env)
        except NoCredentialError:
            continue
    return headers
