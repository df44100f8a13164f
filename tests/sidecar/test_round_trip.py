"""Every capture goes over the socket into the log, and reads there as it does by itself; live and replayed alike."""

import json
from typing import Any

import pytest

from tests.captures import FIXTURES, differences, expected_of, response_of, text_of
from tokmon import families
from tokmon.commands.read import read_line
from tokmon.evidence import snapshot
from tokmon.evidence.snapshot import Snapshot
from tokmon.sidecar.dedup import RecentIds
from tokmon.sidecar.group_commit import Pending
from tokmon.sidecar.ingest import Ingest
from tokmon.store.codec import encode, parse
from tokmon.wire.instants import parse_rfc3339

KINDS = {"groq": "groq", "together": "together", "google_gemini": "gemini", "github_copilot": "github-copilot"}


def event(number: int, fixture: dict[str, Any]) -> dict[str, Any]:
    """The capture as the extension would send it (of a stream, the frame)."""
    seen = response_of(fixture)
    return {
        "kind": "capture",
        "id": f"capture-{number:08}",
        "ts": fixture["captured_at"],
        "provider": fixture["name"],
        "api": KINDS.get(fixture["provider_kind"], fixture["provider_kind"]),
        **({} if seen.http_status is None else {"http_status": seen.http_status}),
        **({} if text_of(fixture) is None else {"error": text_of(fixture)}),
        **({} if seen.frame is None else {"frame": seen.frame}),
        "headers": {name: value for name, value in seen.headers.items() if families.allowed(name)},
    }


def taken() -> tuple[list[dict[str, Any]], Snapshot]:
    """The lines of all captures, and the snapshot that was made while they came."""
    pending = {"capture": Pending(), "usage": Pending()}
    ingest = Ingest({}, RecentIds(), pending)
    refused: list[str] = []
    data = b"".join(json.dumps(event(number, each)).encode() + b"\n" for number, each in enumerate(FIXTURES))
    ingest.add_lines(data, lambda place, _line, error: refused.append(f"{place}: {error.field}: {error}"))
    assert refused == []
    live = Snapshot()
    for seen in ingest.drain_evidence():
        live.add(seen)
    lines = b"".join(pending["capture"].blocks).splitlines()
    return [parse(line) or {} for line in lines], live


def test_every_capture_is_in_the_log_with_its_reading_and_reads_the_same_again() -> None:
    lines, _ = taken()
    for fixture, line in zip(FIXTURES, lines, strict=True):
        expected = expected_of(fixture)
        told = {"windows": [], **line}
        assert differences(told, expected) == {}, fixture["name"]
        again = json.loads(encode(read_line(encode(line), 0.0)))
        assert differences(again, expected) == {}, fixture["name"]
        assert again["windows"] == [
            {**window, **({"expired": True} if "expired" in found else {})}
            for window, found in zip(told["windows"], again["windows"], strict=True)
        ]


def test_the_snapshot_is_the_same_from_what_came_and_from_what_was_written() -> None:
    lines, live = taken()
    assert encode(snapshot.fold(Snapshot(), lines).to_json()) == encode(live.to_json())


def test_the_older_fields_mean_what_they_meant() -> None:
    lines, _ = taken()
    for fixture, line in zip(FIXTURES, lines, strict=True):
        windows = {window["name"]: window for window in fixture["expected"]["windows"]}
        for name in ("5h", "7d"):
            used = windows.get(name, {}).get("utilization")
            assert line[f"utilization_{name}"] == (None if used is None else pytest.approx(used)), fixture["name"]
        assert {"ts", "source", "provider", "type", "status", "reset_in_seconds"} <= set(line)


def lines_of(*events: dict[str, Any]) -> list[dict[str, Any]]:
    """What one reader writes of these events."""
    pending = {"capture": Pending(), "usage": Pending()}
    ingest = Ingest({}, RecentIds(), pending)
    for each in events:
        ingest.add_lines(json.dumps(each).encode() + b"\n", lambda _place, _line, error: pytest.fail(str(error)))
    return [parse(line) or {} for found in pending.values() for line in b"".join(found.blocks).splitlines()]


@pytest.mark.parametrize(
    "fields",
    [
        {"headers": {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "7.66s"}, "http_status": 429},
        {"headers": {"retry-after": "30"}, "http_status": 429},
        {"headers": {"x-codex-primary-used-percent": "5", "x-codex-primary-reset-after-seconds": "60"}},
        {"kind": "usage", "error": "You have hit your ChatGPT usage limit (pro plan). Try again in ~10 min."},
    ],
)
def test_what_is_counted_from_the_response_on_is_counted_anew_for_each(fields: dict[str, Any]) -> None:
    sent = [
        {"kind": "capture", "id": f"relative-{second}", "ts": f"2026-11-22T07:00:{second}Z", "provider": "a", **fields}
        for second in (10, 11, 25)
    ]
    ends = [
        parse_rfc3339(line.get("blocked_until") or line["windows"][0]["resets_at"]) - parse_rfc3339(line["ts"])
        for line in lines_of(*sent)
    ]
    assert len(ends) == len(sent)
    assert ends == pytest.approx([ends[0]] * len(sent))


def test_of_an_error_the_usage_line_says_everything_since_the_capture_has_no_text() -> None:
    text = "429: [1308][Usage limit reached for 5 hour. Your limit will reset at 2026-11-22 20:00:00]"
    (line,) = lines_of(
        {"kind": "usage", "id": "usage-00000001", "ts": "2026-11-22T07:00:00Z", "provider": "glm", "error": text}
    )
    assert (line["status"], line["blocked_until"]) == ("rejected", "2026-11-22T12:00:00Z")
    assert line["windows"] == [
        {"name": "5h", "utilization": 1.0, "resets_at": "2026-11-22T12:00:00Z", "status": "rejected"}
    ]
    assert snapshot.fold(Snapshot(), [line]).accounts["glm"].windows["5h"].window.utilization == 1.0
