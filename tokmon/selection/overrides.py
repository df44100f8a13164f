"""Overrides of the policy from environment variables, and what an account's or a model's name may be. Pure.

Two kinds of variables: `TOKMON_SELECT_…` (and one older name) stand for keys of the configuration, and are validated
and cached with it. The others concern one call, and are never remembered: yesterday's pin is nobody's wish today.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from tokmon.errors import SettingsError

PREFIX: Final = "TOKMON_SELECT_"
THRESHOLD: Final = "BUDGET_SWITCH_THRESHOLD"
"""The older name of `TOKMON_SELECT_THRESHOLD`, which it overrides."""

PER_CALL: Final = {
    "pin": ("TOKMON_PIN",),
    "resume_account": ("TOKMON_RESUME",),
    "default_provider": ("TOKMON_DEFAULT_PROVIDER", "VIGILIO_PROVIDER"),
    "default_model": ("TOKMON_DEFAULT_MODEL",),
}
"""Fields of a policy that only the environment sets, each by the first of these variables that is not empty."""

LONGEST: Final = 200
_FIRST: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/@+")
_CHARACTERS: Final = _FIRST | {"-"}


class Overrides(NamedTuple):
    """What this call overrides: fields of a policy, and an error for each variable that cannot be a name."""

    fields: dict[str, str]
    errors: tuple[SettingsError, ...] = ()


def per_call(env: Mapping[str, str]) -> Overrides:
    """The pin, the account to resume on and the defaults. A variable that cannot be a name has no effect."""
    fields, errors = {}, []
    for field, variables in PER_CALL.items():
        variable = next((name for name in variables if env.get(name, "").strip()), None)
        if variable is None:
            continue
        value = env[variable].strip()
        problem = name_problem(value)
        if problem is None:
            fields[field] = value
        else:
            errors.append(SettingsError(f"variable `{variable}` is `{shown(value)}`, {problem}", field=variable))
    return Overrides(fields, tuple(errors))


def config_vars(env: Mapping[str, str]) -> dict[str, str]:
    """The variables that stand for keys of the configuration and are not empty."""
    names = sorted(name for name in env if name.startswith(PREFIX) or name == THRESHOLD)
    return {name: env[name].strip() for name in names if env[name].strip()}


def name_problem(name: str) -> str | None:
    """Why this cannot be an account or a model, or None: the hook prints both in one line, `PROVIDER MODEL`."""
    if not name:
        return "an empty name"
    if any(character.isspace() for character in name):
        return "which has white space in it"
    if not name.isprintable():
        return "which has characters in it that do not print"
    if len(name) > LONGEST:
        return f"which is longer than {LONGEST} characters"
    if not _CHARACTERS.issuperset(name):
        return "which has other characters than A-Z a-z 0-9 . _ : / @ + -"
    return None if name[0] in _FIRST else "which begins with `-`, like an option"


def shown(value: str) -> str:
    """A value on one line, cut where it is long."""
    text = value if value.isprintable() else ascii(value)[1:-1]
    return text if len(text) <= 60 else f"{text[:57]}…"  # noqa: PLR2004 - fits a line beside its key
