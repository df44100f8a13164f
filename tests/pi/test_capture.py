"""A real pi with the real extension: every response is captured once, and pi behaves as if nobody watched."""

import json
import re
import threading
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

import pytest

from tests.extension.listener import Event, Listener
from tests.pi import answers
from tests.pi.answers import QUICK, Answer
from tests.pi.install import VERSIONS, Pi
from tests.pi.provider import Provider, Served
from tests.pi.runner import Home
from tests.pi.seats import APIS, CODEX, Seat
from tokmon.pi import schema_ts
from tokmon.wire import messages

pytestmark = pytest.mark.pi

OLD: Final = ("0.66.1", "0.73.1")
STATUSES: Final = (200, 400, 401, 403, 429, 500, 529)


def render(pi: Pi, tmp_path: Path) -> Path:
    folder = tmp_path / "rendered"
    folder.mkdir()
    source = (schema_ts.folder() / "tokmon.ts").read_text()
    target = folder / "tokmon.ts"
    target.write_text(schema_ts.render(schema_ts.version(pi.version), source))
    return target


def with_extension(pi: Pi, tmp_path: Path, provider: Provider, seats: list[Seat], *more: Path, **env: str) -> Home:
    """Make a home whose pi loads the extension and finds the socket `tmp_path/sock`."""
    home = Home.make(pi, tmp_path / "pi", provider, seats, extensions=[render(pi, tmp_path), *more])
    home.env |= {"TOKMON_SOCKET": str(tmp_path / "sock"), "TOKMON_NO_SPAWN": "1", "TOKMON_MEMBER": "tester", **env}
    return home


def told(served: Served) -> tuple[str, int, str]:
    return (served.seat, served.status, served.request_id)


def captured(event: Event) -> tuple[str, int, str]:
    return (event["provider"], event["http_status"], event.get("request_id", ""))


@pytest.mark.parametrize("api", APIS)
def test_every_response_of_every_status_is_captured_once_and_is_known_by_its_provider(
    pi: Pi, provider: Provider, tmp_path: Path, api: str
) -> None:
    seat = Seat("team-a", api)
    # Codex in the older versions sends every failure four times over 7 s: one of them will do.
    statuses = (200, 429) if api == CODEX and pi.version in OLD else STATUSES
    with Listener(tmp_path / "sock") as listener:
        home = with_extension(pi, tmp_path, provider, [seat])
        with home.rpc() as rpc:
            for status in statuses:
                provider.script = lambda _, status=status: Answer(  # type: ignore[misc]
                    status=status, error="" if status == 200 else f"no {status}", headers=QUICK
                )
                rpc.prompt(f"answer {status}")
            assert rpc.close() == 0
        captures = listener.of("capture")
    assert [captured(each) for each in captures] == [told(each) for each in provider.served]
    assert {each["attribution"] for each in captures} == {"wrapper"}
    assert {each["api"] for each in captures} == {api}
    assert {each["via"] for each in captures} == {"fetch"}
    assert {each["model"] for each in captures} == {seat.model}
    assert {each["pi"] for each in captures} == {pi.version}
    assert {each["member"] for each in captures} == {"tester"}
    assert seat.key.encode() not in listener.raw
    assert all(messages.decode(line)[1] for line in listener.raw.splitlines(keepends=True))


@pytest.mark.parametrize("status", [200, 429])
def test_output_and_exit_code_are_those_of_a_pi_without_the_extension(
    pi: Pi, provider: Provider, tmp_path: Path, status: int
) -> None:
    provider.queue(Answer(status=status, error="" if status == 200 else answers.ACCOUNT_LIMIT, headers=QUICK))
    plain = Home.make(pi, tmp_path / "plain", provider, [Seat("team-a")]).run()
    with Listener(tmp_path / "sock"):
        watched = with_extension(pi, tmp_path, provider, [Seat("team-a")]).run()
    assert (watched.exit_code, watched.stdout) == (plain.exit_code, plain.stdout)
    assert re.sub(r"req_\w+", "", watched.stderr) == re.sub(r"req_\w+", "", plain.stderr)


def test_the_list_of_models_is_that_of_a_pi_without_the_extension(pi: Pi, provider: Provider, tmp_path: Path) -> None:
    seats = [Seat("team-a"), Seat("team-b", plan=True)]
    plain = Home.make(pi, tmp_path / "plain", provider, seats).run("x", None, "--list-models")
    watched = with_extension(pi, tmp_path, provider, seats).run("x", None, "--list-models")
    assert (watched.exit_code, watched.stdout, watched.stderr) == (plain.exit_code, plain.stdout, plain.stderr)


def test_a_key_command_runs_no_more_often_than_without_the_extension(
    pi: Pi, provider: Provider, tmp_path: Path
) -> None:
    seats = [Seat(f"team-{letter}") for letter in "abcde"]
    counts = {}
    with Listener(tmp_path / "sock"):
        for name, home in {
            "plain": Home.make(pi, tmp_path / "plain", provider, seats),
            "watched": with_extension(pi, tmp_path, provider, seats),
        }.items():
            log = tmp_path / f"{name}.keys"
            models = json.loads((home.agent / "models.json").read_text())
            for seat in seats:
                models["providers"][seat.name]["apiKey"] = f'!echo {seat.name} >>{log}; printf %s "${seat.variable}"'
            home.write("models.json", models)
            assert home.run().exit_code == 0
            counts[name] = Counter(log.read_text().split())
    assert counts["watched"] == counts["plain"]


