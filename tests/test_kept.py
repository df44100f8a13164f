"""The file of the kept decision, and what it rests on: its own short rules are those of everybody else."""

import os
import re
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokmon.grounds import Grounds

from tests.commands.logbook import write
from tests.selection.pool import anybody
from tokmon import kept, paths
from tokmon.decision import decision_file, policy_cache
from tokmon.evidence.snapshot import Snapshot
from tokmon.selection.choose import Decision, choose
from tokmon.selection.horizon import look_ahead
from tokmon.selection.overrides import asked, relevant
from tokmon.selection.policy import Policy
from tokmon.store import state_file
from tokmon.wire.instants import rfc3339

PLACES = (
    "HOME",
    "TOKMON_STATE_DIR",
    "XDG_STATE_HOME",
    "TOKMON_LOG_DIR",
    "TOKMON_CONFIG_DIR",
    "XDG_CONFIG_HOME",
    "PI_CODING_AGENT_DIR",
    "XDG_RUNTIME_DIR",
    "TOKMON_DECISION",
)
CANNOT_MATTER = {
    "TOKMON_DEADLINE_MS": "bounds what takes time",
    "TOKMON_DISABLE": "is the extension's",
    "TOKMON_FSYNC": "is the sidecar's",
    "TOKMON_MEMBER": "says who asks",
    "TOKMON_MISSION": "is the extension's",
    "TOKMON_NO_SPAWN": "is the extension's",
    "TOKMON_NO_SYSTEMD": "is the installer's",
    "TOKMON_PI": "begins the names of what is rendered",
    "TOKMON_PREFIX": "is the installer's",
    "TOKMON_PYTHON": "is the installer's",
    "TOKMON_SOCKET": "is the sidecar's",
}
_FOLDERS = st.sampled_from(["", "/", "/a", "/a/", "//a", "/a//b", "/a/./b", "/a/../b", "a/b", "/a b", "/a\nb"])
_ENV = st.dictionaries(st.sampled_from(PLACES), _FOLDERS)
POLICY = Policy(chain=("team-ludo",))
"""One account: whatever it would answer, nobody else can be chosen, and nobody is asked."""

ANY_HOME = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(_ENV)
def test_it_is_looked_for_where_everything_lies_or_nowhere(env: dict[str, str]) -> None:
    try:
        places = kept.Places(env)
    except ValueError:
        return
    found = paths.find(env)
    assert [places.home, places.state, places.logs] == list(map(str, (found.home, found.state, found.logs)))
    assert places.files == [str(found.config), str(found.models)]
    assert Path(places.decision) == decision_file.place(found, env)


@given(
    st.lists(st.sampled_from(["a.jsonl", ".jsonl", ".b.jsonl", "c.JSONL", "decisions.jsonl", "d.jsonl.1", "é.jsonl"]))
)
@ANY_HOME
def test_its_logs_are_those_that_hold_evidence(names: list[str]) -> None:
    found = paths.find()
    for path in found.logs.glob("*"):
        path.unlink()
    for name in names:
        write(name, b"")
    stamped = [line.split(" ", 6)[6] for line in kept.log_stamps(str(found.logs)).splitlines() if line[:4] == "log "]
    assert stamped == [path.name for path in state_file.evidence_logs(found)]


@given(st.dictionaries(st.sampled_from(["TOKMON_PIN", "TOKMON_SELECT_X", *kept.OVERRIDES, *kept.DEFAULTS]), st.text()))
def test_whatever_asks_for_another_choice_is_seen(env: dict[str, str]) -> None:
    wanted = asked(env)
    if not kept.overridden(env):
        assert not relevant(env)
        assert not wanted.errors
        assert "pin" not in wanted.fields


