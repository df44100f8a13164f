"""The policy for the wake path: `policy.json`, what `settings` validated, with a fingerprint of its source.

The configuration is validated once for as long as neither the file nor the variables change: `cached` reads the result
without the library that validates. Where the configuration is invalid, the last valid one stays in use.

There is an entry for each set of variables in recent use, since sessions of one member may differ in them. Overrides of
a single call (the pin) are never cached.
"""

import contextlib
import math
import os
from collections.abc import Mapping
from dataclasses import fields, replace
from enum import Enum
from pathlib import Path
from typing import Any, Final, NamedTuple

from tokmon import __version__
from tokmon.decision import decision_file
from tokmon.errors import SettingsError, StoreError
from tokmon.paths import Paths
from tokmon.pool.settings import PoolSettings
from tokmon.selection.overrides import PER_CALL, Overrides, config_vars, name_problem, per_call
from tokmon.selection.policy import POLICIES, SPENDING, Policy
from tokmon.store.atomic import replace_private
from tokmon.store.codec import encode, parse
from tokmon.store.fingerprint import fingerprint
from tokmon.store.opener import read_file

_ENTRIES: Final = 8
_LARGEST: Final = 1 << 20
_FIELDS_OF_POLICY: Final = tuple(field.name for field in fields(Policy))
_DEFAULTS: Final = Policy()
_CHOICES: Final = {"policy": POLICIES, "spend_credit": SPENDING}


class PolicyOrigin(Enum):
    """Where a policy comes from."""

    CONFIGURED = "the configuration"
    LAST_VALID = "the last valid configuration"
    VALID_PART = "the keys that are valid"


class LoadedPolicy(NamedTuple):
    """The policy in use (an empty one where no account is configured), and every error of the configuration."""

    policy: Policy
    check_file: Path | None = None
    errors: tuple[SettingsError, ...] = ()
    source: PolicyOrigin = PolicyOrigin.CONFIGURED
    environment_accounts: frozenset[str] = frozenset()
    """Accounts of the proposed chain whose keys are in this environment: other processes may lack them."""

    pool: PoolSettings = PoolSettings()

    @property
    def shared(self) -> tuple[tuple[str, str], ...]:
        """The accounts that every process of this user can use, with their models."""
        return tuple(pair for pair in self.policy.pairs if pair[0] not in self.environment_accounts)


class CacheEntry(NamedTuple):
    """One valid policy, and the configuration that it came from."""

    file: list[Any]
    variables: dict[str, str]
    policy: dict[str, Any]
    check_file: str | None
    pool: dict[str, Any]


def path_of(paths: Paths) -> Path:
    """Path of the cache file, which may be deleted."""
    return paths.state / "policy.json"


def cached(paths: Paths, env: Mapping[str, str]) -> LoadedPolicy | None:
    """The policy, if this configuration was validated before; None where it must be validated first."""
    overrides = per_call(env)
    entry = _fitting(_entries(paths), paths, env)
    if entry is None:
        return None
    return _loaded(entry, paths, overrides)


def load(paths: Paths, env: Mapping[str, str], *, keep: bool = True) -> LoadedPolicy:
    """The policy, validated now unless it is cached; unless `keep` is off, a valid one is cached.

    It is also left for the hook, which falls back on it (`decision_file.leave_accounts`). Raises nothing for any
    configuration: a choice goes on with the rest, and a screen shows the errors.
    """
    loaded = cached(paths, env)
    if loaded is not None:
        return loaded
    overrides, entries = per_call(env), _entries(paths)

    from tokmon.decision import settings  # noqa: PLC0415 - takes longer to import than all the rest of a wake

    source = _stamp(paths.config)
    validated = settings.read(paths.config, env)
    settings_of_pool = validated.pool._asdict()
    new = CacheEntry(source, config_vars(env), _to_json(validated.policy), validated.check_file, settings_of_pool)
    if not validated.errors:
        loaded = _loaded(new, paths, overrides)
        if keep:
            _keep(paths, [new, *entries])
            if not new.variables:
                _leave_accounts(paths, env, loaded)
        return loaded
    last = _last_valid(entries, new)
    used, origin = (new, PolicyOrigin.VALID_PART) if last is None else (last, PolicyOrigin.LAST_VALID)
    return _loaded(used, paths, overrides)._replace(errors=(*validated.errors, *overrides.errors), source=origin)