def test_five_seats_on_one_base_url_are_told_apart(pi: Pi, provider: Provider, tmp_path: Path) -> None:
    seats = [Seat(f"team-{letter}", plan=letter in "ab") for letter in "abcde"]
    with Listener(tmp_path / "sock") as listener:
        with with_extension(pi, tmp_path, provider, seats).rpc() as rpc:
            for seat in (*seats, *reversed(seats)):
                rpc.send("set_model", provider=seat.name, modelId=seat.model)
                rpc.prompt("hello")
            assert rpc.close() == 0
        captures = listener.of("capture")
    assert [captured(each) for each in captures] == [told(each) for each in provider.served]
    assert {each["attribution"] for each in captures} == {"wrapper"}
    shapes = {each["provider"]: each["key_shape"] for each in captures}
    assert shapes == {seat.name: "ant-oat" if seat.plan else "other" for seat in seats}


def test_two_seats_at_once_in_one_process_are_told_apart(pi: Pi, provider: Provider, tmp_path: Path) -> None:
    together = threading.Event()
    provider.script = lambda served: Answer(hold=together, text=served.seat)
    seats = [Seat("team-a"), Seat("team-b")]
    asker = Path(__file__).parent / "two_seats.ts"
    env = {"PI_TEST_ANSWERS": str(tmp_path / "answers.json")}
    with Listener(tmp_path / "sock") as listener:
        with with_extension(pi, tmp_path, provider, seats, asker, **env).rpc() as rpc:
            rpc.post("prompt", message="/two-seats team-a/loopback-1 team-b/loopback-1")
            provider.wait_for(lambda served: {each.seat for each in served} == {"team-a", "team-b"})
            together.set()
            rpc.done()
            assert rpc.close() == 0
        captures = listener.of("capture")
    assert {captured(each) for each in captures} == {told(each) for each in provider.served}
    assert len(captures) == 2
    assert {each["attribution"] for each in captures} == {"wrapper"}


def test_a_refused_connection_is_captured_without_a_status(pi: Pi, provider: Provider, tmp_path: Path) -> None:
    with Listener(tmp_path / "sock") as listener:
        home = with_extension(pi, tmp_path, provider, [Seat("team-a")])
        provider.stop()
        assert home.run(timeout=90).exit_code == 1
        captures = listener.of("capture")
    assert captures
    assert {(each["provider"], each["attribution"], each.get("http_status")) for each in captures} == {
        ("team-a", "wrapper", None)
    }
    assert {each["error"] for each in captures} == {"ECONNREFUSED"}


@pytest.mark.parametrize("way", ["absent", "hung", "silent", "not a socket"])
def test_pi_is_none_the_wiser_when_nobody_takes_the_captures(
    pi: Pi, provider: Provider, tmp_path: Path, way: str
) -> None:
    home = with_extension(pi, tmp_path, provider, [Seat("team-a")])
    sock = tmp_path / "sock"
    if way == "not a socket":
        sock.write_text("")
    with Listener(sock, acks=False, reads=way != "hung") if way in {"hung", "silent"} else nullcontext():
        run = home.run()
    assert (run.exit_code, run.stdout.strip(), run.stderr) == (0, answers.DEFAULT_TEXT, "")
    lines = spooled(home)
    assert [(each["kind"], each["provider"]) for each in lines] == [("capture", "team-a"), ("usage", "team-a")]


def spooled(home: Home) -> list[dict[str, Any]]:
    folder = home.root / ".local" / "state" / "tokmon" / "spool"
    files = sorted((folder / "new").iterdir())
    assert not list((folder / "tmp").iterdir())
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (folder.parent, folder, folder / "new")} == {0o700}
    return [json.loads(line) for path in files for line in path.read_text().splitlines()]


@pytest.mark.parametrize("version", [version for version in VERSIONS if version != "0.66.1"])
def test_a_codex_frame_over_a_websocket_is_captured_where_pi_shows_it(
    new_pi: Pi, provider: Provider, tmp_path: Path
) -> None:
    provider.websocket = True
    provider.queue(Answer(frames=[answers.CODEX_FRAME]))
    with Listener(tmp_path / "sock") as listener:
        home = with_extension(new_pi, tmp_path, provider, [Seat("team-a", CODEX)])
        home.write(
            "settings.json", {**json.loads((home.agent / "settings.json").read_text()), "transport": "websocket"}
        )
        assert home.run().exit_code == 0
        captures = listener.of("capture")
    if new_pi.version != "1.5.2":
        assert captures == []
        return
    (capture,) = captures
    assert (capture["via"], capture["provider"], capture["attribution"]) == ("stream", "team-a", "wrapper")
    assert "http_status" not in capture
    assert capture["frame"]["type"] == "codex.rate_limits"
    assert set(capture["frame"]) <= {"type", "plan_type", "rate_limits", "credits", "metered_limit_name"}
