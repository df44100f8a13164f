"""A fresh Debian with nothing but python3, python3-venv and git: the README's two commands."""

from pathlib import Path
from typing import Final

import pytest

from tests.install.roots.debian import PATIENCE_S
from tests.install.roots.throwaway import Root

pytestmark = pytest.mark.timeout(PATIENCE_S)

OFFLINE: Final = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "file:///srv/wheels"}
COMMANDS: Final = "git clone <this repository> tokmon\ntokmon/bootstrap/install.sh"


def test_the_two_commands_of_the_readme_are_enough_for_one_member(root: Root) -> None:
    page = Path(__file__).parents[3] / "docs" / "install.md"
    assert COMMANDS in page.read_text()
    root.sh("useradd --create-home ann; mkdir -p /home/ann/.pi/agent; chown -R ann: /home/ann")
    script = "cd; " + COMMANDS.replace("<this repository>", "--quiet /srv/tokmon/tokmon.bundle").replace("\n", "; ")
    root.sh(script, user="ann", **OFFLINE)
    assert root.sh("~/.local/bin/tokmon --version", user="ann").startswith("tokmon ")
