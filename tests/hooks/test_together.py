"""The hook and the tokmon that it asks: every way gives the same answer for the same evidence."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.commands.logbook import write
from tests.configuration import select
from tests.hooks.test_decision_file import OVERRIDES
from tests.hooks.wake import HOOK, LINE
from tokmon import paths
from tokmon.decision import decision_file, settings
from tokmon.wire.instants import rfc3339


@pytest.fixture(autouse=True)
def seats() -> None:
    """Two seats, of which the second is the one to take."""
    select(chain=["team-a", "team-b"], emergency="gate", policy="threshold", model="claude-sonnet-4-6")
    now = time.time()
    for name, used in (("team-a", 0.95), ("team-b", 0.30)):
        window = {"name": "7d", "utilization": used, "resets_at": rfc3339(now + 86400)}
        said = {"ts": rfc3339(now - 60), "id": f"turn-{name}", "source": "piggyback", "provider": name}
        write("piggyback.jsonl", {**said, "status": "allowed", "windows": [window]})


def wake(program: Path | str, **env: str) -> str:
    """One line, whatever happens."""
    done = subprocess.run(
        [str(HOOK)],
        capture_output=True,
        text=True,
        env={**os.environ, "TOKMON_BIN": str(program), "TOKMON_DEADLINE_MS": "20000", **env},
        timeout=40,
        check=False,
    )
    assert done.returncode == 0
    assert LINE.fullmatch(done.stdout)
    assert len(done.stderr.splitlines()) <= 1
    return done.stdout.strip()


def test_the_long_way_the_quick_way_and_the_last_good_decision_agree(program: Path) -> None:
    assert wake(program) == "team-b claude-sonnet-4-6"
    assert wake("/bin/false") == "team-b claude-sonnet-4-6", "from the file that the first has left"
    decision_file.place(paths.find(), os.environ).unlink()
    assert wake("/bin/false") == "team-b claude-sonnet-4-6", "from the last good decision"


def test_what_is_told_again_is_what_would_be_decided(program: Path) -> None:
    assert wake(program) == "team-b claude-sonnet-4-6"
    found = paths.find()
    for made in (False, True):
        if made:
            (found.state / "decision.kept").unlink()
        decision_file.place(found, os.environ).unlink()
        assert wake(program) == "team-b claude-sonnet-4-6"
        last = json.loads((found.logs / "decisions.jsonl").read_bytes().splitlines()[-1])
        assert ("alternatives" in last) == made
        assert wake("/bin/false") == "team-b claude-sonnet-4-6", "from the file that it has left"


def test_an_override_is_of_one_call(program: Path) -> None:
    assert wake(program, BUDGET_SWITCH_THRESHOLD="0.97") == "team-a claude-sonnet-4-6"
    assert wake(program, TOKMON_PIN="somebody") == "somebody claude-sonnet-4-6"
    assert wake(program) == "team-b claude-sonnet-4-6"
    assert wake("/bin/false") == "team-b claude-sonnet-4-6"


@pytest.mark.parametrize("damage", [b"\x00\xff", b"[select]\nchain = 7\n", b"chain ="])
def test_a_damaged_configuration_state_and_log_answer_all_the_same(program: Path, damage: bytes) -> None:
    assert wake(program) == "team-b claude-sonnet-4-6"
    found = paths.find()
    decision_file.place(found, os.environ).unlink()
    found.config.write_bytes(damage)
    found.snapshot.parent.mkdir(parents=True, exist_ok=True)
    found.snapshot.write_bytes(damage)
    write("probe.jsonl", damage)
    assert wake(program) == "team-b claude-sonnet-4-6"


def test_every_key_of_the_configuration_is_an_override_that_the_hook_knows() -> None:
    keys = {f"TOKMON_SELECT_{key.upper()}" for key in settings.KEYS}
    assert keys == {name for name in OVERRIDES if name.startswith("TOKMON_SELECT_")}
