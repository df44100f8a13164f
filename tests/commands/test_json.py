"""docs/json.md lists every field of every command's JSON, and none that no command prints."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.captures import FIXTURES
from tests.commands.logbook import DAY, HOUR, NOW, configure, line, shown, tokmon, window, write
from tests.commands.pretended import SPENT, fails, pi
from tests.commands.screens import feed, run
from tests.commands.test_select import now_line
from tests.configuration import select
from tests.docs.pages import ROOT
from tests.pool.publishing import SEATS, as_published, be_member, publish, publish_value
from tests.probes.loopback import healthy, loopback
from tokmon import paths
from tokmon.pool.publication import RunningSessions
from tokmon.report.status_json import to_json
from tokmon.report.view import view
from tokmon.selection.choose import choose
from tokmon.selection.decision_json import decision_json
from tokmon.selection.policy import Policy
from tokmon.wire.instants import rfc3339

PAGE = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
OPEN = {"providers[].probe.line", "members[].overall", "members[].providers"}
"""Objects whose fields another page lists."""


def documented(command: str) -> set[str]:
    """The fields that the page lists for this command."""
    section = PAGE.partition(f"## `{command}`\n")[2].partition("\n## ")[0]
    rows = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def fields(value: Any, path: str = "") -> Iterator[str]:
    """Every field of an object, by its path, and the paths of objects and lists themselves."""
    if path and not path.endswith("[]"):
        yield path
    if path in OPEN:
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from fields(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        yield f"{path}[]"
        for inner in value:
            yield from fields(inner, f"{path}[]")


def compare(command: str, *objects: Any, accounts: tuple[str, ...] = ()) -> None:
    """The fields of these objects are the documented ones."""
    real = {name for printed in objects for name in fields(printed)}
    for account in accounts:
        real = {name.replace(f"results.{account}", "results.ACCOUNT") for name in real}
    listed = documented(command)
    assert {name for name in real - listed if not _is_parent(name, listed)} == set(), "not documented"
    assert listed - real == set(), "documented, but not printed"


def _is_parent(name: str, listed: set[str]) -> bool:
    """Whether the page lists the parts of this object, or the elements of this list."""
    return any(other.startswith((f"{name}.", f"{name}[]")) for other in listed)


def test_status_prints_the_documented_fields() -> None:
    credit = {"has_credits": True, "unlimited": False, "balance": "12.5"}
    overage = {
        "status": "allowed",
        "in_use": True,
        "utilization": 0.3,
        "resets_at": rfc3339(NOW + DAY),
        "disabled_reason": "none",
        "used": 3,
        "permitted": True,
    }
    lines = (
        line("a", "allowed", window("5h", 0.1, HOUR), overage=overage, plan="pro", credits=credit, claim="five_hour"),
        line("a", "rejected", scope="model", model="opus", blocked_until=rfc3339(NOW + HOUR)),
        line("b", "allowed", age=2 * DAY),
    )
    report = to_json(shown(*lines, types={"c": "xai"}))
    of_another = to_json(view(as_published("nadja", *lines), {}, Policy(), Policy(), NOW))
    (paths.find().spool / "new").mkdir(parents=True, mode=0o700)
    (paths.find().spool / "new" / "a").write_bytes(b"{}\n")
    sidecar = json.loads(run("status", "--json").stdout)["sidecar"]
    compare("tokmon status --json", report | {"sidecar": sidecar}, of_another)


def test_status_of_all_members_prints_the_documented_fields(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    be_member("ludo", tmp_path, monkeypatch, SEATS)
    publish("nadja", now_line("team-a", 0.3), sessions=[RunningSessions("team-a", 2, time.time())])
    publish_value("molto", ["nothing"])
    compare("tokmon status --all --json", json.loads(run("status", "--all", "--json").stdout))


def test_monitor_prints_the_fields_of_status_and_the_documented_ones_of_a_probe() -> None:
    with loopback(healthy) as server:
        seat = {"baseUrl": server.origin, "api": "anthropic-messages", "apiKey": "sk-ant-oat01-SeatSeat"}
        configure(team_a=seat, bedrock={"baseUrl": "https://x", "api": "bedrock-converse-stream", "apiKey": "k"})
        report = json.loads(run("monitor", "--json").stdout)
    real, listed = {*fields(report)}, documented("tokmon status --json")
    of_probe = {name for name in real if name.startswith("providers[].probe")}
    assert of_probe - {"providers[].probe"} == documented("tokmon monitor --json")
    assert {name for name in real - of_probe if not _is_parent(name, listed)} <= listed


def test_select_prints_the_documented_fields_and_records_them() -> None:
    with loopback(healthy) as server:
        seat = {"baseUrl": server.origin, "api": "anthropic-messages", "apiKey": "sk-ant-oat01-SeatSeat"}
        configure(team_a=seat, team_b=seat)
        select(chain=["team-a", "team-b"], policy="threshold", model="claude-sonnet-4-6")
        write("piggyback.jsonl", now_line("team-b", 0.3, windows=[window("5h", 0.2, -HOUR)]))
        # A process of its own: the deadline counts from its start.
        decision = json.loads(tokmon("select", "--json", TOKMON_DEADLINE_MS="60000").stdout)
    assert decision["probes"]
    chosen = choose(Policy(chain=("a",)), as_published("nadja", line("a", "allowed")), NOW)
    assert chosen is not None
    compare("tokmon select --json", decision, decision_json(chosen))
    (recorded,) = [json.loads(row) for row in paths.find().decisions.read_bytes().splitlines()]
    assert {*recorded} == {*decision, "ts", "source"}


def test_check_prints_the_documented_fields(tmp_path: Path) -> None:
    select(chain=["team-a", "team-b"])
    refused = fails('401 {"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}')
    script = f"case $account in team-a) {fails(SPENT)} ;; team-b) {refused} ;; esac; echo ok"
    report = json.loads(run("check", "team-a", "team-b", "team-c", "--json", "--pi", str(pi(tmp_path, script))).stdout)
    compare("tokmon check --json", report, accounts=("team-a", "team-b", "team-c"))


def test_doctor_prints_the_documented_fields() -> None:
    compare("tokmon doctor --json", json.loads(run("doctor", "--json").stdout))


def test_replay_prints_the_documented_fields() -> None:
    select(chain=["team-a", "team-b"], emergency="gate")
    log = write("other.jsonl", line("team-b", "allowed", window("7d", 0.3, DAY), session="s"))
    simulated = json.loads(run("replay", "--simulate", "1", "--weeks", "1", "--json").stdout)
    compare("tokmon replay --json", simulated, json.loads(run("replay", str(log), "--json").stdout))


def test_read_prints_the_documented_fields() -> None:
    captures = [{name: part for name, part in fixture.items() if name != "expected"} for fixture in FIXTURES]
    captures[0] |= {"id": "1", "provider": "a"}
    captures.append({"http_status": 200, "headers": {"x-ratelimit-limit-requests": "many"}})
    stdin = b"\n".join(json.dumps(capture).encode() for capture in captures)
    compare("tokmon read", *map(json.loads, feed(stdin, "read").stdout.splitlines()))


@pytest.mark.parametrize("command", ["status", "select", "monitor", "doctor"])
def test_json_begins_with_its_version(command: str) -> None:
    configure(team_a={"models": [{"id": "m"}]})
    write("piggyback.jsonl", now_line("team-a", 0.3, ts=rfc3339(time.time())))
    assert run(command, "--json").stdout.startswith('{"version":1,')
