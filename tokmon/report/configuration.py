"""A policy as a `config.toml` that a person can edit: every key, what it means, and its default."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from tokmon.selection.policy import Policy

_WIDTH: Final = 100
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")

MEANING: Final = {
    "chain": (
        "Accounts (provider names of pi) in the order of preference. Put plan seats first: their quota is lost if it",
        "is not used.",
    ),
    "fallback": ("Paid or weaker accounts, used in this order when no account of the chain can be used.",),
    "emergency": ("Last resort; using it is reported as a failure.",),
    "policy": (
        'How to choose: "forecast" projects what a session would use of each account; "threshold" takes the first',
        "usable account of the chain that is below the threshold.",
    ),
    "threshold": ("Move on when this fraction of the weekly (7d) window is used: 90 % is 0.90.",),
    "five_hour_guard": (
        "Start no session on an account with this fraction of its 5h window used, if another account can be used.",
    ),
    "session_minutes": ("Expected length of a session, in minutes.",),
    "spend_credit": (
        'Paid use beyond the plan: "never", only "after-plan", or "first" (for prepaid credit that expires).',
    ),
    "check_file": (
        "File with the results of `tokmon check`, for other programs to read: a path that begins with `/` or `~/`.",
    ),
    "model": ("Default model for accounts not listed under [select.models].",),
    "models": ("Models of accounts that do not use the default model.",),
}
"""The comment of each key, in the order in which the keys are written; a table comes last in TOML."""

_EXAMPLES: Final = {
    "chain": '["team-a", "team-b"]',
    "fallback": '["api-a"]',
    "emergency": '"gateway-a"',
    "check_file": '"~/.logs/checks.json"',
}
_DEFAULTS: Final = Policy()


def configuration_text(policy: Policy, check_file: str | None, heading: Iterable[str]) -> str:
    """The whole file. Keys with their default value are commented out; reading the file gives `policy`."""
    lines = [f"# {line}".rstrip() for line in heading]
    lines += ["", "[select]"]
    for key, meaning in MEANING.items():
        lines += [f"# {line}" for line in meaning]
        lines += _models(policy.models) if key == "models" else [_key(key, policy, check_file)]
        lines += [""]
    return "\n".join(lines)


def _key(key: str, policy: Policy, check_file: str | None) -> str:
    value = check_file if key == "check_file" else getattr(policy, key)
    default = None if key == "check_file" else getattr(_DEFAULTS, key)
    if value != default:
        return f"{key} = {_toml(value)}"
    if value is None or value == ():
        return f"# none by default, for example:\n#{key} = {_EXAMPLES[key]}"
    return f"#{key} = {_toml(value)}"


def _models(models: Iterable[tuple[str, str]]) -> Iterator[str]:
    """The table of models, or an example of one."""
    written = [f"{name if _BARE.fullmatch(name) else _quoted(name)} = {_quoted(model)}" for name, model in models]
    if written:
        yield from ("[select.models]", *written)
    else:
        yield from ("# none by default, for example:", "#[select.models]", '#api-a = "grok-4"')


def _toml(value: object) -> str:
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    if isinstance(value, tuple):
        names = [_quoted(str(name)) for name in value]
        short = f"[{', '.join(names)}]"
        return short if len(short) <= _WIDTH else "[\n" + "".join(f"  {name},\n" for name in names) + "]"
    return _quoted(str(value))


def _quoted(text: str) -> str:
    """A basic string of TOML: what does not print is written by its number."""
    return '"' + "".join(map(_character, text)) + '"'


def _character(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    return character if character.isprintable() else f"\\U{ord(character):08x}"
