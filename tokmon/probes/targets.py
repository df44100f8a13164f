"""The providers of models.json, each with what is needed to ask it, or why it cannot be asked."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlsplit

from tokmon.paths import Paths
from tokmon.pi.models_json import ConfiguredAccount, account_type, accounts_of, read_providers
from tokmon.probes.credentials import Credential, NoCredentialError, UnsetVariableError, credential, resolve
from tokmon.store import encode, read_json

_SHAPES: Final = (("sk-ant-oat", "ant-oat"), ("sk-ant-api", "ant-api"))
_SECRET_MIN: Final = 8
"""Characters: what is shorter (`none`, `true`) is no secret, and taken out it would break what it stands in."""

_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,200}")


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """A provider to ask. `why_not` says why it cannot be asked, and then nothing else is of use."""

    name: str
    account_type: str | None
    api: str = ""
    base_url: str = ""
    key: str = field(default="", repr=False)
    chatgpt_account: str | None = None
    models: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    closed_paths: tuple[str, ...] = ()
    """Paths that are known not to be there, or not for this credential."""

    unavailable_reason: str | None = None
    in_other_environment: bool = False
    """Whether it can be asked in another environment."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be in anything that is kept or shown, the longest first."""
        plain = {self.key, self.chatgpt_account or "", *self.headers.values()}
        escaped = {encode(each).decode()[1:-1] for each in plain}
        said = plain | escaped | {each.replace("/", "\\/") for each in escaped}
        return tuple(sorted((each for each in said if len(each) >= _SECRET_MIN), key=len, reverse=True))


def targets(found: Paths, env: Mapping[str, str], now: float) -> dict[str, ProbeTarget]:
    """All providers of models.json, in its order."""
    entries = read_providers(found.models)
    logins = read_json(found.agent / "auth.json") or {}
    return {
        name: _target(name, account, entries[name], logins.get(name), env, now)
        for name, account in accounts_of(entries).items()
    }


def _target(
    name: str, account: ConfiguredAccount, entry: Mapping[str, Any], login: object, env: Mapping[str, str], now: float
) -> ProbeTarget:
    unasked = ProbeTarget(name, account_type(account, api=None, key_shape=None, family=None))
    try:
        base = _base(account.base_url)
        key = credential(entry, login, env, now)
        headers = _headers(entry.get("headers"), env)
    except NoCredentialError as error:
        elsewhere = isinstance(error, UnsetVariableError)
        return replace(unasked, unavailable_reason=f"no credential here: {error}", in_other_environment=elsewhere)
    except ValueError as error:
        return replace(unasked, unavailable_reason=str(error))
    return ProbeTarget(
        name=name,
        account_type=account_type(replace(account, key_shape=_shape(key)), api=None, key_shape=None, family=None),
        api=account.api or "",
        base_url=base,
        key=key.key,
        chatgpt_account=key.account,
        models=_models(entry.get("models")),
        headers=headers,
    )


def _base(url: str | None) -> str:
    try:
        parts = urlsplit(url or "")
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and not parts.query and not parts.fragment
        if not fits or parts.username is not None or (parts.port or 1) < 0:
            raise ValueError
    except ValueError:
        raise ValueError("its base URL is none that can be asked" if url else "models.json gives no base URL") from None
    return (url or "").rstrip("/")


def _shape(key: Credential) -> str | None:
    return next((shape for prefix, shape in _SHAPES if key.key.startswith(prefix)), None)


def _models(said: object) -> tuple[str, ...]:
    listed = said if isinstance(said, list) else []
    ids = (each.get("id") for each in listed if isinstance(each, dict))
    return tuple(each for each in ids if isinstance(each, str) and each)


def _headers(said: object, env: Mapping[str, str]) -> dict[str, str]:
    """Headers that pi is told to send to this provider; one whose value is not to be had here is left out."""
    found = {}
    for name, value in said.items() if isinstance(said, dict) else ():
        try:
            if isinstance(value, str) and _HEADER.fullmatch(name):
                found[name.lower()] = resolve(value, env)
        except NoCredentialError:
            continue
    return found
