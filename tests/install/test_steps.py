"""The steps that the shell script leaves to Python."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.install.conftest import ROOT

STEPS = ROOT / "bootstrap" / "steps.py"


def python(*words: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-B", *words], env={**os.environ, **more}, capture_output=True, text=True, check=False
    )


def run(*words: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    return python(STEPS, *words, **more)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder."""
    made = tmp_path / "folder"
    made.mkdir()
    return made


def test_a_python_that_came_without_pip_is_said(folder: Path) -> None:
    program = "import sys; sys.modules['ensurepip'] = None; sys.path.insert(0, sys.argv[1]); import steps, sysconfig\n"
    program += "steps.Path.glob = lambda *_: iter(())\n"
    program += "try: steps.pip(sys.argv[2])\nexcept steps.StepError as error: sys.exit(str(error))"
    done = python("-c", program, STEPS.parent, folder)
    assert (done.returncode, done.stderr) == (1, "this Python came without pip\n")
    assert not list(folder.iterdir())


def test_the_pip_that_came_with_python_is_taken(tmp_path: Path) -> None:
    done = run("pip", tmp_path)
    assert done.returncode == 0, done.stderr
    words = [sys.executable, done.stdout.strip(), "--version"]
    assert subprocess.run(words, capture_output=True, check=True).stdout.startswith(b"pip ")


@pytest.mark.parametrize("path", ["/plain/tokmon", "/with space/tokmon", '/100% "sure"/tokmon', "/back\\slash/tokmon"])
def test_a_unit_takes_any_path(tmp_path: Path, path: str) -> None:
    template = ROOT / "bootstrap" / "systemd" / "tokmon.service"
    done = run("unit", template, tmp_path / "unit", path, TOKMON_LOG_DIR=path)
    assert (done.returncode, done.stdout) == (0, "written\n")
    quoted = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    lines = (tmp_path / "unit").read_text().splitlines()
    assert f'ExecStart="{quoted}" sidecar' in lines
    assert f'Environment="TOKMON_LOG_DIR={quoted}"' in lines
    assert run("unit", template, tmp_path / "unit", path, TOKMON_LOG_DIR=path).stdout == ""


def test_a_unit_refuses_a_line_break(tmp_path: Path) -> None:
    done = run("unit", ROOT / "bootstrap" / "systemd" / "tokmon.service", tmp_path / "unit", "/a\nExecStart=/bin/evil")
    assert done.returncode == 1
    assert "line break" in done.stderr
    assert not (tmp_path / "unit").exists()


def test_the_socket_unit_follows_the_variable(tmp_path: Path) -> None:
    template = ROOT / "bootstrap" / "systemd" / "tokmon.socket"
    run("unit", template, tmp_path / "unit", "/x", TOKMON_SOCKET="/run/mine 1%/sock")
    assert "ListenStream=/run/mine 1%%/sock" in (tmp_path / "unit").read_text().splitlines()


def test_a_link_is_replaced_in_one_step_and_left_alone_where_it_is_right(folder: Path) -> None:
    link = folder / "current"
    assert run("link", "versions/a", link).stdout == "linked\n"
    inode = link.lstat().st_ino
    assert run("link", "versions/a", link).stdout == ""
    assert link.lstat().st_ino == inode
    assert run("link", "versions/b", link).stdout == "linked\n"
    assert [path.name for path in folder.iterdir()] == ["current"]


def test_the_name_follows_every_source_and_nothing_else(checkout: Path, tmp_path: Path) -> None:
    def name() -> str:
        return run("name", tmp_path).stdout.strip()

    for part in ("pyproject.toml", "README.md"):
        (tmp_path / part).write_bytes((checkout / part).read_bytes())
    (tmp_path / "tokmon").mkdir()
    (tmp_path / "tokmon" / "__init__.py").write_text('__version__ = "1.2.3"\n')
    first = name()
    assert first.startswith("1.2.3-")
    (tmp_path / "tokmon" / "__pycache__").mkdir()
    (tmp_path / "tokmon" / "__pycache__" / "x.pyc").write_bytes(b"compiled")
    (tmp_path / "notes.txt").write_text("not installed\n")
    assert name() == first
    (tmp_path / "tokmon" / "new.py").write_text("")
    assert name() != first
