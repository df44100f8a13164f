"""Which versions are removed, and which may still be needed."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tokmon.installer.user.layout import ProgramPaths
from tokmon.installer.user.program import Program
from tokmon.installer.user.receipt import Receipt

NAMES = ("1-old", "2-before", "3-now")


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Three versions, of which the last is the current one, and the one before it was the current one."""
    paths = ProgramPaths(tmp_path / "tokmon", tmp_path / "bin" / "tokmon")
    for name in NAMES:
        (paths.versions / name / "bin").mkdir(parents=True)
        (paths.versions / name / ".complete").touch()
        (paths.versions / name / "bin" / "python3").symlink_to(Path(sys.executable).resolve())
    paths.current.symlink_to("versions/3-now")
    return Program(paths, Receipt(paths.receipt, previous="2-before"))


@pytest.fixture
def runs(program: Program) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the oldest version, such as the sidecar of a member whose part was not done."""
    python = program.version("1-old") / "bin" / "python3"
    with subprocess.Popen(
        [python, "-I", "-S", "-c", "print(flush=True); input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield process
        process.communicate()


def test_a_version_that_a_process_runs_is_kept_until_it_has_ended(
    program: Program, runs: subprocess.Popen[bytes]
) -> None:
    assert [step.path for step in program.prune("3-now")] == []
    runs.communicate(b"\n")
    assert [step.path for step in program.prune("3-now")] == [program.version("1-old")]
