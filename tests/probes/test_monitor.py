"""`tokmon monitor`, as a process, against a provider on a real socket."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.commands.logbook import configure, tokmon
from tests.decision.freshness import published
from tests.pi.answers import unified
from tests.probes.loopback import SCOPE, Asked, Said, error, healthy, loopback
from tokmon import paths, store

SEAT = "sk-ant-oat01-SeatSeatSeatSeat"
PLAIN = 'plain/key"with\\marks'


def seat(origin: str, **more: Any) -> dict[str, Any]:
    return {"baseUrl": origin, "api": "anthropic-messages", "apiKey": SEAT, "models": [{"id": "m"}], **more}


def lines() -> list[dict[str, Any]]:
    path = paths.find().probe
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def test_the_report_has_a_block_for_everybody_and_an_overall_line() -> None:
    def script(asked: Asked) -> Said:
        if asked.headers.get("x-who") == "dead":
            return Said(401, error("invalid x-api-key", "authentication_error"))
        return healthy(asked)

    with loopback(script) as server:
        configure(
            team_a=seat(server.origin),
            dead=seat(server.origin, headers={"x-who": "dead"}),
            secret=seat(server.origin, apiKey="!printf key"),
            bedrock={"baseUrl": "https://x", "api": "bedrock-converse-stream", "apiKey": "k"},
        )
        done = tokmon("monitor", COLUMNS="100")
    assert done.returncode == 0, done.stderr
    assert "Overall: 1 CRITICAL, 1 OK, 2 UNKNOWN" in done.stdout
    assert "asked /api/oauth/usage: HTTP 200" in done.stdout
    assert "not asked: no credential here: its key is a command" in done.stdout
    assert "there is no way to ask an account of this type (bedrock)" in done.stdout
    assert " 62%" in done.stdout
    assert {line["provider"] for line in lines()} == {"team-a", "dead"}


def test_each_answer_is_a_line_that_every_other_command_reads() -> None:
    with loopback(healthy) as server:
        configure(team_a=seat(server.origin))
        tokmon("monitor")
    (line,) = lines()
    assert line["source"] == "probe"
    assert line["http_status"] == 200
    assert {"ts", "id", "provider", "type", "status", "utilization_5h", "utilization_7d", "reset_in_seconds"} <= {*line}
    assert paths.find().probe.stat().st_mode & 0o777 == 0o600
    (status,) = json.loads(tokmon("status", "--json").stdout)["providers"]
    assert (status["severity"], status["windows"][0]["source"]) == ("OK", "probe")
    read = subprocess.run(
        [sys.executable, "-m", "tokmon", "read"], input=json.dumps(line), capture_output=True, text=True, check=True
    )
    again = json.loads(read.stdout)
    assert (again["status"], again["windows"]) == (line["status"], line["windows"])


def test_monitor_decides_for_the_next_wake_on_what_it_learned() -> None:
    with loopback(healthy) as server:
        configure(team_a=seat(server.origin))
        found = paths.find()
        tokmon("monitor")
        line = json.loads(found.decisions.read_bytes().splitlines()[-1])
        assert (line["source"], line["provider"]) == ("monitor", "team-a")
        assert published().choice == ("team-a", "m")
        assert published().expires > published().clock.uptime


def test_json_has_the_answer_beside_what_is_known() -> None:
    with loopback(healthy) as server:
        configure(team_a=seat(server.origin), other=seat(server.origin))
        done = tokmon("monitor", "--json", "--provider", "team-a")
    found = json.loads(done.stdout)
    (provider,) = found["providers"]
    assert found["overall"]["OK"] == 1
    assert provider["probe"]["asked"]
    assert provider["probe"]["line"]["utilization_7d"] == 0.615


def test_without_a_log_the_report_is_the_same_and_nothing_is_kept() -> None:
    with loopback(healthy) as server:
        configure(team_a=seat(server.origin))
        done = tokmon("monitor", "--no-log")
    assert "Overall: 1 OK" in done.stdout
    assert not paths.find().probe.exists()


def test_who_was_asked_lately_is_shown_from_what_is_known_with_its_age() -> None:
    with loopback(healthy) as server:
        configure(team_a=seat(server.origin))
        tokmon("monitor")
        done = tokmon("monitor")
        assert len(server.asked) == 1
        assert "not asked: it was asked" in done.stdout
        assert " 62%" in done.stdout
        tokmon("monitor", "--force")
        assert len(server.asked) == 2
    assert len(lines()) == 2


def test_a_window_that_has_passed_its_reset_is_no_reason_to_ask() -> None:
    over = unified(0.4, 0.5, now=int(time.time()) - 300_000)
    with loopback(
        lambda asked: Said(404, {}) if asked.method == "GET" else Said(body={"a": 1}, headers=over)
    ) as server:
        configure(team_a=seat(server.origin))
        tokmon("monitor")
        done = tokmon("monitor")
        assert len(server.asked) == 2
    assert "expired" in done.stdout


def test_an_endpoint_that_is_asked_too_often_is_left_alone_for_an_hour() -> None:
    refusal = Said(429, error("Rate limited", "rate_limit_error"), {"retry-after": "30"})
    with loopback(lambda _: refusal) as server:
        configure(team_a=seat(server.origin))
        tokmon("monitor")
    known = json.loads((paths.find().state / "probes.json").read_text("utf-8"))["providers"]["team-a"]
    assert known["refused"] == 1
    assert known["next_at"] - known["asked_at"] >= 3600


def test_an_endpoint_that_is_closed_to_a_credential_is_not_tried_again_with_it() -> None:
    def script(asked: Asked) -> Said:
        return Said(403, SCOPE) if asked.path == "/api/oauth/usage" else healthy(asked)

    def again() -> None:
        """The twenty minutes are over."""
        path = paths.find().state / "probes.json"
        known = json.loads(path.read_text("utf-8"))
        known["providers"]["team-a"]["next_at"] = 0
        path.write_text(json.dumps(known), encoding="utf-8")

    with loopback(script) as server:
        configure(team_a=seat(server.origin))
        tokmon("monitor")
        again()
        tokmon("monitor")
        assert server.paths() == ["GET /api/oauth/usage", "POST /v1/messages", "POST /v1/messages"]
        again()
        configure(team_a=seat(server.origin, apiKey=f"{SEAT}2"))
        tokmon("monitor")
        assert server.paths()[3:] == ["GET /api/oauth/usage", "POST /v1/messages"]
    assert SEAT not in (paths.find().state / "probes.json").read_text("utf-8")


def test_of_two_that_run_at_once_one_asks() -> None:
    with loopback(healthy) as server:
        configure(team_a=seat(server.origin), team_b=seat(server.origin))
        running = [
            subprocess.Popen([sys.executable, "-m", "tokmon", "monitor"], stdout=subprocess.DEVNULL) for _ in range(4)
        ]
        assert [each.wait(30) for each in running] == [0] * 4
        assert len(server.asked) == 2
    assert sorted(line["provider"] for line in lines()) == ["team-a", "team-b"]


def test_no_secret_is_written_or_printed_even_if_it_is_thrown_back_at_us(tmp_path: Path) -> None:
    def script(asked: Asked) -> Said:
        sent = asked.headers.get("authorization") or asked.headers.get("x-api-key", "")
        token = sent.removeprefix("Bearer ")
        headers = {"anthropic-organization-id": token, "request-id": token, "anthropic-ratelimit-unified-status": token}
        if asked.path == "/api/oauth/usage":
            return Said(403, {**SCOPE, "you": asked.headers}, headers)
        return Said(400, {"error": {"message": f"bad {token} {json.dumps(token)}"}, "you": asked.headers}, headers)

    with loopback(script) as server:
        configure(
            team_a=seat(server.origin, headers={"x-secret": "second-secret-1"}),
            odd=seat(server.origin, apiKey=PLAIN),
        )
        models = paths.find().models
        printed = [tokmon("monitor", "--force", *form) for form in ([], ["--json"])]
        assert len(server.asked) >= 4
    models.unlink()
    seen = [done.stdout + done.stderr for done in printed]
    seen += [path.read_text("utf-8", "replace") for path in tmp_path.rglob("*") if path.is_file()]
    for text in seen:
        for secret in (SEAT, "SeatSeat", "second-secret", PLAIN, "with\\\\marks", "with\\marks"):
            assert secret not in text


def test_who_hangs_does_not_hold_up_the_report() -> None:
    def script(asked: Asked) -> Said:
        return Said(hold=True) if asked.headers.get("x-who") == "hang" else healthy(asked)

    with loopback(script) as server:
        configure(hang=seat(server.origin, headers={"x-who": "hang"}), good=seat(server.origin))
        begun = time.monotonic()
        done = tokmon("monitor", "--deadline", "4")
        assert time.monotonic() - begun < 12
    assert {line["provider"]: line["status"] for line in lines()} == {"good": "allowed", "hang": "network_error"}
    assert "Overall: 1 WARN, 1 OK" in done.stdout


def test_a_provider_that_nobody_knows_is_a_usage_error() -> None:
    configure(team_a=seat("http://127.0.0.1:9"))
    done = tokmon("monitor", "--provider", "nobody")
    assert done.returncode == 2
    assert "it names: team-a" in done.stderr


def test_where_turns_cannot_be_kept_nobody_is_asked_and_what_is_known_is_shown() -> None:
    with loopback(healthy) as server:
        configure(team_a=seat(server.origin))
        (paths.find().state / "probes.json").mkdir(parents=True, mode=0o700)
        paths.find().state.chmod(0o700)
        done = tokmon("monitor")
        assert server.asked == []
    assert done.returncode == 0
    assert "nobody was asked" in done.stderr


def test_answers_that_cannot_be_kept_are_shown_and_it_fails() -> None:
    with loopback(healthy) as server:
        configure(team_a=seat(server.origin))
        paths.find().probe.mkdir(parents=True, mode=0o700)
        done = tokmon("monitor")
    assert done.returncode == 1
    assert "were not kept" in done.stderr
    assert "Overall: 1 OK" in done.stdout


def test_the_log_of_probes_is_whole_lines_under_its_lock() -> None:
    with loopback(healthy) as server:
        configure(team_a=seat(server.origin))
        paths.find().logs.mkdir(parents=True, mode=0o700)
        paths.find().probe.write_bytes(b'{"torn":')
        tokmon("monitor")
    torn, whole = paths.find().probe.read_bytes().splitlines()
    assert torn == b'{"torn":'
    assert store.parse(whole) is not None
