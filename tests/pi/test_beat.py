"""The example of a wake script with a real pi: each version takes its words as it gives them."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.extension.driver import EXTENSION
from tests.install.capabilities import SHELLS, without_shell
from tests.patience import PATIENCE_S
from tests.pi import install
from tests.pi.answers import DEFAULT_TEXT
from tests.pi.listener import PiListener
from tests.pi.provider import Provider
from tests.pi.runner import Home
from tests.pi.seats import Seat

pytestmark = pytest.mark.pi

ROOT: Final = Path(__file__).resolve().parents[2]


def program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("version", "shell"),
    [("0.66.1", "dash"), ("0.87.1", "busybox"), ("1.6.0", "bash")],
)
def test_pi_answers_on_the_account_of_the_hook_and_its_events_know_the_mission(
    provider: Provider, tmp_path: Path, version: str, shell: str
) -> None:
    if reason := without_shell(shell):
        pytest.skip(reason)
    pi, seats = install.pi(version), [Seat("team-a"), Seat("team-b", model="vendor/model-2:x")]
    home = Home.make(pi, tmp_path / "home", provider, seats, extensions=[EXTENSION])
    hook = home.root / ".local" / "share" / "tokmon" / "hooks" / "budget-select"
    hook.parent.mkdir(parents=True)
    shutil.copy2(ROOT / "hooks" / "budget-select", hook)
    wishes = {
        "TOKMON_BIN": str(program(tmp_path / "tokmon", "echo team-b vendor/model-2:x")),
        "TOKMON_PI": " ".join(pi.command),
        "TOKMON_SOCKET": str(tmp_path / "sock"),
        "TOKMON_NO_SPAWN": "1",
        "TOKMON_MISSION": "fix-login",
    }
    with PiListener(tmp_path, home.root) as listener:
        done = subprocess.run(
            [*SHELLS[shell], ROOT / "bootstrap" / "beat.sh", "-p", "hello"],
            env={**home.env, **wishes},
            cwd=home.work,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        (capture,) = listener.of("capture")
    assert (done.returncode, done.stdout.strip()) == (0, DEFAULT_TEXT)
    assert done.stderr == "Budget-select: starting on team-b\n"
    assert [(each.seat, each.model) for each in provider.served] == [("team-b", "vendor/model-2:x")]
    assert (capture["provider"], capture["model"], capture["mission"]) == ("team-b", "vendor/model-2:x", "fix-login")
