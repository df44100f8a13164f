"""Whose a response is, beside other extensions and sessions in one process of a real pi."""

import json
import shlex
from pathlib import Path
from typing import Final

import pytest

from tests.commands.clinic import finding_of, program
from tests.commands.logbook import write
from tests.extension.listener import Event
from tests.pi import answers, install
from tests.pi.answers import QUICK, Answer, Tokens, ToolCall
from tests.pi.install import NEWEST, Pi
from tests.pi.listener import PiListener
from tests.pi.protocols import codex
from tests.pi.provider import Provider
from tests.pi.rpc import Rpc
from tests.pi.runner import Home
from tests.pi.seats import APIS, COMPLETIONS, Seat
from tests.pi.test_capture import OTHERS, captured, served_as, with_extension

pytestmark = pytest.mark.pi

LATE: Final = Path(__file__).parent / "z_late.ts"
SEATS: Final = [Seat(f"team-{letter}") for letter in "abc"]
OTHER_API: Final = Seat("team-d", COMPLETIONS)

BUILTIN: Final = ("anthropic", "claude-sonnet-4-5", 21)


def billed(usages: list[Event]) -> list[tuple[str, str, int]]:
    return [(usage["provider"], usage["model"], usage["tokens"]["output"]) for usage in usages]


def replace_fetch(provider: Provider, rpc: Rpc) -> None:
    for kind in ("around", "copy", "restore", "around", "copy"):
        rpc.drive(f"/fetch {kind}")
        rpc.prompt(f"with a fetch that is {kind}")
    rpc.drive("/fetch retry")
    provider.queue(Answer(status=429, headers=QUICK), Answer(), seat="team-a")
    rpc.prompt("asked twice")
    rpc.drive("/fetch restore")
    rpc.drive("/complete team-c/loopback-1")
    rpc.send("new_session")
    rpc.prompt("after another extension has put the old fetch back")


def change_account(provider: Provider, rpc: Rpc) -> None:
    """A provider of another extension goes on with its second ChatGPT account where the first one is refused."""
    keys = [codex.key(name) for name in ("account-one", "account-two")]
    for key in keys:
        provider.know("openai-codex", key)
    # Not a 429: older versions send that again over seven seconds.
    provider.queue(Answer(status=403, error=answers.CODEX_LIMIT), Answer(), seat="openai-codex")
    rpc.drive(f"/rotate {provider.origin} {' '.join(keys)}")
    rpc.send("set_model", provider="openai-codex", modelId="m")
    rpc.prompt("on whichever account has quota")


@pytest.mark.parametrize("version", install.others_long(*(name for name in install.VERSIONS if name != "1.5.2")))
def test_each_request_of_the_process_is_that_of_its_own_account(new_pi: Pi, provider: Provider, tmp_path: Path) -> None:
    """A session without extensions, complete(), a new provider, other requests in a turn, and replaced fetches."""
    provider.know("registered", "sk-fake-registered")
    provider.know("anthropic", "sk-fake-builtin")
    provider.get_status = 401
    with PiListener(tmp_path) as listener:
        home = with_extension(new_pi, tmp_path, provider, [*SEATS, OTHER_API], OTHERS)
        with home.rpc() as rpc:
            provider.queue(Answer(tokens=Tokens(10, 21)))
            rpc.prompt("hello")
            rpc.drive("/child team-b/loopback-1")
            rpc.drive("/child team-d/loopback-1")
            rpc.drive("/complete team-c/loopback-1")
            rpc.drive(f"/register registered {provider.origin}")
            rpc.drive(f"/builtin {provider.origin}")
            rpc.drive(f"/inside {provider.origin.replace('127.0.0.1', 'localhost')}/v1/messages")
            rpc.prompt("with requests of another extension")
            requests = 8 if new_pi.at_least_087 else 7
            so_far = listener.wait(lambda events: [event["kind"] for event in events].count("usage") >= requests)
            sent = billed([event for event in so_far if event["kind"] == "usage"])
            replace_fetch(provider, rpc)
            change_account(provider, rpc)
            assert rpc.close() == 0
        captures, usages = listener.of("capture"), listener.of("usage")
    in_order = [served_as(request) for request in provider.served if request.seat and request.method == "POST"]
    assert [captured(capture) for capture in captures] == in_order
    assert {capture["attribution"] for capture in captures} == {"wrapper"}
    refused, changed = captures[-2:]
    assert [capture["http_status"] for capture in captures].count(429) == 1
    assert (refused["http_status"], changed["http_status"]) == (403, 200)
    assert refused["account"] != changed["account"]
    write("piggyback.jsonl", *captures)
    write("usage.jsonl", *usages)
    assert finding_of("uncaptured").text == f"{len(usages)} answers compared with captures, none missing"
    assert captures[-1]["session"] != captures[0]["session"]
    assert len(usages) == len([capture for capture in captures if capture["http_status"] == 200])
    assert 401 not in {capture["http_status"] for capture in captures}
    registered = [("registered", "m", 21)] * (2 if new_pi.at_least_087 else 1)
    child = [("team-b", "loopback-1", 21), ("team-d", "loopback-1", 21), ("team-c", "loopback-1", 21)]
    assert sent == [("team-a", "loopback-1", 21), *child, *registered, BUILTIN, ("team-a", "loopback-1", 21)]


