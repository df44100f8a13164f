"""The captures of fixtures/headers.json, each with the reading expected of it and where it comes from.

One set with four uses: the families read them (test_families, commands/test_read), the extension sends their
headers (extension/test_contract), the log keeps them (sidecar/test_round_trip), the docs show them (scripts/docs.py).
"""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from tokmon.evidence.model import RawResponse
from tokmon.wire.instants import parse_rfc3339

FIXTURES: Final[list[dict[str, Any]]] = json.loads(
    (Path(__file__).parent / "fixtures" / "headers.json").read_text("utf-8")
)["fixtures"]

every_capture: Final = pytest.mark.parametrize("fixture", FIXTURES, ids=[fixture["name"] for fixture in FIXTURES])


def evidence(fixture: dict[str, Any]) -> RawResponse:
    """What there is to read of it."""
    return RawResponse(
        http_status=fixture["http_status"],
        headers={name.lower(): value for name, value in fixture["headers"].items()},
        at=parse_rfc3339(fixture["captured_at"]),
        text=text_of(fixture),
        account_type=fixture["provider_kind"],
        frame=fixture.get("event"),
    )


def text_of(fixture: dict[str, Any]) -> str | None:
    """Its error text, from the body or as pi says it."""
    return fixture.get("body_excerpt") or fixture.get("error_message")


def expected_of(fixture: dict[str, Any]) -> dict[str, Any]:
    """What is expected of its reading, without the remarks."""
    return {name: value for name, value in fixture["expected"].items() if name not in {"note", "warnings"}}


def differences(found: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """What of the expected is not found so: windows by name, figures to the accuracy in which they are given."""
    wrong = {
        name: found.get(name)
        for name, value in expected.items()
        if name != "windows" and not _like(found.get(name), value)
    }
    windows = {window["name"]: window for window in found["windows"]}
    if set(windows) != {window["name"] for window in expected["windows"]}:
        wrong["windows"] = sorted(windows)
    for window in expected["windows"]:
        told = windows.get(window["name"], {})
        wrong |= {
            f"{window['name']}.{name}": told.get(name)
            for name, value in window.items()
            if name != "expired" and not _like(told.get(name), value)
        }
    return wrong


def _like(found: Any, value: Any) -> bool:
    if isinstance(value, dict) and isinstance(found, dict):
        return all(_like(found.get(name), part) for name, part in value.items())
    if isinstance(value, float) and isinstance(found, float):
        return found == pytest.approx(value, rel=0.01, abs=1e-12)
    if isinstance(value, str) and isinstance(found, str) and value.endswith("Z") and value[:2] == "20":
        return abs(parse_rfc3339(found) - parse_rfc3339(value)) <= 1
    return bool(found == value)
