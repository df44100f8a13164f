"""Home, folders, files and space, made to fail by real modes, links, owners and a real full disk."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.clinic import finding_of, level
from tests.commands.logbook import line, write
from tokmon import paths
from tokmon.report.findings import Level

SHORT = 60.0


def test_a_missing_or_unset_home_is_a_finding(tmp_path: Path) -> None:
    assert level("home") == "ok"
    assert level("home", HOME=str(tmp_path / "none")) == "fail"
    assert level("home", HOME="") == "warn"


@pytest.mark.skipif(os.geteuid() == 0, reason="needs a user without the rights of root")
def test_a_home_of_another_user_fails() -> None:
    assert level("home", HOME="/") == "fail"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("check", ["home", "folders", "files"])
def test_what_belongs_to_another_user_fails(check: str) -> None:
    found_paths = paths.find()
    log = write("piggyback.jsonl", line("a"))
    os.chown({"home": found_paths.home, "folders": found_paths.logs, "files": log}[check], 12345, -1)
    assert level(check) == "fail"


def test_a_folder_open_to_others_fails_with_the_command_that_fixes_it() -> None:
    folder = write("piggyback.jsonl").parent
    paths.find().state.mkdir(mode=0o700)
    assert level("folders") == "ok"
    folder.chmod(0o750)
    finding = finding_of("folders")
    assert finding.level is Level.FAIL
    assert finding.fix is not None
    subprocess.run(["sh", "-c", finding.fix.strip("`")], check=True)
    assert level("folders") == "ok"


def test_a_link_in_the_place_of_a_folder_fails(tmp_path: Path) -> None:
    logs = paths.find().logs
    logs.parent.mkdir(parents=True)
    logs.symlink_to(tmp_path)
    assert level("folders") == "fail"


def test_folders_that_do_not_exist_yet_are_ok() -> None:
    assert "not created yet" in finding_of("folders").text


def test_a_file_open_to_others_fails_with_the_command_that_fixes_it() -> None:
    log = write("piggyback.jsonl", line("a"))
    assert level("files") == "ok"
    log.chmod(0o644)
    finding = finding_of("files")
    assert finding.level is Level.FAIL
    assert finding.fix is not None
    subprocess.run(["sh", "-c", finding.fix.strip("`")], check=True)
    assert level("files") == "ok"


def test_a_link_in_the_place_of_a_log_fails() -> None:
    log = write("piggyback.jsonl", line("a"))
    log.with_name("usage.jsonl").symlink_to(log)
    assert level("files") == "fail"
    assert level("writable") == "fail"


IN_A_SMALL_DISK = """
import os, sys
from tokmon import paths
from tokmon.doctor_checks import examine
from tokmon.doctor_checks.subject import Subject
subject = Subject(paths.find(), dict(os.environ), 0.0)
print(examine("disk", subject).finding.level.value)
with open(subject.paths.logs / "big", "wb", buffering=0) as file:
    try:
        while True:
            file.write(bytes(4096))
    except OSError:
        pass
print(examine("disk", subject).finding.level.value)
"""
MOUNT = 'mount -t tmpfs -o size=1m tmpfs "$1" && shift && exec "$@"'


def small_disk(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command that finds a disk of 1 MB at `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh", str(folder), *command],
        capture_output=True,
        text=True,
        timeout=SHORT,
        check=False,
    )


def test_a_disk_with_little_space_warns_and_a_full_one_fails(tmp_path: Path) -> None:
    assert level("disk") == "ok"
    if small_disk(tmp_path / "probe", sys.executable, "-c", "").returncode != 0:
        pytest.skip("no file system can be mounted here")
    done = small_disk(paths.find().logs, sys.executable, "-c", IN_A_SMALL_DISK)
    assert done.stdout.split() == ["warn", "fail"], done.stderr
