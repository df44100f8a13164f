"""The configuration, validated: `config.toml` and the variables that stand for its keys.

This module owns `pydantic` and `pydantic_settings`. They take longer to import than all the rest of a wake, so a wake
comes here only after the configuration changed: `policy_cache` keeps the result.

Each source is validated by itself, before one overrides another. So an error names where its value stands, an
overridden value is reported before the day it counts, and all errors are reported at once.
"""

import difflib
import json
import reprlib
import stat
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from tokmon.decision.keys import FRACTION, PoolTable, Select
from tokmon.errors import SettingsError, reason_of
from tokmon.pool.settings import PoolSettings
from tokmon.selection.overrides import PREFIX, THRESHOLD, config_vars, shown
from tokmon.selection.policy import Policy
from tokmon.wire.scrub import scrub

_LARGEST: Final = 1 << 20
_PERCENT: Final = 100


class Configuration(BaseSettings):
    """The whole of `config.toml`. `read` hands in each source by itself."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    select: Select = Select()
    pool: PoolTable = PoolTable()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the shape of the hook
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `read` hands in."""
        return (init_settings,)


TABLES: Final[Mapping[str, type[BaseModel]]] = {"select": Select, "pool": PoolTable}

KEYS: Final = tuple(Select.model_fields)
"""The keys that have a variable."""

MEANINGS: Final = {
    table: {key: str(field.title) for key, field in model.model_fields.items()} for table, model in TABLES.items()
}
"""The comment of each key by table, in the order in which a file has them; a table comes last in TOML."""

WANTED: Final = {
    table: {key: str(field.description) for key, field in model.model_fields.items()} for table, model in TABLES.items()
}
"""What each key takes, by table."""

_TYPES: Final = {key: field.annotation for key, field in Select.model_fields.items()}
_WORDS: Final = {key: get_args(kind) for key, kind in _TYPES.items() if get_origin(kind) is Literal}
_NUMBERS: Final = frozenset(key for key, kind in _TYPES.items() if kind is float)
_FRACTIONS: Final = frozenset(key for key in _NUMBERS if WANTED["select"][key] == FRACTION)
_NAMES: Final = frozenset(key for key, kind in _TYPES.items() if get_origin(kind) is list)
_SEVERAL: Final = _NAMES | {key for key, kind in _TYPES.items() if get_origin(kind) is dict}


class Read(NamedTuple):
    """The validated configuration. Where there are errors, the policy is that of the valid keys."""

    policy: Policy
    check_file: str | None
    errors: tuple[SettingsError, ...]
    pool: PoolSettings = PoolSettings()


def read(config: Path, env: Mapping[str, str]) -> Read:
    """`config.toml` and the variables; without a file, and without variables, the policy of the defaults."""
    merged: dict[str, dict[str, Any]] = {table: {} for table in TABLES}
    errors: list[SettingsError] = []
    table, problem = _file(config)
    sources = [(f"`{config}`", table), *_variables(env)]
    errors += [] if problem is None else [problem]
    for place, values in sources:
        errors += [_unknown(place, key, values[key]) for key in values if key not in TABLES]
        for name in TABLES:
            good, bad = _checked(place, name, values.get(name, {}))
            merged[name] |= good
            errors += bad
    valid = Select(**merged["select"])
    policy = Policy(**{key: _frozen(value) for key, value in valid if key != "check_file"})
    pool = PoolSettings(**{key: _frozen(value) for key, value in PoolTable(**merged["pool"])})
    return Read(policy, valid.check_file, tuple(errors), pool)


def _frozen(value: Any) -> Any:  # noqa: ANN401 - each key has a type of its own
    """A value as a policy holds it: lists and tables as tuples."""
    return tuple(value.items()) if isinstance(value, dict) else tuple(value) if isinstance(value, list) else value


def _file(config: Path) -> tuple[dict[str, Any], SettingsError | None]:
    """The tables of the file; an empty one, and the error, where there are none."""
    problem, hint = None, None
    try:
        status = config.stat()
        if not stat.S_ISREG(status.st_mode):
            problem = "is not a file"
        elif status.st_size > _LARGEST:
            problem = f"has more than {_LARGEST} bytes"
        else:
            return TomlConfigSettingsSource(Configuration, config).toml_data, None
    except (FileNotFoundError, NotADirectoryError):
        return {}, None
    except OSError as error:
        problem, hint = f"cannot be read: {reason_of(error)}", "check its owner and permissions"
    except tomllib.TOMLDecodeError as error:
        reason = scrub(str(error))
        problem = f"is not TOML: {reason[:1].lower()}{reason[1:]}"
    except (ValueError, RecursionError):
        problem = "is not TOML: it is not UTF-8, or nested too deeply"
    return {}, SettingsError(f"`{config}` {problem}", field=config.name, hint=hint)


