"""The settings as a `config.toml` that a person can edit: every key, what it means, and its default."""

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from tokmon.pool.settings import PoolSettings
from tokmon.selection.policy import Policy

_WIDTH: Final = 100
_COMMENT: Final = 112
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")

_EXAMPLES: Final = {
    "chain": '["team-a", "team-b"]',
    "fallback": '["api-a"]',
    "emergency": '"gateway-a"',
    "check_file": '"~/.logs/checks.json"',
    "ignore": '["nadja"]',
    "alias": '["team-a"]',
}
_DEFAULTS: Final = Policy()


def configuration_text(
    policy: Policy,
    check_file: str | None,
    pool: PoolSettings,
    heading: Iterable[str],
    meanings: Mapping[str, Mapping[str, str]],
) -> str:
    """The whole file. Keys with their default value are commented out; reading the file gives the same settings.

    `meanings` are the comments of the keys by table, in the order in which they are written.
    """
    lines = [f"# {line}".rstrip() for line in heading]
    for table, keys in meanings.items():
        lines += ["", f"[{table}]"]
        for key, meaning in keys.items():
            lines += [f"# {line}" for line in textwrap.wrap(meaning, _COMMENT)]
            lines += _models(policy.models) if key == "models" else [_key(key, policy, check_file, pool)]
            lines += [""]
        lines.pop()
    return "\n".join([*lines, ""])


def _key(key: str, policy: Policy, check_file: str | None, pool: PoolSettings) -> str:
    settings: object = pool if key in PoolSettings._fields else policy
    defaults: object = PoolSettings() if key in PoolSettings._fields else _DEFAULTS
    value: object = check_file if key == "check_file" else getattr(settings, key)
    default: object = None if key == "check_file" else getattr(defaults, key)
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
    if isinstance(value, bool):
        return str(value).lower()
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
