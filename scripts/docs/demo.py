"""A made-up home for the screens of the docs: some accounts, a configuration, and what was logged of them."""

import json
from pathlib import Path
from typing import Any, Final

from tokmon.wire.instants import rfc3339

NOW: Final = 1_795_330_800.0
"""2026-11-22T07:00:00Z, a Sunday."""

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_SEATS: Final = ("team-vigilio", "team-ludo", "team-buio", "team-molto", "team-nadja")
_MODEL: Final = "claude-sonnet-4-6"

CONFIGURATION: Final = """\
[select]
chain = ["team-vigilio", "team-ludo", "team-buio", "team-molto", "team-nadja"]
fallback = ["xai-vigilio"]
emergency = "shelley-proxy"

[select.models]
xai-vigilio = "grok-4"
"""


def write_home(home: Path) -> None:
    """Write everything below `home`, which does not exist yet. No key in it is one, and no provider is reached."""
    # Without a base URL no provider can be probed.
    seat = {"api": "anthropic-messages", "apiKey": "sk-ant-oat01-example", "models": [{"id": _MODEL}]}
    providers: dict[str, Any] = {
        **dict.fromkeys(_SEATS, seat),
        "xai-vigilio": {"baseUrl": "https://api.x.ai/v1", "api": "openai-completions", "apiKey": "!pass show xai"},
        "shelley-proxy": {"baseUrl": "https://shelley.exe.dev", "api": "anthropic-messages", "apiKey": "!pass show"},
    }
    _write(home / ".pi" / "agent" / "models.json", json.dumps({"providers": providers}))
    _write(home / ".config" / "tokmon" / "config.toml", CONFIGURATION)
    logs = home / ".logs" / "token-monitor"
    _write(logs / "piggyback.jsonl", "".join(json.dumps(line) + "\n" for line in _responses()))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)


def _responses() -> list[dict[str, Any]]:
    return [
        _response("team-vigilio", 2 * _MINUTE, _window("5h", 0.20, 3 * _HOUR), _window("7d", 0.40, 5 * _DAY)),
        _response("team-ludo", 40 * _MINUTE, _window("5h", 0.20, 2 * _HOUR), _window("7d", 0.40, 12 * _HOUR)),
        _response(
            "team-buio",
            3 * _HOUR,
            _window("5h", 0.61, -1 * _HOUR),
            _window("7d", 1.0, 23 * _HOUR, status="rejected"),
            status="rejected",
            http_status=429,
            scope="account",
            blocked_until=rfc3339(NOW + 23 * _HOUR),
            claim="seven_day",
            binding_window="7d",
        ),
        _response("team-molto", 2 * _HOUR, status="no_credit", http_status=400, scope="account"),
        _response(
            "team-nadja",
            10 * _MINUTE,
            _window("5h", 0.93, 1 * _HOUR, status="allowed_warning"),
            _window("7d", 0.10, 1 * _DAY),
            status="allowed_warning",
            claim="five_hour",
            binding_window="5h",
        ),
    ]


def example_lines() -> list[dict[str, Any]]:
    """The worked examples of docs/policy.md: nobody has used these accounts for half an hour."""
    figures = (
        ("team-vigilio", 0.20, 0.40, 5 * _DAY),
        ("team-ludo", 0.20, 0.40, 12 * _HOUR),
        ("team-buio", 0.20, 0.90, 12 * _HOUR),
        ("team-molto", 0.93, 0.10, 1 * _DAY),
    )
    return [
        _response(name, 40 * _MINUTE, _window("5h", five, 4 * _HOUR), _window("7d", week, resets))
        for name, five, week, resets in figures
    ]


def _window(name: str, used: float, resets_in: float, **fields: object) -> dict[str, Any]:
    return {"name": name, "utilization": used, "resets_at": rfc3339(NOW + resets_in), **fields}


def _response(provider: str, age: float, *windows: dict[str, Any], **fields: object) -> dict[str, Any]:
    """A line of piggyback.jsonl, `age` seconds old at NOW."""
    return {
        "kind": "capture",
        "ts": rfc3339(NOW - age),
        "id": f"{provider}-{age:g}",
        "source": "piggyback",
        "provider": provider,
        "model": _MODEL,
        "type": "teams-direct",
        "http_status": 200,
        "status": "allowed",
        "windows": list(windows),
        **fields,
    }
