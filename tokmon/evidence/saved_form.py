"""The saved form of evidence, in `state.json`: what the snapshot needs of it, in a fixed order."""

from collections.abc import Mapping
from typing import Any, Final

from tokmon.evidence.log_line import LIMITED, Evidence, Stamp, evidence_in_line
from tokmon.evidence.model import replace
from tokmon.evidence.reading import overage_json, window_json
from tokmon.wire.instants import parse_rfc3339, rfc3339

_EXACT: Final = 2**53
"""Integers up to this are exact as a float."""


def evidence_json(evidence: Evidence) -> dict[str, Any]:
    """Evidence as saved in `state.json`, without what is saved with the account: plan, type and most windows.

    A limit that was reached keeps the windows that refused: newer figures of these end it.
    """
    refusing = evidence.refusing
    entry: dict[str, Any] = {
        **stamp_json(evidence.stamp),
        "status": evidence.status,
        "substatus": evidence.substatus,
        "scope": evidence.scope,
        "model": evidence.model,
        "http_status": evidence.http_status,
        "claim": evidence.claim,
        "binding_window": evidence.binding if evidence.status in LIMITED else None,
        "windows": [plain_numbers(window_json(window)) for window in refusing] or None,
        "blocked_until": None if evidence.blocked_until is None else rfc3339(evidence.blocked_until),
        "overage": None if evidence.overage is None else plain_numbers(overage_json(evidence.overage)),
    }
    return {key: value for key, value in entry.items() if value is not None}


def plain_numbers(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The entry with `1.0` as `1` and `-0.0` as `0`, so that the saved bytes do not depend on the order of lines."""
    return {key: _plain(value) if isinstance(value, float | int) else value for key, value in entry.items()}


def _plain(value: float) -> float:
    if isinstance(value, bool):
        return value
    number = float(value)
    return int(number) if number.is_integer() and abs(number) < _EXACT else number


def stamp_json(stamp: Stamp) -> dict[str, Any]:
    """The fields of a stamp."""
    return {"ts": rfc3339(stamp.ts), "id": stamp.id, "source": stamp.source}


def evidence_from_json(provider: str, entry: Mapping[str, Any] | None) -> Evidence | None:
    """The evidence in the output of `evidence_json`; KeyError, TypeError or ValueError if it is anything else."""
    if entry is None:
        return None
    stamp = stamp_from_json(entry)
    evidence = evidence_in_line({**entry, "provider": provider})
    return replace(evidence, stamp=stamp) if evidence is not None and stamp.member else evidence


def stamp_from_json(entry: Mapping[str, Any]) -> Stamp:
    """The stamp in the output of `stamp_json`; KeyError, TypeError or ValueError if it is anything else."""
    ts, name, source, member = (entry["ts"], entry["id"], entry["source"], entry.get("member", ""))
    return Stamp(parse_rfc3339(required_text(ts)), required_text(name), required_text(source), required_text(member))


def required_text(value: object) -> str:
    """The value if it is a string; TypeError if not."""
    if not isinstance(value, str):
        raise TypeError("a string is missing")
    return value
