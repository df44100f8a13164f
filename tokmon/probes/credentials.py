"""The credential of an account, as pi finds it: a login in `auth.json`, else the `apiKey` in models.json.

A key may be a literal or a variable (`$NAME` and `${NAME}` in newer pi, the bare name in older). tokmon never runs a
`!command` and never refreshes an expired login: only pi does, because two refreshes at once would conflict.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tokmon.store.codec import parse

_VARIABLE: Final = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
_BARE: Final = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
_SENDABLE: Final = re.compile(r"[\x21-\x7e]{1,16384}")
_CLAIM: Final = "https://api.openai.com/auth"
_TOKEN_PARTS: Final = 3


@dataclass(frozen=True, slots=True)
class Credential:
    """A key (never in a `repr`), and the ChatGPT account that it belongs to, if it names one."""

    key: str = field(repr=False)
    chatgpt_account: str | None = None


class NoCredentialError(Exception):
    """The credential is not available. The message says why and contains no part of a credential."""


class UnsetVariableError(NoCredentialError):
    """The key is an environment variable that is not set here, but may be set for another process."""


def credential(entry: Mapping[str, Any], login: object, env: Mapping[str, str], now: float) -> Credential:
    """The credential of an account with this entry in models.json and this login in auth.json.

    Raises NoCredentialError.
    """
    if isinstance(login, Mapping):
        if login.get("type") == "oauth":
            return _oauth_credential(login, now)
        if isinstance(login.get("key"), str):
            own = login.get("env")
            return Credential(resolve(login["key"], {**env, **own} if isinstance(own, Mapping) else env))
    key = entry.get("apiKey")
    if not isinstance(key, str) or not key:
        raise NoCredentialError("models.json has no key for it")
    value = resolve(key, env)
    return Credential(value, _chatgpt_account(value))


def resolve(value: str, env: Mapping[str, str]) -> str:
    """The value of a setting in models.json, with variables replaced. Raises NoCredentialError if there is none."""
    if value.startswith("!"):
        raise NoCredentialError("its key is a command, which only pi runs")
    variable = _VARIABLE.fullmatch(value)
    name = (variable[1] or variable[2]) if variable else value if _BARE.fullmatch(value) else None
    if name is not None:
        value = env.get(name, "")
        if not value:
            raise UnsetVariableError("its key is a variable that is not set here")
    value = value.strip()
    if not _SENDABLE.fullmatch(value):
        raise NoCredentialError("its key has characters that are not allowed in a header")
    return value


def _oauth_credential(login: Mapping[str, Any], now: float) -> Credential:
    token, expires = login.get("access"), login.get("expires")
    if not isinstance(token, str) or not _SENDABLE.fullmatch(token):
        raise NoCredentialError("its login in auth.json has no token")
    if isinstance(expires, (int, float)) and expires / 1000 <= now:
        raise NoCredentialError("its login has expired; pi renews it at its next turn")
    account = login.get("accountId")
    return Credential(token, account if isinstance(account, str) else _chatgpt_account(token))


def _chatgpt_account(token: str) -> str | None:
    """The ChatGPT account in the claims of a token, or None."""
    parts = token.split(".")
    if len(parts) != _TOKEN_PARTS:
        return None
    try:
        claims = parse(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    claim = (claims or {}).get(_CLAIM)
    account = claim.get("chatgpt_account_id") if isinstance(claim, Mapping) else None
    return account if isinstance(account, str) and _SENDABLE.fullmatch(account) else None
