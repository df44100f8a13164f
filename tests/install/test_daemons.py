"""launchd, as far as it can be shown elsewhere: what is written, and what `launchctl` is told."""

import os
import plistlib
from pathlib import Path

import pytest

from tokmon.installer import daemons, launchd
from tokmon.installer.members import Member
from tokmon.installer.plan import carry_out
from tokmon.installer.receipt import Receipt

PROGRAM = Path("/opt/tokmon/current/bin/tokmon")


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a `launchctl` that only takes notes was told; daemons are put into a folder of the test."""
    notes, program = tmp_path / "told", tmp_path / "bin" / "launchctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$*" >>"{notes}"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(launchd, "FOLDER", tmp_path / "LaunchDaemons")
    return notes


def test_a_member_gets_a_daemon_once_and_it_goes_with_the_rest(told: Path, tmp_path: Path) -> None:
    member = Member("vigilio", 501, 20, Path("/Users/vigilio"), Path("/srv/agents/vigilio"))
    receipt = Receipt(tmp_path / "receipt.json")
    assert carry_out(daemons.install(member, PROGRAM, receipt), dry_run=False) == 2
    place = tmp_path / "LaunchDaemons" / "tokmon.sidecar.vigilio.plist"
    said = plistlib.loads(place.read_bytes())
    assert said["ProgramArguments"] == [str(PROGRAM), "sidecar"]
    assert said["EnvironmentVariables"]["PI_CODING_AGENT_DIR"] == "/srv/agents/vigilio"
    assert told.read_text().splitlines() == ["bootout system/tokmon.sidecar.vigilio", f"bootstrap system {place}"]
    again = Receipt.load(receipt.path)
    told.unlink()
    assert carry_out(daemons.install(member, PROGRAM, again), dry_run=False) == 0
    assert told.read_text().splitlines() == ["print system/tokmon.sidecar.vigilio"]
    told.unlink()
    assert carry_out(daemons.remove(again), dry_run=False) == 1
    assert told.read_text().splitlines() == ["bootout system/tokmon.sidecar.vigilio"]
