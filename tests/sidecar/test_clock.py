"""A sidecar whose clock is set: within a minute its state and its decision are those of the logs at the new instant."""

import time
from pathlib import Path
from typing import Any

from tests.commands.logbook import tokmon
from tests.commands.screens import providers
from tests.configuration import select
from tests.sidecar.running import HEADERS, capture, sidecar, wait_until
from tokmon import paths
from tokmon.decision import decision_file
from tokmon.store import state_file
from tokmon.store.codec import encode, parse
from tokmon.wire.instants import rfc3339

_SHIFTED = """
import os, time
_time = time.time
def shifted():
    with open(os.environ["CLOCK_OFFSET"]) as file:
        return _time() + float(file.read())
time.time = shifted
"""
"""A `sitecustomize` of a process whose clock is ahead by the seconds in a file."""

HOURS = 2 * 3600.0


class Clock:
    """The clock of processes with this environment."""

    def __init__(self, folder: Path) -> None:
        self._offset = folder / "offset"
        (folder / "sitecustomize.py").write_text(_SHIFTED, encoding="utf-8")
        self.env = {"CLOCK_OFFSET": str(self._offset), "PYTHONPATH": str(folder)}
        self.set(0.0)

    def set(self, ahead: float) -> None:
        new = self._offset.with_suffix(".new")
        new.write_text(str(ahead), encoding="ascii")
        new.replace(self._offset)


def event(number: int, ahead: float, used: float, provider: str = "team-a") -> dict[str, Any]:
    """A capture of a clock that is ahead by so many seconds."""
    now = time.time()
    status = "rejected" if used >= 1 else "allowed"
    unified = "anthropic-ratelimit-unified"
    figures = {"7d-utilization": str(used), "7d-status": status, "7d-reset": str(int(now + 3 * 86400))}
    headers = HEADERS | {f"{unified}-status": status} | {f"{unified}-{name}": value for name, value in figures.items()}
    code = 429 if used >= 1 else 200
    return capture(number, ts=rfc3339(now + ahead), provider=provider, headers=headers, http_status=code)


def saved() -> dict[str, Any]:
    path = paths.find().snapshot
    return (parse(path.read_bytes()) if path.exists() else None) or {"accounts": {}}


def is_rebuilt(ahead: float) -> bool:
    """Whether `state.json` has the bytes of a state that is rebuilt from the logs now."""
    state = state_file.State()
    state_file.catch_up(state, paths.find(), now=time.time() + ahead)
    return saved() == parse(encode(state.to_json()))


def test_a_clock_that_is_set_changes_the_state_within_a_minute(tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    clock.set(HOURS)
    with sidecar(env=clock.env) as running:
        talk = running.client()
        talk.send(event(1, HOURS, 0.2), event(2, HOURS, 0.3, "team-b"))
        talk.acknowledged(2)
        wait_until(lambda: set(saved()["accounts"]) == {"team-a", "team-b"}, "evidence of now counts")
        clock.set(0.0)
        wait_until(lambda: saved()["accounts"] == {}, "evidence from ahead counts no more")
        wait_until(lambda: is_rebuilt(0.0), "all logs are read again")
        clock.set(HOURS)
        wait_until(lambda: set(saved()["accounts"]) == {"team-a", "team-b"}, "its time has come")
        wait_until(lambda: is_rebuilt(HOURS), "all logs are read")


def test_true_evidence_counts_after_a_clock_was_set_back(tmp_path: Path) -> None:
    select(chain=["team-a", "team-b"], model="claude-sonnet-4-6")
    tokmon("select")  # validates the policy
    clock = Clock(tmp_path)
    clock.set(HOURS)
    with sidecar(env=clock.env) as running:
        talk = running.client()
        talk.send(event(1, HOURS, 0.2), event(2, HOURS, 0.3, "team-b"))
        talk.acknowledged(2)
        wait_until(lambda: "team-a" in saved()["accounts"], "it is saved")
        clock.set(0.0)
        talk.send(event(3, 0.0, 1.0))
        talk.acknowledged(3)
        own = paths.find()
        wait_until(lambda: set(saved()["accounts"]) == {"team-a"}, "only the true evidence counts")
        wait_until(lambda: decision_file.last_account(decision_file.path_of(own, {})) == "team-b", "it decides anew")
        wait_until(lambda: is_rebuilt(0.0), "all logs are read again")
        assert providers()["team-a"]["reason"] == "7d used up"
        assert tokmon("guard", "team-a").returncode == 1
        own.snapshot.unlink()
        assert providers()["team-a"]["reason"] == "7d used up"
