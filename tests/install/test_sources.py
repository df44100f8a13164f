"""What a version is called, and which pip installs it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tokmon.errors import InstallError
from tokmon.installer.user import sources
from tokmon.installer.user.wheelhouse import wheelhouse


def test_a_python_that_came_without_pip_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    monkeypatch.setattr(Path, "glob", lambda *_: iter(()))
    with pytest.raises(InstallError, match="this Python came without pip") as error:
        sources.unpack_pip(tmp_path / "pip")
    assert error.value.hint
    assert not (tmp_path / "pip").exists()


def test_the_pip_that_came_with_python_is_taken(tmp_path: Path) -> None:
    words = [sys.executable, str(sources.unpack_pip(tmp_path)), "--version"]
    assert subprocess.run(words, capture_output=True, check=True).stdout.startswith(b"pip ")


def test_the_name_follows_every_source_and_nothing_else(checkout: Path, tmp_path: Path) -> None:
    def name() -> str:
        return sources.checkout(tmp_path).name

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


def test_a_wheel_that_is_a_pipe_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "tokmon-1.0-py3-none-any.whl")
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  tokmon-1.0-py3-none-any.whl\n")
    with pytest.raises(InstallError, match="is no file"):
        wheelhouse(tmp_path, None)


def test_every_module_of_the_installer_can_be_imported_without_packages(checkout: Path, python: Path) -> None:
    modules = (path.relative_to(checkout) for path in sorted((checkout / "tokmon" / "installer").rglob("*.py")))
    names = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in modules]
    code = f"import sys; sys.path.append({str(checkout)!r}); import {', '.join(names)}"
    done = subprocess.run([python, "-I", "-S", "-B", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
