"""A real pi with the real extension: every response is captured once, and pi behaves as if nobody watched."""

import json
import re
import threading
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

import pytest

from tests.extension.driver import EXTENSION
from tests.extension.listener import Event, Listener
from tests.pi import answers, install
from tests.pi.answers import QUICK, Answer, Tokens
from tests.pi.install import Pi
from tests.pi.listener import PiListener
from tests.pi.provider import Provider, Served
from tests.pi.rpc import Rpc
from tests.pi.runner import Home
from tests.pi.seats import APIS, CODEX, Seat
from tokmon import families
from tokmon.evidence.model import RawResponse
from tokmon.wire import messages

pytestmark = pytest.mark.pi

OLD: Final = ("0.66.1", "0.73.1")
STATUSES: Final = (200, 400, 401, 403, 429, 500, 529)
BY_API: Final = [Seat(f"by-{api}", api) for api in APIS]
ON_ONE_URL: Final = [Seat(f"team-{letter}", plan=letter in "ab") for letter in "abcde"]
UNPRICED: Final = Seat("unpriced", price=None)
TWO_SEATS: Final = Path(__file__).parent / "two_seats.ts"
OTHERS: Final = Path(__file__).parent / "others.ts"


def with_extension(pi: Pi, tmp_path: Path, provider: Provider, seats: list[Seat], *more: Path, **env: str) -> Home:
    """Make a home whose pi loads the extension and finds the socket `tmp_path/sock`."""
    home = Home.make(pi, tmp_path / "pi", provider, seats, extensions=[EXTENSION, *more])
    home.env |= {"TOKMON_SOCKET": str(tmp_path / "sock"), "TOKMON_NO_SPAWN": "1", "TOKMON_MEMBER": "tester", **env}
    return home


def served_as(served: Served) -> tuple[str, int, str]:
    return (served.seat, served.status, served.request_id)


def captured(event: Event) -> tuple[str, int, str]:
    return (event["provider"], event["http_status"], event.get("request_id", ""))


def choose(rpc: Rpc, seat: Seat) -> None:
    rpc.send("set_model", provider=seat.name, modelId=seat.model)


def ask_every_api_for_every_status(pi: Pi, provider: Provider, rpc: Rpc) -> None:
    for seat in BY_API:
        choose(rpc, seat)
        # Codex in the older versions sends every failure four times over 7 s: one of them will do.
        for status in (200, 429) if seat.api == CODEX and pi.version in OLD else STATUSES:
            provider.script = lambda _, status=status: Answer(  # type: ignore[misc]
                status=status, error="" if status == 200 else f"no {status}", headers=QUICK, tokens=Tokens(1000, 500)
            )
            rpc.prompt(f"answer {status}")


def ask_each_seat(provider: Provider, rpc: Rpc) -> None:
    provider.script = lambda _: Answer()
    for seat in (*ON_ONE_URL, *reversed(ON_ONE_URL), UNPRICED):
        choose(rpc, seat)
        rpc.prompt("hello")


def ask_two_seats_at_once(provider: Provider, rpc: Rpc) -> None:
    together, before = threading.Event(), len(provider.served)
    provider.script = lambda served: Answer(hold=together, text=served.seat)
    rpc.post("prompt", message="/two-seats team-a/loopback-1 team-b/loopback-1")
    provider.wait_for(lambda served: {request.seat for request in served[before:]} == {"team-a", "team-b"})
    together.set()
    rpc.done()


