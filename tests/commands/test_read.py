"""`tokmon read`: captures in, readings out."""

import json
import subprocess
import sys
from typing import Any

from tests.captures import FIXTURES, differences, expected_of
from tests.commands.screens import feed

Answer = dict[str, Any]


def read(*lines: bytes, arguments: tuple[str, ...] = ()) -> tuple[list[Answer], list[str], int]:
    """The readings, the lines on stderr, the exit code."""
    done = feed(b"\n".join(lines), "read", *arguments)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(answer.pop("version") == 1 for answer in answers)
    return answers, done.stderr.splitlines(), done.returncode


def one(capture: Answer) -> Answer:
    """The reading of one valid capture."""
    (answer,), errors, code = read(json.dumps(capture).encode())
    assert (errors, code) == ([], 0)
    return answer


def test_every_recorded_capture_reads_as_expected() -> None:
    lines = [json.dumps({name: part for name, part in fixture.items() if name != "expected"}) for fixture in FIXTURES]
    answers, errors, code = read(*(line.encode() for line in lines))
    assert (errors, code) == ([], 0)
    for fixture, answer in zip(FIXTURES, answers, strict=True):
        assert answer["name"] == fixture["name"]
        assert differences(answer, expected_of(fixture)) == {}, fixture["name"]
        gone = {window["name"] for window in fixture["expected"]["windows"] if window.get("expired")}
        assert gone <= {window["name"] for window in answer["windows"] if window.get("expired")}


def test_an_invalid_line_is_one_error_with_its_number_and_field_and_the_rest_is_read() -> None:
    good = b'{"http_status":200,"headers":{"x-ratelimit-remaining-requests":"0"}}'
    answers, errors, code = read(
        good,
        b"not json",
        b'["a list"]',
        b'{"headers":{"retry-after":{"deep":1}}}',
        b'{"headers":"none"}',
        b'{"http_status":"429"}',
        b'{"http_status":42}',
        b'{"captured_at":"yesterday"}',
        b'{"error_message":7}',
        b'{"event":"codex.rate_limits"}',
        b"\xff\xfe",
        b"",
        good,
    )
    assert code == 1
    assert [answer["windows"][0]["utilization"] for answer in answers] == [1.0, 1.0]
    fields = (
        *("line", "line", "headers.retry-after", "headers", "http_status"),
        *("http_status", "captured_at", "error_message", "event", "line"),
    )
    assert [error.split(": ")[:3] for error in errors] == [
        ["error", f"line {number}", f"`{field}`"] for number, field in enumerate(fields, 2)
    ]


def test_headers_have_any_case_and_texts_numbers_or_lists_as_values() -> None:
    answer = one(
        {
            "http_status": 200,
            "headers": {
                "X-RateLimit-Limit-Requests": 50,
                "X-RATELIMIT-REMAINING-REQUESTS": ["10", "10"],
                "x-ratelimit-reset-requests": None,
            },
        }
    )
    assert answer["windows"] == [
        {"name": "requests", "utilization": 0.8, "resets_at": None, "limit": 50, "remaining": 10}
    ]


def test_a_line_of_the_log_is_read_again_from_its_raw_headers() -> None:
    line = {
        "kind": "capture",
        "id": "0123456789abcdef",
        "ts": "2026-09-17T12:00:00Z",
        "provider": "groq-a",
        "http_status": 200,
        "headers": {"x-ratelimit-limit-requests": "100", "x-ratelimit-remaining-requests": "25"},
        "source": "piggyback",
        "type": "groq",
        "status": "unknown",
        "utilization_5h": None,
        "utilization_7d": None,
        "windows": [],
    }
    answer = one(line)
    assert (answer["provider"], answer["id"], answer["status"]) == ("groq-a", "0123456789abcdef", "allowed")
    assert [(window["name"], window["utilization"]) for window in answer["windows"]] == [("requests_day", 0.75)]


def test_a_quota_frame_in_a_line_of_the_log_is_read() -> None:
    frame = {"type": "codex.rate_limits", "rate_limits": {"primary": {"used_percent": 31, "window_minutes": 300}}}
    answer = one({"ts": "2026-09-17T12:00:00Z", "provider": "c", "type": "openai-codex", "headers": {}, "frame": frame})
    assert (answer["status"], answer["windows"][0]["name"], answer["windows"][0]["utilization"]) == (
        "allowed",
        "5h",
        0.31,
    )


def test_a_line_of_the_older_tool_keeps_its_reading() -> None:
    answer = one(
        {
            "ts": "2026-04-06T14:23:01Z",
            "provider": "team-vigilio",
            "type": "teams-direct",
            "status": "allowed_warning",
            "utilization_5h": 0.42,
            "utilization_7d": 0.91,
            "reset_in_seconds": 14400,
        }
    )
    assert answer["status"] == "allowed_warning"
    assert answer["windows"] == [
        {"name": "5h", "utilization": 0.42, "resets_at": "2026-04-06T18:23:01Z"},
        {"name": "7d", "utilization": 0.91, "resets_at": None},
    ]


def test_a_secret_in_a_header_is_not_printed() -> None:
    answer = one({"http_status": 200, "headers": {"x-ratelimit-limit-requests": "sk-ant-api03-abcdefghijkl"}})
    assert "abcdefghijkl" not in json.dumps(answer)
    assert answer["warnings"] == ["unparseable limit: requests = [secret]"]


def test_read_ends_when_the_reader_of_its_output_has_gone() -> None:
    line = b'{"http_status":200,"headers":{}}\n'
    with subprocess.Popen(
        [sys.executable, "-m", "tokmon", "read"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        assert reader.stderr is not None
        reader.stdout.close()
        try:
            reader.stdin.write(line * 20_000)
            reader.stdin.close()
        except BrokenPipeError:
            pass
        assert reader.stderr.read() == b""
        assert reader.wait(20) == 1


def test_an_unknown_option_is_a_usage_error() -> None:
    _, errors, code = read(arguments=("--frobnicate",))
    assert code == 2
    assert errors[0] == "error: unexpected argument `--frobnicate`"
