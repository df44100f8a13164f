"""Usage limits, ends and waits in error texts: reported ones, variants of each kind, and texts that are none."""

import json
import time
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokmon import families
from tokmon.commands.read import read_line
from tokmon.evidence.model import RawResponse, Reading, Scope, Status
from tokmon.store.codec import encode
from tokmon.wire.instants import parse_rfc3339, rfc3339

AT: Final = parse_rfc3339("2026-11-29T12:00:00Z")
FIXTURES: Final = Path(__file__).parent / "fixtures"
REPORTED: Final[list[dict[str, Any]]] = json.loads((FIXTURES / "refusals.json").read_text("utf-8"))["fixtures"]
CASES: Final[dict[str, Any]] = json.loads((FIXTURES / "usage_limits.json").read_text("utf-8"))
TYPES: Final = ("newprovider", "kimi-coding", "zai", "github-copilot", "openrouter", "opencode", "minimax")


def read(text: str, code: int | None = 429, kind: str = "newprovider", **headers: str) -> Reading:
    """The reading of an error text; underscores in the names of headers are hyphens."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return families.read(RawResponse(code, names, AT, text, kind))


def until(reading: Reading) -> str | None:
    """The end of the block as text, to the second."""
    return None if reading.blocked_until is None else rfc3339(float(round(reading.blocked_until)))


def matches(actual: Any, expected: Any) -> bool:
    """True if both are equal, instants within 90 seconds."""
    if isinstance(actual, str) and isinstance(expected, str) and expected[:2] == "20":
        return abs(parse_rfc3339(actual) - parse_rfc3339(expected)) <= 90
    return bool(actual == expected)


@pytest.mark.parametrize("report", REPORTED, ids=[report["name"] for report in REPORTED])
def test_reported_refusal_is_read_as_expected(report: dict[str, Any]) -> None:
    expected = report["expected"]
    reading = read_line(encode({key: value for key, value in report.items() if key != "expected"}), AT)
    windows = {window["name"]: window for window in reading["windows"]}
    for name, value in expected.items():
        if name != "windows":
            assert matches(reading[name], value), (name, reading[name])
    for window in expected["windows"]:
        actual = windows[window["name"]]
        assert all(matches(actual[key], value) for key, value in window.items()), actual


@pytest.mark.parametrize("case", CASES["refusals"], ids=[case["text"][:60] for case in CASES["refusals"]])
def test_reached_usage_limit_is_read_in_any_wording(case: dict[str, Any]) -> None:
    reading = read(case["text"], case["http_status"], case["type"])
    assert {
        "status": reading.status,
        "scope": reading.scope,
        "windows": [window.name for window in reading.windows],
        "blocked_until": until(reading),
    } == {name: case[name] for name in ("status", "scope", "windows", "blocked_until")}
    assert all(window.utilization == 1.0 for window in reading.windows)


@pytest.mark.parametrize("case", CASES["other_errors"], ids=[case["text"][:60] for case in CASES["other_errors"]])
def test_other_error_does_not_refuse_the_account(case: dict[str, Any]) -> None:
    for kind in TYPES:
        reading = read(case["text"], case["http_status"], kind)
        refuses = reading.status in {Status.REJECTED, Status.NO_CREDIT} and reading.scope is Scope.ACCOUNT
        assert not refuses, (kind, reading)
        assert reading.windows == (), kind


@pytest.mark.parametrize("text", CASES["relayed"])
def test_limit_that_a_gateway_relays_concerns_the_model(text: str) -> None:
    for kind in (*TYPES, "gateway"):
        reading = read(text, 429, kind)
        assert reading.scope is Scope.MODEL, kind
        assert all(window.scope is Scope.MODEL and window.name.startswith("upstream:") for window in reading.windows)


SENTENCES: Final = [case["text"] for case in CASES["refusals"]]
ANSWERS: Final = (
    '{{"type":"message","content":[{{"type":"text","text":{quoted}}}]}}',
    '{{"choices":[{{"message":{{"role":"assistant","content":{quoted}}}}}]}}',
    'data: {{"choices":[{{"delta":{{"content":{quoted}}}}}]}}',
    'event: content_block_delta\ndata: {{"type":"content_block_delta","delta":{{"text":{quoted}}}}}',
    '{{"id":"resp_1","error":null,"output":[{{"text":{quoted}}}]}}',
)


@given(st.text(max_size=60), st.sampled_from(SENTENCES), st.text(max_size=60), st.sampled_from(ANSWERS))
def test_served_answer_that_quotes_a_refusal_is_never_one(before: str, sentence: str, after: str, form: str) -> None:
    text = form.format(quoted=json.dumps(before + sentence + after))
    assert read(text, 200).status is Status.ALLOWED


@given(st.sampled_from(SENTENCES), st.sampled_from(TYPES))
def test_served_answer_in_prose_refuses_nothing(sentence: str, kind: str) -> None:
    reading = read(f"The manual says: {sentence}", 200, kind)
    assert (reading.scope, reading.windows) == (None, ())


@given(
    st.lists(st.one_of(st.sampled_from(SENTENCES), st.text(max_size=80)), max_size=5),
    st.one_of(st.none(), st.integers(100, 599)),
    st.sampled_from(["zai", "github-copilot", "newprovider", "openai-codex"]),
)
def test_no_text_raises(parts: list[str], code: int | None, kind: str) -> None:
    assert read(" ".join(parts), code, kind).warnings == ()


ADVERSARIAL: Final = (
    *(" ", "a", "a ", "1", "1 ", "1d", "1d ", "one ", "a day ", '"', '"a":', '"reset":"', "{", "(", "error ", "retry "),
    *("\\", "\\u005c", "limit ", "usage limit reached for ", "resets in ", "resets in 1 day and ", "2026-", "dec 1 "),
    *("12:", "mon ", "小时", "上限", "for model a-", "5 hour ", "weekly usage limit reached. ", "try again in 1h "),
)


@pytest.mark.parametrize("piece", ADVERSARIAL)
def test_work_on_a_text_grows_with_its_length_and_no_faster(piece: str) -> None:
    def steps(length: int) -> float:
        text = (piece * (length // len(piece)))[:length]
        took = []
        for _ in range(3):
            begun = time.process_time()
            read(text, 429, "zai")
            took.append(time.process_time() - begun)
        return min(took)

    steps(1024)
    # A quadratic pattern takes 64 times as long on eight times the text.
    assert steps(64 * 1024) <= 24 * max(steps(8 * 1024), 0.002)
