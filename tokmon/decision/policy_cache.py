"""The policy for the wake path: `policy.json`, what `settings` found, with a fingerprint of what it came from.

The configuration is validated once for as long as neither the file nor the variables change: `ready` reads the result
with the standard library alone. Where the configuration is invalid, the last valid one goes on.

A policy is kept for each set of variables that has been seen of late, since the sessions of one member need not have
the same, and each would else undo what the other has kept. What only one call asks for (the pin) is never kept.
"""

import contextlib
import json
import math
import os
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Final, NamedTuple

from tokmon import __version__
from tokmon.errors import SettingsError, StoreError
from tokmon.paths import Paths
from tokmon.selection.overrides import ONE_SHOT, asked, name_problem, relevant
from tokmon.selection.policy import POLICIES, SPENDING, Policy

_KEPT: Final = 8
_LARGEST: Final = 1 << 20


class Source(Enum):
    """Where a policy is from."""

    CONFIGURED = "the configuration"
    LAST_VALID = "the last valid configuration"
    VALID_PART = "the keys that are valid"


class Loaded(NamedTuple):
    """The policy that counts now (an empty one where nobody is named), and every error of the configuration."""

    policy: Policy
    check_file: Path | None = None
    errors: tuple[SettingsError, ...] = ()
    source: Source = Source.CONFIGURED


class _Entry(NamedTuple):
    """One policy that was valid, and what it came from."""

    file: list[Any]
    variables: dict[str, str]
    policy: dict[str, Any]
    check_file: str | None


def place(paths: Paths) -> Path:
    """The file: a cache, that may be deleted."""
    return paths.state / "policy.json"


def ready(paths: Paths, env: Mapping[str, str]) -> Loaded | None:
    """What `load` gives, if it takes no validating: it is of what the configuration is now."""
    wanted = asked(env)
    entry = _fitting(_entries(paths), paths, env)
    if entry is None:
        return None
    return Loaded(_policy(entry, wanted.fields), _path(entry.check_file, paths), wanted.errors)


def load(paths: Paths, env: Mapping[str, str], *, keep: bool = True) -> Loaded:
    """The policy, from the cache or the slow way; a valid one is kept in the cache, unless `keep` is off.

    Raises nothing for any configuration: whoever chooses goes on, and whoever shows shows the errors.
    """
    loaded = ready(paths, env)
    if loaded is not None:
        return loaded
    wanted, entries = asked(env), _entries(paths)

    from tokmon.decision import settings  # noqa: PLC0415 - takes longer to import than all the rest of a wake

    stamp = _stamp(paths.config)
    found = settings.read(paths.config, env)
    new = _Entry(stamp, relevant(env), _to_json(found.policy), found.check_file)
    if not found.errors:
        if keep:
            _keep(paths, [new, *entries])
        return Loaded(_policy(new, wanted.fields), _path(new.check_file, paths), wanted.errors)
    last = _last_valid(entries, new)
    used, source = (new, Source.VALID_PART) if last is None else (last, Source.LAST_VALID)
    errors = (*found.errors, *wanted.errors)
    return Loaded(_policy(used, wanted.fields), _path(used.check_file, paths), errors, source)


def check_file(paths: Paths, env: Mapping[str, str]) -> Path | None:
    """Where the results of pi checks are read and written, if the configuration says so. It is validated if need be."""
    entry = _fitting(_entries(paths), paths, env)
    if entry is not None:
        return _path(entry.check_file, paths)
    nothing_said = not relevant(env) and not paths.config.exists()
    return None if nothing_said else load(paths, env).check_file


def propose(paths: Paths, base: Policy) -> Policy:
    """`base` with a chain out of pi's models.json, for where none is configured."""
    from tokmon.pi.models_json import account_type, accounts_of, read_providers  # noqa: PLC0415 - only who has no chain comes here
    from tokmon.selection.default_policy import Offer, proposed  # noqa: PLC0415

    providers = read_providers(paths.models)
    offers = {
        name: Offer(account_type(account, api=None, key_shape=None, family=None), _ids(providers[name]))
        for name, account in accounts_of(providers).items()
    }
    return proposed(offers, base)


def listed(paths: Paths) -> dict[str, tuple[str, ...]]:
    """The ids of the models that models.json lists, by provider."""
    from tokmon.pi.models_json import read_providers  # noqa: PLC0415 - as above

    return {name: _ids(entry) for name, entry in read_providers(paths.models).items()}


