"""What pi can be driven to do besides answering: compaction, branches, tools that bill, warm caches, retries."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from tests.pi.answers import DEFAULT_TEXT, Answer, Tokens, ToolCall
from tests.pi.install import VERSIONS, Pi
from tests.pi.provider import Provider
from tests.pi.runner import Home
from tests.pi.seats import WORTH_WARMING, Seat

pytestmark = [pytest.mark.pi, pytest.mark.long]

HERE: Final = Path(__file__).parent
LONG: Final = "hi " * 30_000
"""Two of these are more than what compaction keeps."""


def home_of(pi: Pi, provider: Provider, tmp_path: Path, seat: Seat | None = None, **settings: object) -> Home:
    return Home.make(
        pi,
        tmp_path / "pi",
        provider,
        [seat or Seat("team-a")],
        extensions=[HERE / "recorder.ts", HERE / "drive.ts"],
        settings=settings,
        env={"PI_TEST_EVENTS": str(tmp_path / "events.jsonl")},
    )


def events(tmp_path: Path, name: str) -> list[dict[str, Any]]:
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    return [each for each in map(json.loads, lines) if each["event"] == name]


def entries(tmp_path: Path, kind: str) -> list[dict[str, Any]]:
    (end,) = events(tmp_path, "session_shutdown")
    return [each for each in end["entries"] if each["type"] == kind]


def test_a_session_starts_and_ends_with_its_events(pi: Pi, provider: Provider, tmp_path: Path) -> None:
    assert home_of(pi, provider, tmp_path).run().exit_code == 0
    names = [json.loads(line)["event"] for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert (names[0], names[-1]) == ("session_start", "session_shutdown")
    wanted = ["before_agent_start", "before_provider_request", "message_end", "turn_end", "agent_end"]
    last = [max(index for index, name in enumerate(names) if name == each) for each in wanted]
    assert last == sorted(last)
    assert ("after_provider_response" in names) == (pi.version != "0.66.1")
    assert ("agent_settled" in names) == (pi.number >= (0, 80))


def test_compaction_asks_the_provider_and_says_its_usage_from_0_87_on(
    pi: Pi, provider: Provider, tmp_path: Path
) -> None:
    with home_of(pi, provider, tmp_path).rpc() as rpc:
        rpc.prompt(LONG)
        rpc.prompt(LONG)
        assert rpc.send("compact")["data"]["summary"].startswith(DEFAULT_TEXT)
        assert rpc.close() == 0
    assert len(provider.served) == 3
    (compacted,) = entries(tmp_path, "compaction")
    assert bool(compacted.get("usage")) == pi.at_least_087
    # No `message_end`, no `after_provider_response`: only the entry tells.
    assert len([each for each in events(tmp_path, "message_end") if each["message"]["role"] == "assistant"]) == 2


def test_leaving_a_branch_asks_the_provider_and_says_its_usage_from_0_87_on(
    pi: Pi, provider: Provider, tmp_path: Path
) -> None:
    with home_of(pi, provider, tmp_path).rpc() as rpc:
        rpc.prompt("first")
        rpc.prompt("second")
        rpc.drive("/branch")
        assert rpc.close() == 0
    assert len(provider.served) == 3
    (summary,) = entries(tmp_path, "branch_summary")
    assert bool(summary.get("usage")) == pi.at_least_087


def test_a_tool_may_bill_from_0_87_on(pi: Pi, provider: Provider, tmp_path: Path) -> None:
    provider.queue(Answer(tool=ToolCall("measured", {})), Answer())
    assert home_of(pi, provider, tmp_path).run().exit_code == 0
    results = [each for each in events(tmp_path, "message_end") if each["message"]["role"] == "toolResult"]
    (usage,) = [each["message"].get("usage") for each in results]
    assert (usage or {}).get("totalTokens") == (120 if pi.at_least_087 else None)


@pytest.mark.parametrize("version", [version for version in VERSIONS if version in {"0.87.1", "1.5.2", "1.6.0"}])
def test_an_idle_session_warms_its_cache(new_pi: Pi, provider: Provider, tmp_path: Path) -> None:
    seat = Seat("team-a", price=WORTH_WARMING, cache_seconds=11)
    provider.queue(Answer(tokens=Tokens(cache_write=150_000)), Answer(tokens=Tokens(3, 1, cache_read=150_000)))
    with home_of(new_pi, provider, tmp_path, seat, cacheWarming="idle").rpc() as rpc:
        rpc.prompt("hello")
        rpc.wait(lambda record: record["type"] == "entry_appended")
        assert rpc.close() == 0
    assert provider.served[1].body["max_tokens"] == 1
    (entry,) = entries(tmp_path, "usage")
    assert (entry["kind"], entry["usage"]["cacheRead"]) == ("cache_warm", 150_000)
