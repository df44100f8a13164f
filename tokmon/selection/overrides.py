"""What the environment says of the choice, and what a name may be. Pure, and standard library only (wake path).

Two kinds of variables: those that stand for a key of the configuration (`TOKMON_SELECT_…`, and the one that older
scripts know), which are validated once and cached with it; and those of one call, which are cheap to look at and must
never be remembered: a pin of yesterday is nobody's wish today.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from tokmon.errors import SettingsError
from tokmon.kept import plain

PREFIX: Final = "TOKMON_SELECT_"
THRESHOLD: Final = "BUDGET_SWITCH_THRESHOLD"
"""The older name of `TOKMON_SELECT_THRESHOLD`, which it overrides."""

ONE_SHOT: Final = {
    "pin": ("TOKMON_PIN",),
    "resumes": ("TOKMON_RESUME",),
    "default_provider": ("TOKMON_DEFAULT_PROVIDER", "VIGILIO_PROVIDER"),
    "default_model": ("TOKMON_DEFAULT_MODEL",),
}
"""Fields of a policy that only the environment sets: the first variable that says something counts."""

LONGEST: Final = 200


class Asked(NamedTuple):
    """What this call asks for: fields of a policy, and what was asked that cannot be."""

    fields: dict[str, str]
    errors: tuple[SettingsError, ...] = ()


def asked(env: Mapping[str, str]) -> Asked:
    """The pin and the defaults. One that cannot be a name is an error and is not asked."""
    fields, errors = {}, []
    for field, variables in ONE_SHOT.items():
        variable = next((name for name in variables if env.get(name, "").strip()), None)
        if variable is None:
            continue
        value = env[variable].strip()
        problem = name_problem(value)
        if problem is None:
            fields[field] = value
        else:
            errors.append(SettingsError(f"variable `{variable}` is `{shown(value)}`, {problem}", field=variable))
    return Asked(fields, tuple(errors))


def relevant(env: Mapping[str, str]) -> dict[str, str]:
    """The variables that stand for keys, as far as they say something."""
    names = sorted(name for name in env if name.startswith(PREFIX) or name == THRESHOLD)
    return {name: env[name].strip() for name in names if env[name].strip()}


def name_problem(name: str) -> str | None:
    """Why it cannot be a provider or a model: they are one line, `PROVIDER MODEL`, that the hook reads and prints."""
    if not name:
        return "an empty name"
    if any(character.isspace() for character in name):
        return "which has white space in it"
    if not name.isprintable():
        return "which has characters in it that do not print"
    if len(name) > LONGEST:
        return f"which is longer than {LONGEST} characters"
    return None if plain(name) else "which has other characters than A-Z a-z 0-9 . _ : / @ + -"


def shown(value: str) -> str:
    """A value on one line, and not all of a long one."""
    text = value if value.isprintable() else ascii(value)[1:-1]
    return text if len(text) <= 60 else f"{text[:57]}…"  # noqa: PLR2004 - fits a line beside its key