def _loaded(entry: CacheEntry, paths: Paths, overrides: Overrides) -> LoadedPolicy:
    policy = _policy(entry, overrides.fields)
    return LoadedPolicy(policy, _path(entry.check_file, paths), overrides.errors, pool=_pool(entry))


def _leave_accounts(paths: Paths, env: Mapping[str, str], loaded: LoadedPolicy) -> None:
    """Leave the accounts for the hook. Where that fails, the hook's default is an older one."""
    loaded = with_chain(paths, loaded, env)
    if loaded.shared:
        with contextlib.suppress(OSError, StoreError, ValueError):
            decision_file.leave_accounts(decision_file.path_of(paths, env), paths, loaded.shared)


def with_chain(paths: Paths, loaded: LoadedPolicy, env: Mapping[str, str] = os.environ) -> LoadedPolicy:
    """The same, with a chain proposed from the accounts of pi where none is configured."""
    if loaded.policy.accounts:
        return loaded
    from tokmon.pi.accounts import environment_accounts  # noqa: PLC0415 - a wake comes here only if no chain is configured

    policy = propose(paths, loaded.policy, env)
    own = environment_accounts(paths, env).intersection(policy.accounts)
    return loaded._replace(policy=policy, environment_accounts=frozenset(own))


def check_file(paths: Paths, env: Mapping[str, str]) -> Path | None:
    """Where the results of pi checks are read and written, if the configuration says so. It is validated if need be."""
    entry = _fitting(_entries(paths), paths, env)
    if entry is not None:
        return _path(entry.check_file, paths)
    nothing_configured = not config_vars(env) and not paths.config.exists()
    return None if nothing_configured else load(paths, env).check_file


def propose(paths: Paths, base: Policy, env: Mapping[str, str] = os.environ) -> Policy:
    """`base` with a chain proposed from the accounts of pi."""
    from tokmon.pi import accounts  # noqa: PLC0415 - a wake comes here only if no chain is configured
    from tokmon.selection import default_policy  # noqa: PLC0415

    types, entries = accounts.read_types(paths, env), accounts.read_entries(paths, env)
    offers = {name: default_policy.ModelsEntry(types.get(name), _ids(entry)) for name, entry in entries.items()}
    return default_policy.propose(offers, base)


def listed(paths: Paths) -> dict[str, tuple[str, ...]]:
    """The ids of the models that models.json lists, by provider."""
    from tokmon.pi.models_json import read_providers  # noqa: PLC0415 - as above

    return {name: _ids(entry) for name, entry in read_providers(paths.models).items()}


def _ids(entry: Any) -> tuple[str, ...]:  # noqa: ANN401 - a person's file
    models = entry.get("models") if isinstance(entry, dict) else None
    ids = [model.get("id") for model in models if isinstance(model, dict)] if isinstance(models, list) else []
    return tuple(model for model in ids if isinstance(model, str))


def _stamp(config: Path) -> list[Any]:
    """What tells one state of the file from another, without reading it."""
    return [str(config), *fingerprint(config)]


def _fitting(entries: list[CacheEntry], paths: Paths, env: Mapping[str, str]) -> CacheEntry | None:
    stamp, variables = _stamp(paths.config), config_vars(env)
    return next((entry for entry in entries if entry.file == stamp and entry.variables == variables), None)


