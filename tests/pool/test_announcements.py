"""Decisions of the last minutes, as a member announces them and others read them."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.patience import PATIENCE_S
from tests.pool.members import Member, member
from tokmon.pool import folder
from tokmon.pool.announcements import RECENT_S, Announced, announce, decisions_of, own_decisions
from tokmon.pool.folder import FILES
from tokmon.wire.instants import rfc3339

MODEL = "claude-sonnet-4-6"


def logged(provider: str, age: float = 0.0, source: str = "select") -> dict[str, Any]:
    """A line of the log of decisions."""
    return {"ts": rfc3339(time.time() - age), "source": source, "provider": provider, "model": MODEL}


def announced(one: Member) -> list[str]:
    return [decision.provider for decision in decisions_of(believed(one), time.time())]


def believed(one: Member) -> folder.Member:
    return folder.Member(one.name, one.published, os.geteuid())


def say(one: Member, content: object) -> None:
    one.published.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (one.published / "decisions.json").write_text(text, encoding="utf-8")


@pytest.fixture
def nadja(tmp_path: Path) -> Member:
    return member(tmp_path, "nadja")


def test_a_decision_is_announced_with_its_account_model_and_expected_length(nadja: Member) -> None:
    nadja.configure({"team-a": "sk-a"}, f'[select]\nchain = ["team-a"]\nmodel = "{MODEL}"\nsession_minutes = 90\n')
    assert nadja.select() == "team-a"
    content = json.loads((nadja.published / "decisions.json").read_text(encoding="utf-8"))
    (line,) = nadja.paths.decisions.read_text(encoding="utf-8").splitlines()
    decision = {"ts": json.loads(line)["ts"], "provider": "team-a", "model": MODEL, "minutes": 90.0}
    assert content == {"version": 1, "decisions": [decision]}


def test_a_pinned_account_is_announced_too(nadja: Member) -> None:
    nadja.configure({"team-a": "sk-a"})
    pinned = Member(nadja.name, {**nadja.env, "TOKMON_PIN": "team-z"})
    assert pinned.select() == "team-z"
    assert announced(nadja) == ["team-z"]


def test_nothing_is_announced_by_a_member_that_does_not_share(nadja: Member) -> None:
    nadja.configure({"team-a": "sk-a"}, '[select]\nchain = ["team-a"]\n[pool]\nshare = false\n')
    assert nadja.select() == "team-a"
    assert not nadja.paths.pool.exists()
    assert [one.provider for one in own_decisions(nadja.paths.decisions, time.time())] == ["team-a"]


def test_a_pool_that_cannot_be_written_costs_a_warning(nadja: Member) -> None:
    nadja.configure({"team-a": "sk-a"})
    nadja.paths.pool.write_text("in the way", encoding="ascii")
    done = nadja.run("select")
    assert (done.returncode, done.stdout) == (0, f"team-a {MODEL}\n")
    assert "other members" in done.stderr


def test_own_decisions_are_those_of_the_last_minutes_for_a_session(nadja: Member) -> None:
    nadja.log(
        logged("too-old", RECENT_S + 5),
        logged("team-a", RECENT_S - 60),
        logged("made-beforehand", 50, "sidecar"),
        logged("from-the-future", -3600),
        logged("a name", 30),
        {"ts": 7, "source": "select"},
        logged("team-b", 20),
        name="decisions.jsonl",
    )
    with nadja.paths.decisions.open("ab") as log:
        log.write(b'\xff\x00 rubbish\n[1]\n{"ts":"2026')
    now = time.time()
    assert [one.provider for one in own_decisions(nadja.paths.decisions, now)] == ["team-a", "team-b"]
    assert own_decisions(nadja.paths.logs / "none.jsonl", now) == []
    assert own_decisions(nadja.paths.logs, now) == []


def test_of_a_long_log_only_the_end_is_read(nadja: Member) -> None:
    nadja.log(logged("before", 60), name="decisions.jsonl")
    with nadja.paths.decisions.open("ab") as log:
        log.truncate(20 << 30)
        log.seek(0, os.SEEK_END)
        log.write(b"\n")
    nadja.log(*(logged("team-a", 30) for _ in range(3)), name="decisions.jsonl")
    assert [one.provider for one in own_decisions(nadja.paths.decisions, time.time())] == ["team-a"] * 3


def test_the_newest_decisions_are_announced_of_more_than_there_is_room_for(nadja: Member) -> None:
    long = "x" * 196
    nadja.log(*(logged(f"{long}{number:04}", 60) for number in range(400)), name="decisions.jsonl")
    announce(nadja.paths, nadja.env, Announced(time.time(), f"{long}last", MODEL), 60.0)
    assert (nadja.published / "decisions.json").stat().st_size <= FILES["decisions"]
    names = announced(nadja)
    assert names[-2:] == [f"{long}0399", f"{long}last"]
    assert len(names) > 60


ANNOUNCES = """
import os, sys, time
from tokmon import paths
from tokmon.pool.announcements import Announced, announce
from tokmon.store.append import append_unlocked
from tokmon.store.codec import encode
from tokmon.wire.instants import rfc3339
where = paths.find()
sys.stdin.readline()
for number in range(8):
    now, name = time.time(), f"team-{os.getpid()}-{number}"
    append_unlocked(where.decisions, encode({"ts": rfc3339(now), "source": "select", "provider": name, "model": "m"}))
    announce(where, os.environ, Announced(now, name, "m"), 60.0)
