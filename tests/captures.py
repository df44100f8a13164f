"""The captures of fixtures/headers.json, each with its source and the reading that is expected of it.

The families read them (test_families, commands/test_read), the extension sends their headers
(extension/test_contract), the log keeps them (sidecar/test_round_trip), and the docs show them (scripts/docs).
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


def response_of(fixture: dict[str, Any]) -> RawResponse:
    """The response in a fixture."""
    return RawResponse(
        http_status=fixture["http_status"],
        headers={name.lower(): value for name, value in fixture["headers"].items()},
        at=parse_rfc3339(fixture["captured_at"]),
        text=text_of(fixture),
        account_type=fixture["provider_kind"],
        frame=fixture.get("event"),
    )


def text_of(fixture: dict[str, Any]) -> str | None:
    """Its error text, from the body or as pi shows it."""
    return fixture.get("body_excerpt") or fixture.get("error_message")


def expected_of(fixture: dict[str, Any]) -> dict[str, Any]:
    """The expected reading, without the remarks."""
    return {name: value for name, value in fixture["expected"].items() if name not in {"note", "warnings"}}


def differences(reading: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """The fields of the reading that are not as expected: windows by name, figures to the precision of the fixture."""
    wrong = {
        name: reading.get(name)
        for name, value in expected.items()
        if name != "windows" and not _matches(reading.get(name), value)
    }
    windows = {window["name"]: window for window in reading["windows"]}
    if set(windows) != {window["name"] for window in expected["windows"]}:
        wrong["windows"] = sorted(windows)
    for window in expected["windows"]:
        actual = windows.get(window["name"], {})
        wrong |= {
            f"{window['name']}.{name}": actual.get(name)
            for name, value in window.items()
            if name != "expired" and not _matches(actual.get(name), value)
        }
    return wrong


def _matches(actual: Any, expected: Any) -> bool:
    if isinstance(expected, dict) and isinstance(actual, dict):
        return all(_matches(actual.get(name), value) for name, value in expected.items())
    if isinstance(expected, float) and isinstance(actual, float):
        return actual == pytest.approx(expected, rel=0.01, abs=1e-12)
    if isinstance(expected, str) and isinstance(actual, str) and expected.endswith("Z") and expected[:2] == "20":
        return abs(parse_rfc3339(actual) - parse_rfc3339(expected)) <= 1
    return bool(actual == expected)
