"""The accounts of pi: the providers of models.json, the logins of auth.json, and those with an environment key.

Each has an entry as in models.json: what that file says of it, completed by what pi knows of its own providers. A
credential is looked at for its public prefix, and not kept.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tokmon.errors import UsageError
from tokmon.paths import Paths
from tokmon.pi.models_json import ConfiguredAccount, account_of, account_type, read_providers
from tokmon.pi.package import package_version
from tokmon.pi.providers import BUILT_IN, BuiltInProvider, EnvironmentSource, PiVersion
from tokmon.store.codec import read_json
from tokmon.store.fingerprint import Fingerprint, fingerprint

_ANTHROPIC_TOKEN: Final = "sk-ant-oat"  # noqa: S105 - the public prefix of such tokens

LOGIN_NAMES: Final = (
    "email",
    "userId",
    "user_id",
    "uuid",
    "accountUuid",
    "account_uuid",
    "accountId",
    "account_id",
)
"""Fields of a login, or of its `account`, that name one user. Others name an organisation or a project of many."""

Entries = dict[str, dict[str, Any]]
"""What is configured of each account, by name, with the keys of models.json."""


def read_entries(paths: Paths, env: Mapping[str, str]) -> Entries:
    """Entries of all accounts: models.json in its order, then auth.json, then the environment."""
    entries = {name: entry for name, entry in read_providers(paths.models).items() if isinstance(entry, dict)}
    logins = read_logins(paths)
    sources = environment_sources(paths, env)
    names = {**entries, **logins, **sources}
    return {
        name: _entry(name, entries.get(name, {}), logins.get(name), sources.get(name, EnvironmentSource()))
        for name in names
    }


def read_logins(paths: Paths) -> dict[str, dict[str, Any]]:
    """The logins and keys in pi's auth.json, by provider; an empty dict if there is no such file or it is not JSON."""
    logins = read_json(_auth(paths)) or {}
    return {name: login for name, login in logins.items() if isinstance(login, dict)}


def environment_sources(paths: Paths, env: Mapping[str, str]) -> dict[str, EnvironmentSource]:
    """What makes one of pi's own providers usable in this environment, by provider."""
    usable = {
        name: [source for source in provider.sources if _is_set(source, paths, env)]
        for name, provider in BUILT_IN.items()
    }
    if any(source.is_versioned for sources in usable.values() for source in sources):
        version = _pi_version(env)
        usable = {
            name: [source for source in sources if source.is_used_by(version)] for name, sources in usable.items()
        }
    return {name: sources[0] for name, sources in usable.items() if sources}


def _is_set(source: EnvironmentSource, paths: Paths, env: Mapping[str, str]) -> bool:
    needed = source.needs if source.key is None else (source.key, *source.needs)
    if not all(env.get(variable, "").strip() for variable in needed):
        return False
    if source.file is None:
        return True
    variable, default = source.file
    path = env.get(variable)
    return os.path.exists(paths.home / (path.removeprefix("~/") if path else default))  # noqa: PTH110 - raises nothing


def _pi_version(env: Mapping[str, str]) -> PiVersion | None:
    """The version of the pi that this environment would start, if its package says it."""
    from tokmon.pi import installed  # noqa: PLC0415 - only a few variables make this necessary

    try:
        command = installed.command(env)
    except UsageError:
        command = None
    version = None if command is None else package_version(command)
    numbers = re.match(r"\d+\.\d+\.\d+", version or "")
    return tuple(int(number) for number in numbers[0].split(".")) if numbers else None


def environment_accounts(paths: Paths, env: Mapping[str, str]) -> set[str]:
    """The accounts that only processes with this environment can use."""
    entries, logins = read_providers(paths.models), read_logins(paths)
    with_key = {name for name, entry in entries.items() if isinstance(entry, dict) and entry.get("apiKey")}
    return environment_sources(paths, env).keys() - logins.keys() - with_key


def read_accounts(paths: Paths, env: Mapping[str, str]) -> dict[str, ConfiguredAccount]:
    """All accounts by name, in the order of `read_entries`."""
    logins = read_logins(paths)
    return {name: read_account(entry, logins.get(name), env) for name, entry in read_entries(paths, env).items()}


def read_account(entry: Mapping[str, Any], login: object, env: Mapping[str, str]) -> ConfiguredAccount:
    """The account with this entry and this login."""
    return account_of(entry, _key(entry, login, env))


def read_types(paths: Paths, env: Mapping[str, str]) -> dict[str, str | None]:
    """The type of each account by its configuration, None where that does not say; in the order of `read_entries`."""
    return {name: configured_type(account) for name, account in read_accounts(paths, env).items()}


def configured_type(account: ConfiguredAccount) -> str | None:
    """The type of an account by its configuration alone."""
    return account_type(account, api=None, key_shape=None, family=None)


def built_in_account(provider: str | None) -> ConfiguredAccount:
    """What pi knows of its own provider of that name; nothing of any other."""
    known = BUILT_IN.get(provider or "", BuiltInProvider())
    return ConfiguredAccount(known.base_url, known.api)


class Configured:
    """The accounts of pi, and whether its files have changed since they were last read."""

    def __init__(self, paths: Paths, env: Mapping[str, str]) -> None:
        self._paths = paths
        self._env = env
        self._fingerprints: tuple[Fingerprint, ...] = ()

    def changed(self) -> bool:
        """Whether one of the files is another one now."""
        return self._now() != self._fingerprints

    def read(self) -> dict[str, ConfiguredAccount]:
        """The accounts by name."""
        self._fingerprints = self._now()
        return read_accounts(self._paths, self._env)

    def _now(self) -> tuple[Fingerprint, ...]:
        return fingerprint(self._paths.models), fingerprint(_auth(self._paths))


def _auth(paths: Paths) -> Path:
    return paths.agent / "auth.json"


def _entry(name: str, entry: dict[str, Any], login: object, source: EnvironmentSource) -> dict[str, Any]:
    """The entry of models.json, completed. A token of Anthropic says by itself which API it is for."""
    is_seat = name not in BUILT_IN and not entry and str(_of_login(login)).startswith(_ANTHROPIC_TOKEN)
    known = BUILT_IN.get("anthropic" if is_seat else name, BuiltInProvider())
    completed = {
        "baseUrl": known.base_url,
        "api": None if "models" in entry else known.api,
        "apiKey": None if source.key is None else f"${source.key}",
        "authHeader": source.bearer and login is None and not entry.get("apiKey"),
        "models": [] if known.model is None else [{"id": known.model}],
    }
    return {key: value for key, value in completed.items() if value} | entry


def _key(entry: Mapping[str, Any], login: object, env: Mapping[str, str]) -> object:
    """The key that pi uses: that of a login before that of models.json, a variable replaced by its value."""
    key = _of_login(login) or entry.get("apiKey")
    return env.get(key.strip("${}"), key) if isinstance(key, str) else None


def is_oauth(login: object) -> bool:
    """Whether the login has a token, which pi renews, and not a key."""
    return isinstance(login, Mapping) and login.get("type") == "oauth"


def _of_login(login: object) -> object:
    """The token or key of a login."""
    return login.get("access" if is_oauth(login) else "key") if isinstance(login, Mapping) else None