"""


def test_many_decisions_of_one_member_at_once_lose_none_of_each_other(nadja: Member) -> None:
    command = [sys.executable, "-c", ANNOUNCES]
    processes = [subprocess.Popen(command, env=dict(nadja.env), stdin=subprocess.PIPE) for _ in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0
    assert {*announced(nadja)} == {f"team-{process.pid}-{number}" for process in processes for number in range(8)}


def _entry(**fields: object) -> dict[str, object]:
    return {"ts": rfc3339(time.time() - 5), "provider": "team-a", "model": MODEL, "minutes": 60, **fields}


HOSTILE: dict[str, Callable[[], object]] = {
    "not JSON": lambda: "{" * 1000,
    "a list": lambda: [_entry()],
    "of another version": lambda: {"version": 2, "decisions": [_entry()]},
    "no list": lambda: {"version": 1, "decisions": {"a": _entry()}},
    "not objects": lambda: {"version": 1, "decisions": [7, None, "x", [_entry()]]},
    "no instant": lambda: {"version": 1, "decisions": [_entry(ts=None), _entry(ts=1e300), _entry(ts="now")]},
    "from the future": lambda: {"version": 1, "decisions": [_entry(ts=rfc3339(time.time() + 3600))]},
    "old": lambda: {"version": 1, "decisions": [_entry(ts=rfc3339(time.time() - RECENT_S - 1))]},
    "no name": lambda: {"version": 1, "decisions": [_entry(provider=n) for n in (None, 7, "a b", "\x1b[1m", "")]},
    "too large": lambda: {"version": 1, "decisions": [_entry()], "more": "x" * FILES["decisions"]},
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_what_another_member_cannot_have_meant_is_ignored(nadja: Member, content: Callable[[], object]) -> None:
    say(nadja, content())
    assert announced(nadja) == []
    say(nadja, {"version": 1, "decisions": [_entry()]})
    assert announced(nadja) == ["team-a"]


def test_a_link_or_a_pipe_in_the_place_of_the_file_is_ignored(nadja: Member, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text(json.dumps({"version": 1, "decisions": [_entry()]}), encoding="utf-8")
    nadja.published.mkdir(parents=True)
    file = nadja.published / "decisions.json"
    file.symlink_to(other)
    assert announced(nadja) == []
    file.unlink()
    os.mkfifo(file)
    assert announced(nadja) == []
