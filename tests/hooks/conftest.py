"""Fixtures of the tests that run the hook: by every shell that this machine has, or by one alone."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.hooks.wake import Wake
from tests.install.capabilities import SHELLS, without_shell


def _wake(shell: str, folder: Path) -> Wake:
    if reason := without_shell(shell):
        pytest.skip(reason)
    program, *words = SHELLS[shell]
    wake = Wake(folder / "a wake's *", (shutil.which(program) or program, *words))
    wake.tokmon()
    return wake


@pytest.fixture(params=SHELLS)
def wake(request: pytest.FixtureRequest, tmp_path: Path) -> Wake:
    """By every shell: tokmon would answer, the decision file is of another boot, and folders have odd names."""
    return _wake(request.param, tmp_path)


@pytest.fixture
def text_wake(tmp_path: Path) -> Wake:
    """The same by dash alone: for what is a matter of text, and no shell's own."""
    return _wake("dash", tmp_path)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The real tokmon as one file."""
    path = tmp_path / "tokmon"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tokmon "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return path
