"""Events as the extension sends them: a capture and a usage event a turn, five seats, figures that move."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

SEATS = ("team-vigilio", "team-ludo", "team-buio", "team-molto", "team-nadja")
MOVES_EVERY = 50
"""Turns of a seat after which its utilization is another: a busy hour of a seat has some hundreds of turns."""


def turns(client: int, count: int, run: str) -> Iterator[bytes]:
    """`count` event lines of one client, newline included; `run` keeps ids apart between runs."""
    for number in range(count):
        yield json.dumps(_event(client, number, run), separators=(",", ":")).encode() + b"\n"


def varied(client: int, count: int, run: str) -> Iterator[bytes]:
    """The same with counters that are others in every response, as API keys have them: of each client, and of all."""
    for number in range(count):
        event = _event(client, number, run)
        if isinstance(event.get("headers"), dict):
            turn = number // 2 * 8 + client
            event["headers"] = _COUNTED | {
                "anthropic-ratelimit-requests-remaining": str(4000 - turn % 4000),
                "anthropic-ratelimit-tokens-remaining": str(2_000_000 - 37 * turn % 2_000_000),
            }
        yield json.dumps(event, separators=(",", ":")).encode() + b"\n"


def many_accounts(client: int, count: int, run: str, accounts: int, models: int = 10) -> Iterator[bytes]:
    """The same of many accounts with some models each, in turn."""
    for number in range(count):
        turn = number // 2 * 8 + client
        names = {"provider": f"team-{turn % accounts}", "model": f"model-{turn // accounts % models}"}
        event = _event(client, number, run) | names | {"ts": _now()}
        yield json.dumps(event, separators=(",", ":")).encode() + b"\n"


_COUNTED = {
    "anthropic-ratelimit-requests-limit": "4000",
    "anthropic-ratelimit-requests-reset": "2026-11-22T07:00:00Z",
    "anthropic-ratelimit-tokens-limit": "2000000",
    "anthropic-ratelimit-tokens-reset": "2026-11-22T07:00:00Z",
}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _event(client: int, number: int, run: str) -> dict[str, object]:
    turn = number // 2
    first: dict[str, object] = {
        "kind": "usage" if number % 2 else "capture",
        "id": f"{run}{client:03x}-{number:09x}",
        "ts": f"2026-11-22T06:{turn // 60_000 % 60:02}:{turn // 1000 % 60:02}.{turn % 1000:03}Z",
    }
    recurring: dict[str, object] = {
        "provider": SEATS[client % len(SEATS)],
        "model": "claude-sonnet-4-6",
        "api": "anthropic-messages",
        "session": f"2026-11-22T06-10-17-123Z_{client:04x}",
        "member": "vigilio",
        "host": "build-1",
        "pi": "1.5.2",
        "mission": "issue-42",
    }
    if number % 2:
        return first | _usage(turn) | recurring | {"what": "assistant"}
    changing = {"request_id": f"req_{turn:020d}", "elapsed_ms": 800 + turn % 50}
    return first | changing | recurring | _answer(client % len(SEATS), turn)


def _usage(turn: int) -> dict[str, object]:
    return {
        "response_id": f"msg_{turn:024d}",
        "stop": "toolUse",
        "tokens": {"input": 12, "output": 934, "cache_read": 52_340, "cache_write": 1_234, "total": 54_520},
        "cost_usd": 0.0412,
        "cost_source": "estimated",
        "duration_ms": 12_345,
    }


def _answer(seat: int, turn: int) -> dict[str, object]:
    used = (turn // MOVES_EVERY + 137 * seat) % 1000
    name = "anthropic-ratelimit-unified-"
    return {
        "attribution": "wrapper",
        "via": "fetch",
        "origin": "https://api.anthropic.com",
        "key_shape": "ant-oat",
        "http_status": 200,
        "headers": {
            f"{name}status": "allowed",
            f"{name}5h-status": "allowed",
            f"{name}5h-reset": "1795334400",
            f"{name}5h-utilization": f"0.{used:03}",
            f"{name}7d-status": "allowed",
            f"{name}7d-reset": "1795687200",
            f"{name}7d-utilization": f"0.{used // 7:03}",
            f"{name}representative-claim": "five_hour",
            f"{name}reset": "1795334400",
            f"{name}overage-status": "rejected",
        },
    }
