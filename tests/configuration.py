"""Writes `config.toml` as a person would, or as nobody would."""

import math
from collections.abc import Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from tokmon import paths

WHOLE = """
[select]
chain = ["team-a", "team-b"]
fallback = ["xai-a"]
emergency = "gate"
threshold = 0.8
policy = "threshold"
model = "claude-sonnet-4-6"
session_minutes = 90
five_hour_guard = 0.7
spend_credit = "never"
check_file = "~/checks.json"

[select.models]
xai-a = "grok-4"

[pool]
share = false
ignore = ["nadja", "host-b/ludo"]
alias = ["team-a"]
"""


def write_config(text: str | bytes) -> Path:
    path = paths.find().config
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def select(**keys: Any) -> Path:
    """A file with these keys in its table."""
    return write_config("[select]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in keys.items()))


def pool(**keys: Any) -> Path:
    """A file with these keys in the table `[pool]`."""
    return write_config("[pool]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in keys.items()))


def toml(value: Any) -> str:  # noqa: PLR0911 - one a type
    """Any value that TOML has, as TOML writes it."""
    match value:
        case bool():
            return str(value).lower()
        case int():
            return hex(value) if value >= 0 else str(value)
        case float():
            return repr(value) if math.isfinite(value) else str(value)
        case str():
            return '"' + "".join(f"\\U{ord(character):08x}" for character in value) + '"'
        case datetime() | date() | time():
            return value.isoformat()
        case Mapping():
            return "{" + ", ".join(f"{toml(key)} = {toml(each)}" for key, each in value.items()) + "}"
    return "[" + ", ".join(map(toml, value)) + "]"
