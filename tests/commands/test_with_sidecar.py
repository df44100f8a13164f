"""From the socket of a real sidecar to the commands."""

import json

from tests.commands.logbook import tokmon
from tests.sidecar.running import capture, sidecar, usage
from tokmon import paths
from tokmon.store import state_file
from tokmon.store.codec import encode


def test_status_shows_a_stored_capture_at_once_and_after_the_sidecar_ended() -> None:
    with sidecar() as running:
        client = running.client()
        client.send(capture(1), usage(1))
        client.acknowledged(2)
        live = json.loads(tokmon("status", "--json").stdout)["providers"]
        running.stop()
    later = json.loads(tokmon("status", "--json").stdout)["providers"]
    for (provider,) in (live, later):
        assert provider["provider"] == "team-vigilio"
        assert provider["type"] == "teams-direct"
        assert [window["name"] for window in provider["windows"]] == ["5h", "7d"]
        assert [window["last_utilization"] for window in provider["windows"]] == [0.42, 0.61]
        assert {window["source"] for window in provider["windows"]} == {"piggyback"}


def test_tail_shows_a_capture_and_its_cost() -> None:
    with sidecar() as running:
        client = running.client()
        client.send(capture(1), usage(1))
        client.acknowledged(2)
    answer, bill = tokmon("tail", "--no-follow").stdout.splitlines()
    assert "team-vigilio 200 allowed 5h 42% 7d 61% resets in " in answer
    assert "team-vigilio usage claude-sonnet-4-6 12 in 9 out ~$0.25" in bill


def test_json_is_utf_8_whatever_the_encoding_of_the_terminal() -> None:
    with sidecar() as running:
        client = running.client()
        client.send_bytes(json.dumps(capture(1, provider="caffè"), ensure_ascii=False).encode() + b"\n")
        client.acknowledged(1)
        for verb in (("status",), ("tail", "--no-follow"), ("doctor",)):
            done = tokmon(*verb, "--json", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
            assert done.stderr == ""
            assert "caffè" in done.stdout


def test_the_saved_state_equals_the_one_rebuilt_from_the_log() -> None:
    codex = {
        "x-codex-plan-type": "pro",
        "x-codex-primary-used-percent": "12",
        "x-codex-primary-window-minutes": "10080",
        "x-codex-credits-has-credits": "true",
        "x-codex-credits-balance": "12.5",
    }
    refused = {
        "anthropic-ratelimit-unified-status": "rejected",
        "anthropic-ratelimit-unified-7d_opus-status": "rejected",
        "anthropic-ratelimit-unified-7d_opus-reset": "1795687200",
    }
    with sidecar() as running:
        client = running.client()
        client.send(
            capture(1, provider="codex", api="openai-codex-responses", model="gpt-5", headers=codex, key_shape="other"),
            capture(2, ts="2026-11-22T06:00:00.2504Z"),
            capture(3, model="claude-opus-4-6", http_status=429, headers=refused, ts="2026-11-22T06:00:02Z"),
        )
        client.acknowledged(3)
        running.stop()
    locations = paths.find()
    saved = state_file.load(locations).snapshot
    locations.snapshot.unlink()
    assert encode(state_file.current(locations).snapshot.to_json()) == encode(saved.to_json())
    codex_account, seat = saved.accounts["codex"], saved.accounts["team-vigilio"]
    assert codex_account.plan is not None
    assert codex_account.plan[1] == "pro"
    assert codex_account.credits is not None
    assert codex_account.credits[1].balance == "12.5"
    assert seat.last is not None
    assert (seat.last.status, seat.models["claude-opus-4-6"]["piggyback"].status) == ("allowed", "rejected")