def test_every_response_is_captured_once_and_is_known_by_its_provider(
    pi: Pi, provider: Provider, tmp_path: Path
) -> None:
    """One process for all: every status of every API, five seats on one URL, two at once, a refused connection."""
    env = {"PI_TEST_ANSWERS": str(tmp_path / "answers.json")}
    with PiListener(tmp_path) as listener:
        home = with_extension(pi, tmp_path, provider, [*BY_API, *ON_ONE_URL, UNPRICED], TWO_SEATS, **env)
        with home.rpc() as rpc:
            ask_every_api_for_every_status(pi, provider, rpc)
            ask_each_seat(provider, rpc)
            one_by_one = len(provider.served)
            ask_two_seats_at_once(provider, rpc)
            choose(rpc, ON_ONE_URL[0])
            provider.stop()
            rpc.prompt("nobody is there")
            assert rpc.close() == 0
        captures, usages = listener.of("capture"), listener.of("usage")
    answered, refused = captures[: len(provider.served)], captures[len(provider.served) :]
    in_order = [served_as(request) for request in provider.served]
    assert [captured(event) for event in answered[:one_by_one]] == in_order[:one_by_one]
    assert {captured(event) for event in answered[one_by_one:]} == set(in_order[one_by_one:])
    assert len(in_order) == one_by_one + 2
    assert refused
    assert {(event["provider"], event["error"], event.get("http_status")) for event in refused} == {
        ("team-a", "ECONNREFUSED", None)
    }
    assert {event["attribution"] for event in captures} == {"wrapper"}
    assert {event["via"] for event in captures} == {"fetch"}
    assert {(event["pi"], event["member"], event["model"]) for event in captures} == {
        (pi.version, "tester", "loopback-1")
    }
    by_api = {f"by-{api}": api for api in APIS}
    assert {(event["provider"], event["api"]) for event in captures if event["provider"] in by_api} == set(
        by_api.items()
    )
    shapes = {event["provider"]: event["key_shape"] for event in captures}
    assert {seat.name: shapes[seat.name] for seat in ON_ONE_URL} == {
        seat.name: "ant-oat" if seat.plan else "other" for seat in ON_ONE_URL
    }
    assert not [seat.name for seat in home.seats if seat.key.encode() in listener.raw]
    assert all(messages.decode(line)[1] for line in listener.raw.splitlines(keepends=True))
    each_answer_is_billed_once(usages)


def each_answer_is_billed_once(usages: list[Event]) -> None:
    """A price gives an estimate; a model without one costs an unknown amount, and not nothing."""
    for seat in BY_API:
        (usage,) = [event for event in usages if event["provider"] == seat.name and event["stop"] == "stop"]
        assert (usage["model"], usage["api"]) == ("loopback-1", seat.api)
        assert (usage["tokens"]["input"], usage["tokens"]["output"]) == (1000, 500)
        assert (usage["cost_usd"], usage["cost_source"]) == (
            pytest.approx((1000 * 3 + 500 * 15) / 1e6),
            "estimated",
        )
    (unpriced,) = [event for event in usages if event["provider"] == UNPRICED.name]
    assert (unpriced["tokens"]["output"], unpriced["cost_source"], unpriced.get("cost_usd")) == (7, "unknown", None)


def test_output_and_exit_code_of_a_failure_are_those_of_a_pi_without_the_extension(
    end_pi: Pi, provider: Provider, tmp_path: Path
) -> None:
    provider.queue(Answer(status=429, error=answers.ACCOUNT_LIMIT, headers=QUICK))
    plain = Home.make(end_pi, tmp_path / "plain", provider, [Seat("team-a")]).run()
    with Listener(tmp_path / "sock"):
        watched = with_extension(end_pi, tmp_path, provider, [Seat("team-a")]).run()
    assert (watched.exit_code, watched.stdout) == (plain.exit_code, plain.stdout)
    assert re.sub(r"req_\w+", "", watched.stderr) == re.sub(r"req_\w+", "", plain.stderr)


def test_the_list_of_models_is_that_of_a_pi_without_the_extension(
    newest_pi: Pi, provider: Provider, tmp_path: Path
) -> None:
    seats = [Seat("team-a"), Seat("team-b", plan=True)]
    plain = Home.make(newest_pi, tmp_path / "plain", provider, seats).run("x", None, "--list-models")
    watched = with_extension(newest_pi, tmp_path, provider, seats).run("x", None, "--list-models")
    assert (watched.exit_code, watched.stdout, watched.stderr) == (plain.exit_code, plain.stdout, plain.stderr)


def test_a_key_command_runs_no_more_often_than_without_the_extension(
    newest_pi: Pi, provider: Provider, tmp_path: Path
) -> None:
    seats = [Seat(f"team-{letter}") for letter in "abcde"]
    counts = {}
    with Listener(tmp_path / "sock"):
        for name, home in {
            "plain": Home.make(newest_pi, tmp_path / "plain", provider, seats),
            "watched": with_extension(newest_pi, tmp_path, provider, seats),
        }.items():
            log = tmp_path / f"{name}.keys"
            models = json.loads((home.agent / "models.json").read_text())
            for seat in seats:
                models["providers"][seat.name]["apiKey"] = f'!echo {seat.name} >>{log}; printf %s "${seat.variable}"'
            home.write("models.json", models)
            assert home.run().exit_code == 0
            counts[name] = Counter(log.read_text().split())
    assert counts["watched"] == counts["plain"]


