"""Root upgrades a host while its members' sessions run, and goes back again."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.install.roots.debian import PATIENCE_S
from tests.install.roots.host import CHECKOUT, Host
from tests.sidecar.running import lines_of, wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(PATIENCE_S)]

LOAD: Final = (Path(__file__).with_name("load.py")).read_text()
SOCKET: Final = ".local/state/tokmon/sock"
LOG: Final = ".logs/token-monitor/piggyback.jsonl"
ROUNDS: Final = 10


class Load:
    """Sessions and wake scripts of one member, who does not stop."""

    def __init__(self, host: Host, name: str) -> None:
        self.home = host.home(name)
        # Nice: the upgrade is not to wait for it.
        words = ("nice", "-n", "19", "python3", "-c", LOAD, f"/home/{name}/{SOCKET}", f"/home/{name}/progress")
        self._process = subprocess.Popen(
            host.root.command(*words, user=name), cwd="/", stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    @property
    def progress(self) -> dict[str, int]:
        assert self._process.poll() is None, self._process.communicate()
        with contextlib.suppress(FileNotFoundError):
            found: dict[str, int] = json.loads((self.home / "progress").read_text())
            return found
        return {"told": 0, "asked": 0}

    def goes_on(self) -> None:
        """Wait until it has told and asked some more."""
        before = self.progress["asked"]
        wait_until(lambda: self.progress["asked"] >= before + ROUNDS, "more of what the sessions tell", seconds=100)

    def end(self) -> None:
        said = self._process.communicate("\n", timeout=PATIENCE_S)[1]
        assert (self._process.returncode, said) == (0, "")

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def load(host: Host) -> Iterator[Load]:
    host.installed("--all")
    host.root.sh("~/.local/bin/tokmon sidecar --detach", user="cat")
    found = Load(host, "ann")
    yield found
    found.kill()


def version(host: Host) -> str:
    return host.root.path("/opt/tokmon/current").readlink().name


def sidecar_of(host: Host, name: str) -> str:
    """The command of the member's sidecar."""
    pid = (host.home(name) / ".local/state/tokmon/sidecar.lock").read_text().strip()
    return host.root.sh(f"tr '\\0' ' ' </proc/{pid}/cmdline")


def test_an_upgrade_and_the_way_back_lose_no_capture_and_fail_no_hook(host: Host, load: Load) -> None:
    first = version(host)
    load.goes_on()
    host.root.sh(f"echo >>{CHECKOUT}/README.md")
    host.installed("--all")
    second = version(host)
    assert second != first
    for name in ("ann", "cat"):
        assert f"/versions/{second}/" in sidecar_of(host, name)
    load.goes_on()
    host.installed("--all", "--rollback")
    assert version(host) == first
    for name in ("ann", "cat"):
        assert f"/versions/{first}/" in sidecar_of(host, name)
    load.goes_on()
    told = load.progress["told"]
    load.end()
    ids = [line["id"] for line in lines_of(load.home / LOG)]
    assert len(ids) == len(set(ids))
    assert {f"capture-{number:08}" for number in range(told)} <= set(ids)
