"""The tables of configuration keys, from their one declaration in `decision/keys.py`."""

from collections.abc import Iterator

from tokmon.decision.keys import PoolTable, Select
from tokmon.decision.settings import KEYS, WANTED
from tokmon.selection.overrides import PREFIX, THRESHOLD


def keys() -> Iterator[str]:
    """A row for each key of `[select]`."""
    yield "| key | default | value | variable |"
    yield "|---|---|---|---|"
    defaults = Select()
    for key in KEYS:
        variable = f"`{PREFIX}{key.upper()}`"
        older = f"`{THRESHOLD}`, else " if key == "threshold" else ""
        yield f"| `{key}` | {_default(getattr(defaults, key))} | {WANTED['select'][key]} | {older}{variable} |"


def pool_keys() -> Iterator[str]:
    """A row for each key of `[pool]`."""
    yield "| key | default | value |"
    yield "|---|---|---|"
    defaults = PoolTable()
    for key, wanted in WANTED["pool"].items():
        yield f"| `{key}` | {_default(getattr(defaults, key))} | {wanted} |"


def _default(value: object) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{value}`" if value else "none"