@pytest.mark.parametrize("version", [NEWEST, pytest.param("0.87.1", marks=pytest.mark.long)])
def test_a_sub_agent_of_pi_subagents_in_the_foreground_is_attributed_to_its_own_account(
    version: str, provider: Provider, tmp_path: Path
) -> None:
    try:
        subagents = install.subagents()
    except install.InstallError as error:
        pytest.skip(f"pi-subagents is not installed: {error}")
    with PiListener(tmp_path) as listener:
        home = with_extension(install.pi(version), tmp_path, provider, SEATS, subagents)
        delegate(home, provider)
        each_on_its_own_account(provider, listener)


@pytest.mark.long
def test_a_sub_agent_that_is_a_process_of_its_own_is_attributed_to_its_own_account(
    provider: Provider, tmp_path: Path
) -> None:
    """pi-subagents does so in its oldest version, the only one that pi 0.73.1 can load."""
    try:
        subagents = install.old_subagents()
    except install.InstallError as error:
        pytest.skip(f"pi-subagents is not installed: {error}")
    with PiListener(tmp_path) as listener:
        home = with_extension(install.pi("0.73.1"), tmp_path, provider, SEATS)
        settings = json.loads((home.agent / "settings.json").read_text())
        home.write("settings.json", {**settings, "extensions": [str(subagents)]})
        home.env["PI_SUBAGENT_PI_BINARY"] = program(tmp_path / "pi-binary", f'exec {shlex.join(home.pi.command)} "$@"')
        delegate(home, provider)
        each_on_its_own_account(provider, listener)


def delegate(home: Home, provider: Provider) -> None:
    call = {"agent": "delegate", "task": "say hello", "model": "team-b/loopback-1", "async": False}
    provider.queue(Answer(tool=ToolCall("subagent", call)), Answer(), seat="team-a")
    provider.queue(Answer(tokens=Tokens(10, 33)), seat="team-b")
    assert home.run("delegate").exit_code == 0


def each_on_its_own_account(provider: Provider, listener: PiListener) -> None:
    captures, usages = listener.of("capture"), listener.of("usage")
    served = [served_as(request) for request in provider.served]
    assert [seat for seat, *_ in served] == ["team-a", "team-b", "team-a"]
    assert [captured(capture) for capture in captures] == served
    assert {capture["attribution"] for capture in captures} == {"wrapper"}
    answers = [usage for usage in usages if usage["what"] == "assistant"]
    assert sorted(billed(answers)) == [
        ("team-a", "loopback-1", 7),
        ("team-a", "loopback-1", 7),
        ("team-b", "loopback-1", 33),
    ]
    assert {usage.get("provider") for usage in usages if usage["what"] == "tool_result"} <= {None}


@pytest.mark.parametrize("api", APIS)
def test_a_fetch_that_is_replaced_just_before_a_request_leaves_costs_no_line(
    end_pi: Pi, provider: Provider, tmp_path: Path, api: str
) -> None:
    seat = Seat("team-a", api)
    with PiListener(tmp_path) as listener:
        with with_extension(end_pi, tmp_path, provider, [seat], LATE).rpc() as rpc:
            for prompt in ("once", "again"):
                rpc.prompt(prompt)
            assert rpc.close() == 0
        captures = listener.of("capture")
    assert [captured(capture) for capture in captures] == [served_as(request) for request in provider.served]
    assert {capture["attribution"] for capture in captures} == {"wrapper"}
