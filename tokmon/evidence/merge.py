"""The evidence of two parts of one account as one account: of everything the newer."""

from dataclasses import fields, is_dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar

from tokmon.evidence.history import later
from tokmon.evidence.log_line import GENERIC_TYPE, Evidence, Stamp

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


def merged(account: T, other: T, since: float = -inf) -> T:
    """A copy of an account (or history) with what the other has from after `since`, in epoch seconds."""
    return replace(
        account,
        **{
            field.name: _merged(getattr(account, field.name), getattr(other, field.name), since)
            for field in fields(account)
            if field.init
        },
    )


def _merged(known: Any, value: Any, since: float) -> Any:  # noqa: ANN401 - fields of every type
    """One field: collections entry by entry, a value by its stamp."""
    if isinstance(value, dict):
        known = known or {}
        entries = {key: _merged(known.get(key), entry, since) for key, entry in value.items()}
        return known | {key: entry for key, entry in entries.items() if entry is not None}
    if isinstance(value, set):
        return (known or set()) | value
    if is_dataclass(value):
        return merged(known, value, since)
    stamped, before = _stamped(value), _stamped(known)
    if stamped is None or stamped[0].ts <= since:
        return known
    if before is not None and GENERIC_TYPE in {stamped[1], before[1]} and stamped[1] != before[1]:
        return known if stamped[1] == GENERIC_TYPE else value
    return value if later(*stamped, before) else known


def _stamped(value: Any) -> tuple[Stamp, Any] | None:  # noqa: ANN401
    """A stamped value with its stamp; None for what has none (a name)."""
    if isinstance(value, Evidence):
        return value.stamp, value
    if isinstance(value, Stamp | float):
        return (Stamp(value, ""), "") if isinstance(value, float) else (value, "")
    if isinstance(value, tuple):
        return value
    return (value.stamp, value.window) if hasattr(value, "window") else None