def _last_valid(entries: list[CacheEntry], new: CacheEntry) -> CacheEntry | None:
    """The newest of this file that names somebody: with the same variables, or with most of them and with no other.

    Where there is none such, the newest: that may be of what another session asks for.
    """
    naming = [entry for entry in entries if entry.file[0] == new.file[0] and _policy(entry, {}).accounts]
    compatible = [entry for entry in naming if entry.variables.items() <= new.variables.items()]
    return max(compatible, key=lambda entry: len(entry.variables), default=next(iter(naming), None))


def _entries(paths: Paths) -> list[CacheEntry]:
    """What is kept, the newest first; nothing where the file is missing, damaged or of another version of tokmon."""
    try:
        saved = parse(read_file(path_of(paths), _LARGEST))
        if saved is None or saved["version"] != __version__:
            return []
        entries = [CacheEntry(*(fields_of[name] for name in CacheEntry._fields)) for fields_of in saved["entries"]]
        for entry in entries:
            _policy(entry, {})
            _pool(entry)
            if not (isinstance(entry.file[0], str) and isinstance(entry.variables, dict)):
                return []
            if not (entry.check_file is None or isinstance(entry.check_file, str)):
                return []
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return []
    return entries


def _keep(paths: Paths, entries: list[CacheEntry]) -> None:
    """Write them, one for each set of variables. A cache that cannot be written costs time and nothing else."""
    newest: list[CacheEntry] = []
    for entry in entries:
        if not any(entry.variables == other.variables and entry.file[0] == other.file[0] for other in newest):
            newest.append(entry)
    content = {"version": __version__, "entries": [entry._asdict() for entry in newest[:_ENTRIES]]}
    with contextlib.suppress(OSError, StoreError):
        replace_private(path_of(paths), encode(content) + b"\n")


def _to_json(policy: Policy) -> dict[str, Any]:
    return {name: getattr(policy, name) for name in _FIELDS_OF_POLICY if name not in PER_CALL}


def _policy(entry: CacheEntry, overrides: Mapping[str, str]) -> Policy:
    """The policy of an entry, with the overrides of this call; ValueError, TypeError or KeyError if it is damaged."""
    if len(entry.policy) + len(PER_CALL) != len(_FIELDS_OF_POLICY):
        raise ValueError
    values: dict[str, Any] = {
        name: _checked(name, entry.policy[name]) for name in _FIELDS_OF_POLICY if name not in PER_CALL
    }
    return replace(_DEFAULTS, **values, **dict[str, Any](overrides))


def _pool(entry: CacheEntry) -> PoolSettings:
    """The pool settings of an entry; ValueError, TypeError or KeyError if it is damaged."""
    share, ignore, alias = (entry.pool[name] for name in PoolSettings._fields)
    if not isinstance(share, bool):
        raise TypeError
    return PoolSettings(share, tuple(map(_name, ignore)), tuple(map(_name, alias)))


def _checked(field: str, value: Any) -> Any:  # noqa: ANN401 - each field has a type of its own
    """A value of the type that the field's default has; ValueError or TypeError otherwise."""
    default = getattr(_DEFAULTS, field)
    if isinstance(default, float):
        if not isinstance(value, float) or not math.isfinite(value) or value <= 0:
            raise ValueError
        return value
    if isinstance(default, tuple):
        return tuple(_name(item) if isinstance(item, str) else _pair(item) for item in value)
    if default is None and value is None:
        return None
    if value not in _CHOICES.get(field, (value,)):
        raise ValueError
    return _name(value)


def _name(value: object) -> str:
    if not isinstance(value, str) or name_problem(value) is not None:
        raise ValueError
    return value


def _pair(value: Any) -> tuple[str, str]:  # noqa: ANN401 - out of a file
    provider, model = value
    return _name(provider), _name(model)


def _path(text: str | None, paths: Paths) -> Path | None:
    if text is None:
        return None
    return paths.home / text[2:] if text.startswith("~/") else Path(text)
