"""A fresh Debian with nothing but python3, python3-venv and git: the README's two commands."""

import json
import re
from pathlib import Path
from typing import Final

import pytest

from tests.install.roots.debian import PATIENCE_S
from tests.install.roots.host import OFFLINE
from tests.install.roots.throwaway import Root
from tests.install.test_user_units import CLIENT
from tests.sidecar.running import capture

pytestmark = pytest.mark.timeout(PATIENCE_S)

README: Final = Path(__file__).parents[3] / "README.md"
REPOSITORY: Final = "--quiet /srv/tokmon/tokmon.bundle"


def commands() -> list[str]:
    """What the README says to type."""
    found = re.search(r"^## Install\n.*?^```sh\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1].splitlines()


def test_the_two_commands_of_the_readme_lead_to_a_first_reading(root: Root) -> None:
    clone, install = commands()
    assert "<this repository>" in clone
    root.sh("useradd --create-home ann; runuser -u ann -- mkdir -p /home/ann/.pi/agent")
    root.sh(f"cd\n{clone.replace('<this repository>', REPOSITORY)}\n{install}", user="ann", **OFFLINE)
    # In place of pi's extension, which starts the sidecar with the first session.
    root.sh("~/.local/bin/tokmon sidecar --detach", user="ann")
    client = CLIENT.replace('os.environ["XDG_RUNTIME_DIR"] + "/tokmon/sock"', '"/home/ann/.local/state/tokmon/sock"')
    done = root.run("python3", "-c", client, user="ann", stdin=json.dumps(capture(1)))
    assert done.returncode == 0, done.stderr
    assert "team-vigilio" in root.sh("~/.local/bin/tokmon status", user="ann")


def test_the_two_commands_of_the_readme_work_as_root_before_anybody_used_pi(root: Root) -> None:
    clone, install = commands()
    screen = root.sh(f"exec 2>&1\ncd\n{clone.replace('<this repository>', REPOSITORY)}\n{install}", **OFFLINE)
    assert "hint: run a turn of pi" in screen
