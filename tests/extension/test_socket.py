"""The WebSocket observer in a real Node with real WebSockets: each answer is one capture, whatever its frames."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from tests.extension.driver import EXTENSION
from tests.patience import PATIENCE_S
from tests.pi.answers import CODEX_FRAME, QUICK, Answer
from tests.pi.install import node
from tests.pi.provider import Provider

DRIVER: Final = Path(__file__).parent / "socket.mjs"
LIMIT: Final = {"type": "usage_limit_reached", "message": "no", "plan_type": "plus", "resets_in_seconds": 60}
SPARK: Final = {"allowed": False, "limit_reached": True}


def captures(
    *answers: Answer, requests: int = 1, replace: str = "", binary: bool = False, query: str = "", **more: Any
) -> list[Any]:
    """The captures of so many requests over one connection, which is opened with more headers and protocols."""
    with Provider() as provider:
        provider.websocket, provider.binary = True, binary
        provider.queue(*answers)
        scenario = {"extension": str(EXTENSION), "requests": requests, "replace": replace, **more}
        scenario["url"] = provider.origin.replace("http", "ws") + "/codex/responses" + query
        done = subprocess.run(
            [str(node()), "--no-warnings", str(DRIVER)],
            input=json.dumps(scenario),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert "secret-of-the-test" not in done.stdout
    assert "account-of-the-test" not in done.stdout
    lines: list[Any] = json.loads(done.stdout)
    return lines


def only(*frames: dict[str, Any]) -> Answer:
    """An answer of these frames, after which the connection ends."""
    return Answer(frames=frames, cut_after=len(frames))


@pytest.mark.parametrize("binary", [False, True])
def test_answers_over_one_connection_are_one_capture_each(*, binary: bool) -> None:
    refusal = Answer(status=401, error="no", headers=QUICK)
    lines = captures(Answer(frames=[CODEX_FRAME]), Answer(), refusal, requests=3, binary=binary)
    assert [(line["via"], line["provider"], line["http_status"]) for line in lines] == [
        ("stream", "team-x", 200),
        ("stream", "team-x", 200),
        ("stream", "team-x", 401),
    ]
    assert [line.get("frame") for line in lines] == [dict(CODEX_FRAME), None, None]
    assert {line["key_shape"] for line in lines} == {"other"}
    (account,) = {line["account"] for line in lines}
    assert account.startswith("chatgpt-")
    assert all(line["elapsed_ms"] >= 0 for line in lines)


@pytest.mark.parametrize("replace", ["class", "facade", "restore"])
def test_a_replaced_websocket_loses_and_doubles_no_answer(replace: str) -> None:
    lines = captures(Answer(frames=[CODEX_FRAME]), Answer(), requests=2, replace=replace)
    assert [(line["http_status"], "frame" in line) for line in lines] == [(200, True), (200, False)]


@pytest.mark.parametrize(
    ("frame", "status"),
    [
        ({"type": "error", "status": 429, "error": LIMIT}, 429),
        ({"type": "error", "status_code": 429, "error": LIMIT, "headers": {"X-Codex-Plan-Type": "plus", "n": 1}}, 429),
        ({"type": "error", "error": {**LIMIT, "status": "403"}}, 403),
        ({"type": "error", "status": "gossip", "error": LIMIT, "headers": None}, None),
        ({"type": "response.failed", "response": {"error": LIMIT}}, None),
        ({"type": "error", "code": "usage_limit_reached", "message": "no"}, None),
    ],
)
def test_an_error_frame_gives_its_status_its_error_and_the_allowed_headers(
    frame: dict[str, Any], status: int | None
) -> None:
    (line,) = captures(only(dict(CODEX_FRAME), frame))
    assert line.get("http_status") == status
    assert "usage_limit_reached" in line["error"]
    assert {*line["headers"]} <= {"x-codex-plan-type"}
    assert line["frame"] == CODEX_FRAME


@pytest.mark.parametrize(
    ("key", "connection"),
    [
        ("secret-of-the-test", {}),
        ("account-of-the-test", {}),
        ("azure~key~0123456789", {"headers": {"api-key": "azure~key~0123456789"}}),
        ("anthropic.key+0123456789", {"headers": {"X-Api-Key": "anthropic.key+0123456789"}}),
        ("browser.key.0123456789", {"protocols": ["realtime", "openai-insecure-api-key.browser.key.0123456789"]}),
        ("key-in-a-url-1234", {"query": "?api_key=key-in-a-url-1234"}),
    ],
)
def test_the_key_of_a_connection_is_removed_by_its_value(key: str, connection: dict[str, Any]) -> None:
    parts = [key, key[-9:], key[:9]]
    error = {**LIMIT, "message": f"bad key {' and '.join(parts)}, ask somebody"}
    headers = {"x-codex-plan-type": f"no {key[-9:]}"}
    frame = {"type": "error", "status": 401, "error": error, "headers": headers}
    (line,) = captures(only(frame), **connection)
    assert json.loads(line["error"])["error"]["message"] == "bad key [secret] and [secret] and [secret], ask somebody"
    assert line["headers"] == {"x-codex-plan-type": "no [secret]"}
    assert [part for part in parts if part in json.dumps(line)] == []


@pytest.mark.parametrize(
    ("frames", "outcome"),
    [((), (None, "closed")), (({"type": "response.created", "response": {}},), (200, None))],
)
def test_a_connection_that_ends_without_an_answer_is_a_failure_and_within_one_a_served_request(
    frames: Sequence[dict[str, Any]], outcome: tuple[int | None, str | None]
) -> None:
    (line,) = captures(only(*frames))
    assert (line.get("http_status"), line.get("error")) == outcome


def test_frames_of_further_limits_join_that_of_the_account() -> None:
    other = {**CODEX_FRAME, "limit_id": "codex_spark", "limit_name": "Spark", "rate_limits": SPARK, "text": "reply"}
    for frames in ((CODEX_FRAME, other), (other, CODEX_FRAME)):
        (line,) = captures(Answer(frames=frames))
        assert line["frame"] == {**CODEX_FRAME, "additional_rate_limits": {"Spark": SPARK}}
    (line,) = captures(Answer(frames=[other]))
    assert line["frame"] == {key: value for key, value in other.items() if key != "text"}


def test_a_huge_frame_is_left_out_and_the_answer_is_captured() -> None:
    (line,) = captures(Answer(frames=[{**CODEX_FRAME, "rate_limits": {"x": "y" * 40_000}}]))
    assert "frame" not in line
    assert line["http_status"] == 200
