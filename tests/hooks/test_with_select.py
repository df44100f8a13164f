"""The hook and the real `tokmon select`: what one leaves, the other believes, and both give the same answer."""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.commands.logbook import write
from tests.commands.test_select_probes import DEAD, probed_accounts, seats
from tests.configuration import select
from tests.decision.freshness import age_inputs, fresh, place
from tests.hooks.test_decision_file import OVERRIDES
from tests.hooks.wake import HOOK, LINE
from tests.patience import PATIENCE_S
from tests.probes.loopback import Reply
from tokmon import paths
from tokmon.decision import settings
from tokmon.wire.instants import rfc3339

TEAM_A, TEAM_B = "team-a claude-sonnet-4-6", "team-b claude-sonnet-4-6"


@pytest.fixture(autouse=True)
def two_seats() -> None:
    """Two seats, of which the second is the one to take."""
    select(chain=["team-a", "team-b"], emergency="gate", policy="threshold", model="claude-sonnet-4-6")
    write("piggyback.jsonl", turn("team-a", 0.95), turn("team-b", 0.30))
    write("decisions.jsonl")
    age_inputs()


def turn(provider: str, used: float, age: float = 60) -> dict[str, Any]:
    now = time.time()
    week = {"name": "7d", "utilization": used, "resets_at": rfc3339(now + 86400)}
    line = {"ts": rfc3339(now - age), "id": f"turn-{provider}-{age:g}", "source": "piggyback", "provider": provider}
    return {**line, "status": "allowed", "windows": [week]}


def wake(program: Path | str, **env: str) -> str:
    """The line that the hook prints; it asks `program`."""
    done = subprocess.run(
        [str(HOOK)],
        capture_output=True,
        text=True,
        env={**os.environ, "TOKMON_BIN": str(program), "TOKMON_DEADLINE_MS": "30000", **env},
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0
    assert LINE.fullmatch(done.stdout)
    assert len(done.stderr.splitlines()) <= 1
    return done.stdout.strip()


def decided() -> int:
    return len(paths.find().decisions.read_bytes().splitlines())


def test_the_decision_that_select_leaves_answers_the_next_wake_without_it(program: Path) -> None:
    assert wake(program) == TEAM_B
    assert fresh()
    before = decided()
    assert wake("/bin/false") == TEAM_B
    assert wake(program) == TEAM_B
    assert decided() == before, "no wake asked"


def test_new_evidence_of_any_writer_makes_the_next_wake_decide_again(program: Path) -> None:
    assert wake(program) == TEAM_B
    write("another-tool.jsonl", turn("team-a", 0.1, age=1))
    assert wake(program) == TEAM_A
    assert wake("/bin/false") == TEAM_A


def test_an_edited_configuration_counts_at_the_next_wake(program: Path) -> None:
    assert wake(program) == TEAM_B
    edited = paths.find().config.with_name("edited")
    edited.write_text('[select]\nchain = ["team-a"]\n', encoding="ascii")
    os.utime(edited, (1_000_000_000, 1_000_000_000))
    edited.rename(paths.find().config)
    assert wake(program) == TEAM_A


def test_an_override_concerns_one_call(program: Path) -> None:
    assert wake(program, BUDGET_SWITCH_THRESHOLD="0.97") == TEAM_A
    assert wake(program, TOKMON_PIN="somebody") == "somebody claude-sonnet-4-6"
    assert wake(program) == TEAM_B
    assert wake("/bin/false") == TEAM_B


def test_where_nothing_was_decided_the_default_is_the_first_account_of_the_policy(program: Path) -> None:
    subprocess.run(
        [program, "doctor"], env={**os.environ, "TOKMON_BIN": str(program)}, capture_output=True, check=False
    )
    subprocess.run([program, "status"], capture_output=True, check=True)
    assert wake("/bin/false") == TEAM_A


@pytest.mark.parametrize("damage", [b"\x00\xff", b"[select]\nchain = 7\n", b"chain ="])
def test_a_damaged_configuration_state_and_log_still_give_an_answer(program: Path, damage: bytes) -> None:
    assert wake(program) == TEAM_B
    locations = paths.find()
    place().unlink()
    locations.config.write_bytes(damage)
    locations.snapshot.write_bytes(damage)
    write("probe.jsonl", damage)
    assert wake(program) == TEAM_B


def test_of_thirty_real_wakes_at_once_one_decides(program: Path) -> None:
    assert wake(program) == TEAM_B
    select(chain=["team-b", "team-a"], policy="threshold")
    before = decided()
    env = {**os.environ, "TOKMON_BIN": str(program), "TOKMON_DEADLINE_MS": "60000"}
    wakes = [subprocess.Popen([HOOK], env=env, stdout=subprocess.PIPE, text=True) for _ in range(30)]
    assert {process.communicate(timeout=PATIENCE_S)[0].strip() for process in wakes} == {TEAM_B}
    assert 1 <= decided() - before <= 3
    assert json.loads(paths.find().decisions.read_bytes().splitlines()[-1])["provider"] == "team-b"


def test_every_key_of_the_configuration_is_an_override_that_the_hook_knows() -> None:
    keys = {f"TOKMON_SELECT_{key.upper()}" for key in settings.KEYS}
    assert keys == {name for name in OVERRIDES if name.startswith("TOKMON_SELECT_")}


def test_a_wake_whose_providers_hang_still_has_an_answer_in_time(program: Path) -> None:
    with seats(team_a=Reply(hold=True), team_b=Reply(hold=True)) as server:
        for log in ("piggyback.jsonl", "decisions.jsonl"):
            (paths.find().logs / log).unlink()
        for deadline in ("1", "300", "700", "1100", "15000"):
            assert wake(program, TOKMON_DEADLINE_MS=deadline, TOKMON_DEFAULT_PROVIDER="team-a") == TEAM_A
            assert not server.over.is_set(), "the provider still hangs"


def test_a_wake_passes_on_a_choice_that_was_probed_for(program: Path) -> None:
    with seats(team_a=DEAD) as server:
        (paths.find().logs / "piggyback.jsonl").unlink()
        assert wake(program) == TEAM_B
        assert probed_accounts(server) == ["team-a", "team-b"]
        assert wake("/bin/false") == TEAM_B, "from the file that it has left"
