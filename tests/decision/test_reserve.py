"""What other members' decisions and sessions change in a choice, and how long it holds meanwhile."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pool.members import Member, member
from tests.sidecar.running import sidecar, wait_until
from tokmon.decision import decision_file, policy_cache
from tokmon.decision.decide import UNCOVERED_S, decide, refresh
from tokmon.decision.decision_file import MAX_EQUAL, DecisionFile
from tokmon.evidence.snapshot import VERSION as FORM
from tokmon.selection.choose import Decision
from tokmon.wire.instants import rfc3339

MODEL = "claude-sonnet-4-6"
SEATS = ("team-a", "team-b", "team-c")


def seat(name: str, used: float = 0.4) -> dict[str, object]:
    now = time.time()
    windows = [
        {"name": "5h", "utilization": 0.2, "resets_at": rfc3339(now + 10_000)},
        {"name": "7d", "utilization": used, "resets_at": rfc3339(now + 200_000)},
    ]
    line = {"ts": rfc3339(now - 60), "id": f"turn-{name}", "source": "piggyback", "provider": name}
    return {**line, "status": "allowed", "windows": windows}


@pytest.fixture
def nadja(tmp_path: Path) -> Member:
    """A member with three seats that are alike, and the log of the decisions that it made."""
    one = member(tmp_path, "nadja")
    one.configure(dict.fromkeys(SEATS, "sk-a"), f'[select]\nchain = {json.dumps(SEATS)}\nmodel = "{MODEL}"\n')
    one.log(*map(seat, SEATS))
    one.log(name="decisions.jsonl")
    for path in (*one.paths.logs.iterdir(), one.paths.logs, one.paths.models, one.paths.config.parent):
        os.utime(path, (time.time() - 50,) * 2)
    return one


@pytest.fixture
def vera(tmp_path: Path) -> Member:
    """Another member, which comes later by name."""
    one = member(tmp_path, "vera")
    one.published.mkdir(parents=True)
    return one


def decided(one: Member, **env: str) -> Decision:
    decision, _ = decide(one.paths, {**one.env, **env}, pytest.fail)
    assert decision is not None
    return decision


def left(one: Member) -> DecisionFile:
    content = decision_file.read(decision_file.path_of(one.paths, one.env))
    assert content is not None
    return content


def announces(one: Member, *providers: str) -> None:
    at = rfc3339(time.time() - 1)
    decisions = [{"ts": at, "provider": provider, "model": MODEL, "minutes": 60} for provider in providers]
    (one.published / "decisions.json").write_text(json.dumps({"version": 1, "decisions": decisions}), encoding="ascii")


def runs(one: Member, *, age: float = 0.0, **counts: object) -> None:
    """Publish sessions that run on accounts (`_` in a name stands for `-`)."""
    now = time.time() - age
    since = rfc3339(now - 60)
    sessions = [{"provider": name.replace("_", "-"), "count": n, "since": since} for name, n in counts.items()]
    content = {"version": 1, "form": FORM, "ts": rfc3339(now), "accounts": {}, "sessions": sessions}
    one.published.mkdir(parents=True, exist_ok=True)
    (one.published / "evidence.json").write_text(json.dumps(content), encoding="ascii")


def test_accounts_about_as_good_stand_in_the_decision_file(nadja: Member) -> None:
    assert decided(nadja).equal == ("team-b", "team-c")
    assert left(nadja).equal == (("team-b", MODEL), ("team-c", MODEL))


def test_no_account_of_this_environment_alone_stands_among_them(nadja: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    with_chain = policy_cache.with_chain

    def with_own_key(*arguments: object) -> policy_cache.LoadedPolicy:
        return with_chain(*arguments)._replace(environment_accounts=frozenset({"team-b"}))  # type: ignore[arg-type]

    monkeypatch.setattr(policy_cache, "with_chain", with_own_key)
    assert decided(nadja).equal == ("team-b", "team-c")
    assert left(nadja).equal == (("team-c", MODEL),)


def test_the_hook_believes_a_file_with_many_equal_accounts(nadja: Member) -> None:
    names = [f"seat-{number:02}" for number in range(80)]
    nadja.paths.config.write_text(f"[select]\nchain = {json.dumps(names)}\n", encoding="ascii")
    nadja.log(*map(seat, names))
    assert len(decided(nadja).equal) == 79
    assert len(left(nadja).equal) == MAX_EQUAL


def test_decisions_one_after_the_other_go_to_each_of_the_accounts(nadja: Member) -> None:
    assert Counter(decided(nadja).provider for _ in range(6)) == dict.fromkeys(SEATS, 2)


def test_an_account_to_which_other_members_just_sent_sessions_comes_later(nadja: Member, vera: Member) -> None:
    announces(vera, "team-a", "team-b", "team-a")
    assert decided(nadja).provider == "team-c"
    assert refresh(nadja.paths, nadja.env, "sidecar", watches=True) is not None
    assert left(nadja).choice[0] == "team-c", "one each on the last two, and two on the first"
    announces(vera, "team-a", "team-b", "team-a", "team-c")
    assert refresh(nadja.paths, nadja.env, "sidecar", watches=True) is not None
    assert left(nadja).choice[0] == "team-b"


def test_sessions_that_run_anywhere_count_while_their_member_publishes(nadja: Member, vera: Member) -> None:
    runs(vera, team_a=2, team_c=1)
    runs(nadja, team_b=1)
    decision = decided(nadja)
    assert dict(decision.reservations.sessions) == {"team-a": 2, "team-b": 1, "team-c": 1}
    assert decision.provider == "team-b"
    runs(vera, team_a=2, age=700)
    assert decided(nadja).reservations.sessions == {"team-b": 2}


@pytest.mark.parametrize("count", [-1, 0, 10**6, 1.5, "2", None])
def test_a_count_of_sessions_that_cannot_be_is_ignored(nadja: Member, vera: Member, count: object) -> None:
    runs(vera, team_a=count)
    assert decided(nadja).provider == "team-a"


def test_a_member_that_is_ignored_reserves_nothing(nadja: Member, vera: Member) -> None:
    announces(vera, "team-a")
    runs(vera, team_a=1)
    config = nadja.paths.config.read_text(encoding="utf-8")
    nadja.paths.config.write_text(f'{config}[pool]\nignore = ["vera"]\n', encoding="utf-8")
    assert decided(nadja).provider == "team-a"
    nadja.paths.config.write_text(f"{config}[pool]\nshare = false\n", encoding="utf-8")
    assert decided(nadja).reservations.sessions == {"team-a": 1}, "its own decision"


def test_members_begin_at_different_accounts_by_their_names(nadja: Member, vera: Member) -> None:
    assert decided(nadja).provider == "team-a"
    for path in (nadja.published / "decisions.json", nadja.paths.decisions):
        path.unlink()
    vera.configure(dict.fromkeys(SEATS, "sk-a"), nadja.paths.config.read_text(encoding="utf-8"))
    vera.log(*map(seat, SEATS))
    assert refresh(vera.paths, vera.env, "monitor") is None, "its configuration was not validated yet"
    policy_cache.load(vera.paths, vera.env)
    assert refresh(vera.paths, vera.env, "monitor") is not None
    assert left(vera).choice[0] == "team-b"


def holds(decision: Decision) -> float:
    return decision.valid_until - decision.decided_at


def test_while_others_publish_and_no_sidecar_runs_a_decision_holds_for_a_minute(nadja: Member, vera: Member) -> None:
    assert holds(decided(nadja)) > UNCOVERED_S
    announces(vera)
    assert holds(decided(nadja)) == UNCOVERED_S
    assert seconds(left(nadja)) == UNCOVERED_S
    two_days_ago = time.time() - 2 * 86400
    os.utime(vera.published / "decisions.json", (two_days_ago,) * 2)
    assert holds(decided(nadja)) > UNCOVERED_S, "it has left"


def test_a_decision_holds_as_long_as_ever_while_a_sidecar_watches_the_pool(nadja: Member, vera: Member) -> None:
    announces(vera)
    decided(nadja)
    until = refresh(nadja.paths, nadja.env, "sidecar", watches=True)
    assert until is not None
    assert until > time.time() + UNCOVERED_S
    with running(nadja):
        assert holds(decided(nadja)) > UNCOVERED_S
    assert holds(decided(nadja)) == UNCOVERED_S


HOLDS_LOCK = """
import sys
from pathlib import Path
from tokmon.store.lock import ProcessLock
with ProcessLock(Path(sys.argv[1])) as lock:
    print(lock.acquire(), flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def running(one: Member) -> Iterator[None]:
    """A process with the lock of the member's sidecar."""
    command = [sys.executable, "-c", HOLDS_LOCK, str(one.paths.lock)]
    with subprocess.Popen(command, env=dict(one.env), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"True\n"
        yield
        assert process.stdin is not None
        process.stdin.close()


def test_a_decision_says_the_same_to_each_reader(nadja: Member, vera: Member) -> None:
    announces(vera, "team-a", "team-a")
    lines = nadja.run("select", "--explain").stdout.splitlines()
    assert lines[0].startswith(f"team-b {MODEL}  enough quota for a session, and fewer sessions")
    assert lines[1] == "about as good: team-a, team-c"
    (line,) = [line for line in lines if line.split()[0] == "team-a"]
    assert line.endswith("2 running or just sent there")
    decision = json.loads(nadja.run("select", "--json").stdout)
    assert (decision["provider"], decision["equal"]) == ("team-c", ["team-a", "team-b"])


def test_reading_others_ends_when_the_time_of_a_wake_is_over(nadja: Member, vera: Member) -> None:
    announces(vera, "team-a")
    decision = decided(nadja, TOKMON_DEADLINE_MS="1")
    assert (decision.provider, decision.reservations.sessions) == ("team-a", {})


def test_the_last_decision_of_a_sidecar_holds_for_a_minute_since_nothing_watches_any_more(
    nadja: Member, vera: Member
) -> None:
    announces(vera)
    decided(nadja)
    assert seconds(left(nadja)) == UNCOVERED_S
    with sidecar(env=dict(nadja.env)) as one:
        wait_until(lambda: seconds(left(nadja)) > UNCOVERED_S, "it decides, and watches")
        one.stop()
    assert seconds(left(nadja)) == UNCOVERED_S


def seconds(content: DecisionFile) -> int:
    return content.expires - content.clock.uptime
