"""The credential of a provider, as pi would find it: a login in `auth.json`, else the `apiKey` of models.json.

A key may be a literal or a variable (`$NAME` and `${NAME}` in newer pi, the bare name in older). A `!command` is
pi's to run and not ours. A login that has expired is pi's to refresh: two who refresh race.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tokmon.store import parse

_VARIABLE: Final = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
_BARE: Final = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
_SENDABLE: Final = re.compile(r"[\x21-\x7e]{1,16384}")
_CLAIM: Final = "https://api.openai.com/auth"
_PARTS_OF_A_TOKEN: Final = 3


@dataclass(frozen=True, slots=True)
class Credential:
    """A key (never in a `repr`), and the account that it is for where a provider wants that said."""

    key: str = field(repr=False)
    account: str | None = None


class NoCredentialError(Exception):
    """There is none here; the message says why, and holds nothing of it."""


class UnsetVariableError(NoCredentialError):
    """It stands in a variable, which another process may have."""


def credential(entry: Mapping[str, Any], login: object, env: Mapping[str, str], now: float) -> Credential:
    """The credential of a provider with this entry in models.json and this login in auth.json, if it has one."""
    if isinstance(login, Mapping):
        if login.get("type") == "oauth":
            return _logged_in(login, now)
        if isinstance(login.get("key"), str):
            return Credential(resolve(login["key"], env))
    key = entry.get("apiKey")
    if not isinstance(key, str) or not key:
        raise NoCredentialError("models.json gives it no key")
    found = resolve(key, env)
    return Credential(found, _account(found))


def resolve(value: str, env: Mapping[str, str]) -> str:
    """The value that a setting of models.json stands for; NoCredentialError where it is not to be had here."""
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
        raise NoCredentialError("its key has characters that no header can carry")
    return value


def _logged_in(login: Mapping[str, Any], now: float) -> Credential:
    token, expires = login.get("access"), login.get("expires")
    if not isinstance(token, str) or not _SENDABLE.fullmatch(token):
        raise NoCredentialError("its login in auth.json has no token")
    if isinstance(expires, (int, float)) and expires / 1000 <= now:
        raise NoCredentialError("its login has expired, and pi renews it at the next turn")
    account = login.get("accountId")
    return Credential(token, account if isinstance(account, str) else _account(token))


def _account(token: str) -> str | None:
    """The ChatGPT account that a token is for, as the token itself says."""
    parts = token.split(".")
    if len(parts) != _PARTS_OF_A_TOKEN:
        return None
    try:
        claims = parse(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    said = (claims or {}).get(_CLAIM)
    account = said.get("chatgpt_account_id") if isinstance(said, Mapping) else None
    return account if isinstance(account, str) and _SENDABLE.fullmatch(account) else None