def none_the_wiser(pi: Pi, provider: Provider, tmp_path: Path, way: str) -> None:
    home = with_extension(pi, tmp_path, provider, [Seat("team-a")])
    sock = tmp_path / "sock"
    if way == "not a socket":
        sock.write_text("")
    with Listener(sock, acks=False, reads=way != "hung") if way in {"hung", "silent"} else nullcontext():
        run = home.run()
    assert (run.exit_code, run.stdout.strip(), run.stderr) == (0, answers.DEFAULT_TEXT, "")
    lines = spooled(home)
    assert [(line["kind"], line["provider"]) for line in lines] == [("capture", "team-a"), ("usage", "team-a")]


def test_a_pi_without_a_sidecar_answers_as_always_and_its_events_are_spooled(
    end_pi: Pi, provider: Provider, tmp_path: Path
) -> None:
    none_the_wiser(end_pi, provider, tmp_path, "absent")


@pytest.mark.parametrize("way", ["hung", "silent", "not a socket"])
def test_a_sidecar_that_takes_nothing_changes_nothing_for_pi(
    newest_pi: Pi, provider: Provider, tmp_path: Path, way: str
) -> None:
    none_the_wiser(newest_pi, provider, tmp_path, way)


def spooled(home: Home) -> list[dict[str, Any]]:
    folder = home.root / ".local" / "state" / "tokmon" / "spool"
    files = sorted((folder / "new").iterdir())
    assert not list((folder / "tmp").iterdir())
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (folder.parent, folder, folder / "new")} == {0o700}
    return [json.loads(line) for path in files for line in path.read_text().splitlines()]


@pytest.mark.parametrize("version", install.others_long("0.73.1", "0.87.1", install.NEWEST)[1:])
def test_each_codex_answer_over_a_websocket_is_one_capture(new_pi: Pi, provider: Provider, tmp_path: Path) -> None:
    """With and without a quota frame, an error frame, beside another extension, after a refused upgrade over HTTP."""
    spark = {"GPT-5.3-Codex-Spark": {"allowed": True, "primary": {"used_percent": 100, "window_minutes": 300}}}
    limits = {**answers.CODEX_FRAME, "limit_id": "codex", "additional_rate_limits": spark}
    quota = {"x-codex-primary-used-percent": "100", "x-codex-primary-window-minutes": "300"}
    elsewhere = provider.origin.replace("127.0.0.1", "localhost")
    provider.websocket, provider.get_status = True, 401
    with PiListener(tmp_path) as listener:
        home = with_extension(new_pi, tmp_path, provider, [Seat("team-a", CODEX), Seat("team-b", CODEX)], OTHERS)
        settings = json.loads((home.agent / "settings.json").read_text())
        home.write("settings.json", {**settings, "transport": "auto"})
        with home.rpc() as rpc:
            provider.queue(
                Answer(frames=[limits]), Answer(), Answer(status=429, headers={**quota, "set-cookie": "a=b"}), Answer()
            )
            for prompt in ("with a quota", "without", "refused"):
                rpc.prompt(prompt)
            for command in ("/fetch around", "/socket around", f"/inside {elsewhere}/v1"):
                rpc.drive(command)
            choose(rpc, Seat("team-b", CODEX))
            rpc.prompt("on another account")
            for command in ("/fetch restore", "/socket restore"):
                rpc.drive(command)
            rpc.send("new_session")
            rpc.prompt("after the old fetch and WebSocket are back")
            provider.websocket = False
            rpc.send("new_session")
            rpc.prompt("over HTTP")
            assert rpc.close() == 0
        captures, usages = listener.of("capture"), listener.of("usage")
    assert [request.status for request in provider.served if request.method == "GET" and request.status == 401]
    answered = [request for request in provider.served if request.seat and request.method in {"WS", "POST"}]
    assert [request.method for request in answered] == ["WS"] * 5 + ["POST"]
    assert [(event["provider"], event["http_status"]) for event in captures] == [
        (request.seat, request.status) for request in answered
    ]
    assert [event["via"] for event in captures] == ["stream"] * 5 + ["fetch"]
    assert {event["attribution"] for event in captures} == {"wrapper"}
    first, second, refused = captures[:3]
    assert first["frame"] == limits
    assert "frame" not in second
    assert json.loads(refused["error"])["error"]["type"] == "usage_limit_reached"
    assert refused["headers"] == quota
    assert [usage.get("error_captured") for usage in usages] == [None, None, True, None, None, None]
    reading = families.read(RawResponse(429, refused["headers"], 1_799_999_000.0, refused["error"]))
    assert (reading.status, reading.plan, reading.blocked_until) == ("rejected", "plus", 1_800_008_899)
    assert [(window.name, window.utilization) for window in reading.windows] == [("5h", 1.0)]