def _ids(entry: Any) -> tuple[str, ...]:  # noqa: ANN401 - a person's file
    models = entry.get("models") if isinstance(entry, dict) else None
    found = [each.get("id") for each in models if isinstance(each, dict)] if isinstance(models, list) else []
    return tuple(model for model in found if isinstance(model, str))


def _stamp(config: Path) -> list[Any]:
    """What tells one state of the file from another, without reading it."""
    try:
        found = config.stat()
    except OSError as error:
        # Missing, and not to be reached: neither is the other.
        return [str(config), error.errno, 0, 0]
    return [str(config), found.st_mtime_ns, found.st_size, found.st_ino]


def _fitting(entries: list[_Entry], paths: Paths, env: Mapping[str, str]) -> _Entry | None:
    stamp, variables = _stamp(paths.config), relevant(env)
    return next((entry for entry in entries if entry.file == stamp and entry.variables == variables), None)


def _last_valid(entries: list[_Entry], new: _Entry) -> _Entry | None:
    """The newest of this file that names somebody: with the same variables, or with most of them and with no other.

    Where there is none such, the newest: that may be of what another session asks for.
    """
    naming = [entry for entry in entries if entry.file[0] == new.file[0] and _policy(entry, {}).order]
    ours = [entry for entry in naming if entry.variables.items() <= new.variables.items()]
    return max(ours, key=lambda entry: len(entry.variables), default=next(iter(naming), None))


def _entries(paths: Paths) -> list[_Entry]:
    """What is kept, the newest first; nothing where the file is missing, damaged or of another version of tokmon."""
    try:
        with open(place(paths), "rb", opener=_at_once) as file:
            kept = json.loads(file.read(_LARGEST))
        if kept["version"] != __version__:
            return []
        entries = [_Entry(*(each[name] for name in _Entry._fields)) for each in kept["entries"]]
        for entry in entries:
            _policy(entry, {})
            if not (isinstance(entry.file[0], str) and isinstance(entry.variables, dict)):
                return []
            if not (entry.check_file is None or isinstance(entry.check_file, str)):
                return []
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return []
    return entries


def _at_once(name: str, flags: int) -> int:
    """Open without waiting: a pipe in its place would never end."""
    return os.open(name, flags | os.O_NONBLOCK)


def _keep(paths: Paths, entries: list[_Entry]) -> None:
    """Write them, one for each set of variables. A cache that cannot be written costs time and nothing else."""
    from tokmon import store  # noqa: PLC0415 - reading does without

    kept: list[_Entry] = []
    for entry in entries:
        if not any(entry.variables == each.variables and entry.file[0] == each.file[0] for each in kept):
            kept.append(entry)
    told = {"version": __version__, "entries": [entry._asdict() for entry in kept[:_KEPT]]}
    with contextlib.suppress(OSError, StoreError):
        store.replace(place(paths), json.dumps(told, separators=(",", ":")).encode() + b"\n")


def _to_json(policy: Policy) -> dict[str, Any]:
    return {name: getattr(policy, name) for name in policy.__struct_fields__ if name not in ONE_SHOT}


def _policy(entry: _Entry, wanted: Mapping[str, str]) -> Policy:
    """The policy of an entry, with what this call asks for; ValueError, TypeError or KeyError if it is damaged."""
    kept = entry.policy
    if len(kept) + len(ONE_SHOT) != len(Policy.__struct_fields__):
        raise ValueError
    return Policy(
        chain=_names(kept["chain"]),
        fallback=_names(kept["fallback"]),
        emergency=None if kept["emergency"] is None else _name(kept["emergency"]),
        threshold=_number(kept["threshold"]),
        policy=_word(kept["policy"], POLICIES),
        model=_name(kept["model"]),
        models=tuple((_name(provider), _name(model)) for provider, model in kept["models"]),
        session_minutes=_number(kept["session_minutes"]),
        five_hour_guard=_number(kept["five_hour_guard"]),
        spend_credit=_word(kept["spend_credit"], SPENDING),
        **wanted,
    )


def _name(value: object) -> str:
    if not isinstance(value, str) or name_problem(value) is not None:
        raise ValueError
    return value


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise TypeError
    return tuple(_name(each) for each in value)


def _number(value: object) -> float:
    if not isinstance(value, float) or not math.isfinite(value) or value <= 0:
        raise ValueError
    return value


def _word(value: object, words: tuple[str, ...]) -> str:
    if value not in words:
        raise ValueError
    return str(value)


def _path(text: str | None, paths: Paths) -> Path | None:
    if text is None:
        return None
    return paths.home / text[2:] if text.startswith("~/") else Path(text)
