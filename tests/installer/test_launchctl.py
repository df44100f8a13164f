"""launchd, as far as it can be shown elsewhere: what is written, and what `launchctl` is calls."""

import os
import plistlib
from pathlib import Path

import pytest

from tokmon.installer.host import launchd
from tokmon.installer.host.members import HostMember
from tokmon.installer.host.run_as import UnixAccount
from tokmon.installer.user.plan import execute
from tokmon.installer.user.receipt import Receipt

PROGRAM = Path("/opt/tokmon/current/bin/tokmon")


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The calls of a `launchctl` that only writes them down; daemons are put into a folder of the test."""
    notes, program = tmp_path / "calls", tmp_path / "bin" / "launchctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$*" >>"{notes}"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(launchd, "FOLDER", tmp_path / "LaunchDaemons")
    return notes


def test_a_member_gets_a_daemon_once_and_it_goes_with_the_rest(calls: Path, tmp_path: Path) -> None:
    member = HostMember(UnixAccount("vigilio", 501, 20, Path("/Users/vigilio")), Path("/srv/agents/vigilio"))
    receipt = Receipt(tmp_path / "receipt.json")
    assert execute(launchd.install(member, PROGRAM, receipt), dry_run=False) == 2
    place = tmp_path / "LaunchDaemons" / "tokmon.sidecar.vigilio.plist"
    daemon = plistlib.loads(place.read_bytes())
    assert daemon["ProgramArguments"] == [str(PROGRAM), "sidecar"]
    assert daemon["EnvironmentVariables"]["PI_CODING_AGENT_DIR"] == "/srv/agents/vigilio"
    assert calls.read_text().splitlines() == ["bootout system/tokmon.sidecar.vigilio", f"bootstrap system {place}"]
    again = Receipt.load(receipt.path)
    calls.unlink()
    assert execute(launchd.install(member, PROGRAM, again), dry_run=False) == 0
    assert calls.read_text().splitlines() == ["print system/tokmon.sidecar.vigilio"]
    calls.unlink()
    assert execute(launchd.remove(again), dry_run=False) == 1
    assert calls.read_text().splitlines() == ["bootout system/tokmon.sidecar.vigilio"]