def test_every_variable_that_tokmon_knows_is_heeded_or_cannot_matter() -> None:
    sources = [path.read_text("utf-8") for path in Path(paths.__file__).parent.rglob("*.py")]
    known = {name for source in sources for name in re.findall(r"\b(?:TOKMON|VIGILIO|BUDGET)_[A-Z_]*[A-Z]\b", source)}
    heeded = {*PLACES, *kept.OVERRIDES, *kept.DEFAULTS}
    odd = {name for name in known if name not in heeded and not name.startswith("TOKMON_SELECT")}
    assert odd == set(CANNOT_MATTER)


def decision(provider: str = "team-ludo") -> Decision:
    found = choose(POLICY, Snapshot(), time.time())
    assert found is not None
    return Decision(provider, found.model, found.reason, found.policy, found.decided_at, found.valid_until)


def keep(found: Decision, *, meanwhile: bytes | None = None) -> kept.Kept | None:
    """What is found of a decision that was kept, where so much was written while it was made."""
    here = paths.find()
    grounds = Grounds(here)
    grounds.state()
    if meanwhile is not None:
        write("piggyback.jsonl", meanwhile)
    decision_file.write(here, os.environ, found)
    grounds.keep(found, look_ahead(POLICY, Snapshot(), choose(POLICY, Snapshot(), found.decided_at) or found, anybody))
    return at_once()


def at_once() -> kept.Kept | None:
    clock = kept.clock()
    assert clock is not None
    return kept.find(kept.Places(os.environ), *clock)


def test_what_is_kept_is_found() -> None:
    found = keep(decision())
    assert found is not None
    assert (found.provider, found.model) == ("team-ludo", POLICY.model)
    assert (found.emergency, found.spends, found.crossing) == (False, False, 30)
    assert 600 * 100 < found.until - found.issued < 3 * 3600 * 100


def test_what_changes_while_it_is_read_is_not_kept() -> None:
    assert keep(decision(), meanwhile=b"{}\n") is None
    assert not (paths.find().state / kept.NAME).exists()


def test_evidence_that_was_never_read_is_not_kept() -> None:
    Grounds(paths.find()).keep(decision(), look_ahead(POLICY, Snapshot(), decision("team-vigilio"), anybody))
    assert not (paths.find().state / kept.NAME).exists()


def test_a_line_whose_clock_runs_ahead_leaves_nothing_certain() -> None:
    write("piggyback.jsonl", {"ts": rfc3339(time.time() + 900), "id": "a", "provider": "a", "status": "allowed"})
    grounds = Grounds(paths.find())
    assert grounds.state().ahead
    assert not grounds.certain({}, decision())


def test_a_name_that_the_hook_does_not_take_is_not_kept() -> None:
    for odd in ("é", "a~b", "p" * 201):
        keep(decision(odd))
        assert not (paths.find().state / kept.NAME).exists()


def test_a_folder_with_an_odd_name_is_not_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKMON_LOG_DIR", str(tmp_path / "a\nb"))
    policy_cache.load(paths.find(), os.environ)
    grounds = Grounds(paths.find())
    grounds.state()
    grounds.keep(decision(), look_ahead(POLICY, Snapshot(), decision("team-vigilio"), anybody))
    with pytest.raises(ValueError, match=r"^$"):
        kept.Places(os.environ)


def test_a_file_that_is_cut_or_damaged_is_no_other_decision() -> None:
    write("piggyback.jsonl", b"{}\n")
    assert keep(decision()) is not None
    path = paths.find().state / kept.NAME
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place])
        assert at_once() is None, whole[:place]
    for place in range(len(whole)):
        for other in (b"\0", b" ", b"\n", b"9", b"\xff"):
            path.write_bytes(whole[:place] + other + whole[place + 1 :])
            found = at_once()
            assert found is None or (found.provider, found.model) == ("team-ludo", POLICY.model)
            assert found is None or found.until - found.issued <= 3 * 3600 * 100
    path.write_bytes(whole + b"x")
    assert at_once() is None


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: f"tokmon-kept 1 {text}".encode()))
@ANY_HOME
def test_any_bytes_in_its_place_are_no_decision(data: bytes) -> None:
    path = paths.find().state / kept.NAME
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_bytes(data)
    assert at_once() is None
