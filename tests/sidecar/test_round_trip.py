"""Every capture is stored in the log with its reading, and the log gives the same snapshot as the memory."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.bench import events as bench
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
    """The capture as the extension sends it."""
    response = response_of(fixture)
    return {
        "kind": "capture",
        "id": f"capture-{number:08}",
        "ts": fixture["captured_at"],
        "provider": fixture["name"],
        "api": KINDS.get(fixture["provider_kind"], fixture["provider_kind"]),
        **({} if response.http_status is None else {"http_status": response.http_status}),
        **({} if text_of(fixture) is None else {"error": text_of(fixture)}),
        **({} if response.frame is None else {"frame": response.frame}),
        "headers": {name: value for name, value in response.headers.items() if families.allowed(name)},
    }


def stored() -> tuple[list[dict[str, Any]], Snapshot]:
    """The log lines of all captures, and the snapshot from memory."""
    pending = {"capture": Pending(), "usage": Pending()}
    ingest = Ingest({}, RecentIds(), pending)
    refused: list[str] = []
    data = b"".join(json.dumps(event(number, fixture)).encode() + b"\n" for number, fixture in enumerate(FIXTURES))
    ingest.add_lines(data, lambda place, _line, error: refused.append(f"{place}: {error.field}: {error}"))
    assert refused == []
    live = Snapshot()
    for evidence in ingest.drain_evidence():
        live.add(evidence)
    lines = b"".join(pending["capture"].blocks).splitlines()
    return [parse(line) or {} for line in lines], live


def test_every_capture_is_stored_with_its_reading_and_reads_the_same_again() -> None:
    lines, _ = stored()
    for fixture, line in zip(FIXTURES, lines, strict=True):
        expected = expected_of(fixture)
        stored_reading = {"windows": [], **line}
        assert differences(stored_reading, expected) == {}, fixture["name"]
        again = json.loads(encode(read_line(encode(line), 0.0)))
        assert differences(again, expected) == {}, fixture["name"]
        assert again["windows"] == [
            {**window, **({"expired": True} if "expired" in read_window else {})}
            for window, read_window in zip(stored_reading["windows"], again["windows"], strict=True)
        ]


def test_snapshot_from_memory_equals_the_snapshot_from_the_log() -> None:
    lines, live = stored()
    assert encode(snapshot.fold(Snapshot(), lines).to_json()) == encode(live.to_json())


@pytest.mark.parametrize("make", [bench.turns, bench.varied])
def test_snapshot_from_memory_needs_the_newest_evidence_of_a_minute_only(make: Callable[..., Iterator[bytes]]) -> None:
    """Counters that change with every response, in any order of the responses."""
    pending = {"capture": Pending(), "usage": Pending()}
    ingest = Ingest({}, RecentIds(), pending)
    sent = [line for client in range(2) for line in make(client, 600, "m")]
    # An instant every four seconds.
    sent = [line.replace(b"T06:00:00.", b"T06:%02d:%02d." % divmod(4 * at % 3600, 60)) for at, line in enumerate(sent)]
    random.Random(22).shuffle(sent)  # noqa: S311 - repeatable
    ingest.add_lines(b"".join(sent), lambda place, _line, error: pytest.fail(f"{place}: {error}"))
    evidence = ingest.drain_evidence()
    live = Snapshot()
    for entry in evidence:
        live.add(entry)
    lines = [parse(line) or {} for log in pending.values() for line in b"".join(log.blocks).splitlines()]
    assert encode(snapshot.fold(Snapshot(), lines).to_json()) == encode(live.to_json())
    assert len(evidence) < len(lines) / 4


def test_fields_of_the_older_format_keep_their_meaning() -> None:
    lines, _ = stored()
    for fixture, line in zip(FIXTURES, lines, strict=True):
        windows = {window["name"]: window for window in fixture["expected"]["windows"]}
        for name in ("5h", "7d"):
            used = windows.get(name, {}).get("utilization")
            assert line[f"utilization_{name}"] == (None if used is None else pytest.approx(used)), fixture["name"]
        assert {"ts", "source", "provider", "type", "status", "reset_in_seconds"} <= set(line)


def lines_of(*events: dict[str, Any]) -> list[dict[str, Any]]:
    """The log lines of these events."""
    pending = {"capture": Pending(), "usage": Pending()}
    ingest = Ingest({}, RecentIds(), pending)
    for sent in events:
        ingest.add_lines(json.dumps(sent).encode() + b"\n", lambda _place, _line, error: pytest.fail(str(error)))
    return [parse(line) or {} for log in pending.values() for line in b"".join(log.blocks).splitlines()]


@pytest.mark.parametrize(
    "fields",
    [
        {"headers": {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "7.66s"}, "http_status": 429},
        {"headers": {"retry-after": "30"}, "http_status": 429},
        {"headers": {"x-codex-primary-used-percent": "5", "x-codex-primary-reset-after-seconds": "60"}},
        {"kind": "usage", "error": "You have hit your ChatGPT usage limit (pro plan). Try again in ~10 min."},
    ],
)
def test_relative_reset_is_computed_for_each_event(fields: dict[str, Any]) -> None:
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


def test_usage_line_has_the_reading_of_its_error_text() -> None:
    text = "429: [1308][Usage limit reached for 5 hour. Your limit will reset at 2026-11-22 20:00:00]"
    (line,) = lines_of(
        {"kind": "usage", "id": "usage-00000001", "ts": "2026-11-22T07:00:00Z", "provider": "glm", "error": text}
    )
    assert (line["status"], line["blocked_until"]) == ("rejected", "2026-11-22T12:00:00Z")
    assert line["windows"] == [
        {"name": "5h", "utilization": 1.0, "resets_at": "2026-11-22T12:00:00Z", "status": "rejected"}
    ]
    assert snapshot.fold(Snapshot(), [line]).accounts["glm"].windows["5h"].window.utilization == 1.0
