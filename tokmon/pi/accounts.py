"""The accounts of pi: the providers of models.json, the logins of auth.json, and those with an environment key.

Each has an entry as in models.json: what that file says of it, completed by what pi knows of its own providers. A
credential is looked at for its public prefix, and not kept.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tokmon.paths import Paths
from tokmon.pi.models_json import ConfiguredAccount, account_of, account_type, read_providers
from tokmon.pi.providers import BUILT_IN, BuiltInProvider
from tokmon.store.codec import read_json
from tokmon.store.fingerprint import Fingerprint, fingerprint

_ANTHROPIC_TOKEN: Final = "sk-ant-oat"  # noqa: S105 - the public prefix of such tokens

Entries = dict[str, dict[str, Any]]
"""What is configured of each account, by name, with the keys of models.json."""


def read_entries(paths: Paths, env: Mapping[str, str]) -> Entries:
    """Entries of all accounts: models.json in its order, then auth.json, then the environment."""
    entries = {name: entry for name, entry in read_providers(paths.models).items() if isinstance(entry, dict)}
    logins = read_logins(paths)
    keys = environment_keys(env)
    return {name: _entry(name, entries.get(name, {}), logins.get(name), keys) for name in {**entries, **logins, **keys}}


def read_logins(paths: Paths) -> dict[str, dict[str, Any]]:
    """The logins and keys in pi's auth.json, by provider; an empty dict if there is no such file or it is not JSON."""
    logins = read_json(_auth(paths)) or {}
    return {name: login for name, login in logins.items() if isinstance(login, dict)}


def environment_keys(env: Mapping[str, str]) -> dict[str, str]:
    """The variable that pi takes the key of one of its own providers from, by provider."""
    variables = {
        name: next((variable for variable in provider.variables if env.get(variable)), None)
        for name, provider in BUILT_IN.items()
    }
    return {name: variable for name, variable in variables.items() if variable is not None}


def environment_accounts(paths: Paths, env: Mapping[str, str]) -> set[str]:
    """The accounts that only processes with this environment can use."""
    entries, logins = read_providers(paths.models), read_logins(paths)
    with_key = {name for name, entry in entries.items() if isinstance(entry, dict) and entry.get("apiKey")}
    return environment_keys(env).keys() - logins.keys() - with_key


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


def _entry(name: str, entry: dict[str, Any], login: object, variables: Mapping[str, str]) -> dict[str, Any]:
    """The entry of models.json, completed. A token of Anthropic says by itself which API it is for."""
    is_seat = name not in BUILT_IN and not entry and str(_of_login(login)).startswith(_ANTHROPIC_TOKEN)
    known = BUILT_IN.get("anthropic" if is_seat else name, BuiltInProvider())
    completed = {
        "baseUrl": known.base_url,
        "api": None if "models" in entry else known.api,
        "apiKey": f"${variables[name]}" if name in variables else None,
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
