"""The whole way: a capture over the socket of a real sidecar, and what the commands then say."""

import json

from tests.commands.logbook import tokmon
from tests.sidecar.running import capture, sidecar, usage


def test_what_a_sidecar_stores_is_seen_at_once_and_after_it_has_gone() -> None:
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
        assert {window["source"] for window in provider["windows"]} == {"header"}


def test_the_tail_shows_a_capture_and_what_it_cost() -> None:
    with sidecar() as running:
        client = running.client()
        client.send(capture(1), usage(1))
        client.acknowledged(2)
    answer, bill = tokmon("tail", "--no-follow").stdout.splitlines()
    assert "team-vigilio 200 allowed 5h 42% 7d 61% resets " in answer
    assert "team-vigilio usage claude-sonnet-4-6 12 in 9 out ~$0.25" in bill


def test_json_is_utf_8_whatever_the_terminal_speaks() -> None:
    with sidecar() as running:
        client = running.client()
        client.send_bytes(json.dumps(capture(1, provider="caffè"), ensure_ascii=False).encode() + b"\n")
        client.acknowledged(1)
        for verb in (("status",), ("tail", "--no-follow"), ("doctor",)):
            done = tokmon(*verb, "--json", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
            assert done.stderr == ""
            assert "caffè" in done.stdout