def _variables(env: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """A source for each variable. A later one overrides an earlier one; the older name of the threshold is last."""
    variables = config_vars(env)
    for name in sorted(variables, key=lambda name: name == THRESHOLD):
        key = "threshold" if name == THRESHOLD else name.removeprefix(PREFIX).lower()
        yield f"variable `{shown(name)}`", {"select": {key: _parsed(key, variables[name])}}


def _parsed(key: str, text: str) -> object:
    """The value that a variable's text has for that key; the text itself where it cannot be parsed."""
    try:
        if key in _NUMBERS:
            return int(text) if text.isdecimal() else float(text)
        if key in _SEVERAL and text.startswith(("[", "{")):
            return cast("object", json.loads(text))
    except (ValueError, RecursionError):
        return text
    parts = [part.strip() for part in text.split(",")]
    if key == "models" and all("=" in part for part in parts):
        pairs = [part.partition("=") for part in parts]
        return {provider.strip(): model.strip() for provider, _, model in pairs}
    return parts if key in _NAMES else text


def _checked(place: str, table: str, values: object) -> tuple[dict[str, Any], list[SettingsError]]:
    """The valid keys of a table of a source, and an error for each other."""
    if not isinstance(values, dict):
        return {}, [_error(place, table, values, "and must be a table", None)]
    errors: list[SettingsError] = []
    bad = set()
    try:
        Configuration(**{table: cast("Any", values)})
    except ValidationError as error:
        details = error.errors(include_url=False)
        errors += [_validation_error(place, table, detail) for detail in details]
        bad = {detail["loc"][1] for detail in details}
    for key, name in _repeated(table, values):
        errors.append(_error(place, f"{table}.{key}", values[key], f"with `{shown(name)}` in it more than once", None))
        bad.add(key)
    return {key: value for key, value in values.items() if key not in bad}, errors


def _repeated(table: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Key and name, for each name that a list has more than once."""
    for key, field in TABLES[table].model_fields.items():
        if get_origin(field.annotation) is not list or not isinstance(values.get(key), list):
            continue
        counts = Counter(value for value in values[key] if isinstance(value, str))
        yield from ((key, name) for name, times in counts.items() if times > 1)


def _validation_error(place: str, table: str, detail: ErrorDetails) -> SettingsError:
    """A validation error in plain words."""
    key, value = str(detail["loc"][1]), detail["input"]
    if detail["type"] == "extra_forbidden":
        return _unknown(place, key, value, table)
    problem = detail["msg"] if detail["type"] == "name" else f"and must be {WANTED[table][key]}"
    inner = [part for part in detail["loc"][2:] if part != "[key]"]
    if inner and detail["type"] != "name":
        problem = "and must be a name"
    return _error(place, _dotted(table, key, *inner), value, problem, _hint(key, value, inner))


def _hint(key: str, value: object, inner: Sequence[object]) -> str | None:
    if inner:
        return None
    if key in _FRACTIONS and isinstance(value, int | float) and 1 < value <= _PERCENT:
        return f"{value:g} % is written {value / _PERCENT:g}"
    near = difflib.get_close_matches(value, _WORDS[key], 1) if key in _WORDS and isinstance(value, str) else []
    return f"did you mean `{near[0]}`?" if near else None


def _unknown(place: str, key: str, value: object, table: str | None = None) -> SettingsError:
    """The error for an unknown key, with the nearest known one and its table as the hint."""
    known = TABLES[table].model_fields if table else (*TABLES, *KEYS, *PoolTable.model_fields)
    meant = _nearest(key, known)
    if place.startswith("variable"):
        meant = meant and f"{PREFIX}{meant.upper()}"
    else:
        meant = meant or _nearest(key, (*KEYS, *PoolTable.model_fields))
        if meant and meant not in (TABLES[table].model_fields if table else TABLES):
            meant += f"` in the table `[{'select' if meant in KEYS else 'pool'}]"
    keys = TABLES[table].model_fields if table else KEYS
    hint = f"did you mean `{meant}`?" if meant else f"the keys are {', '.join(keys)}"
    return _error(place, _dotted(table, key) if table else _dotted(key), value, "unknown key", hint)


def _nearest(key: str, known: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(key.lower().replace("-", "_"), list(known), 1)), None)


def _error(place: str, key: str, value: object, problem: str, hint: str | None) -> SettingsError:
    return SettingsError(f"{place}: `{key}` is `{_value(value)}`, {problem}", field=key, hint=hint)


def _dotted(*parts: object) -> str:
    """`select.chain[1]`, `select.models.team-x`."""
    written = "".join(f"[{part}]" if isinstance(part, int) else f".{shown(str(part))}" for part in parts)
    return written.removeprefix(".")


def _value(value: object) -> str:
    """A value on one line, cut where it is long, without anything like a credential."""
    if isinstance(value, bool):
        return str(value).lower()
    try:
        text = value if isinstance(value, str) else reprlib.repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits has no text
        text = type(value).__name__
    return shown(scrub(text))
