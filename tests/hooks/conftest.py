"""Fixtures of the tests that run the hook by every shell that this machine has."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.hooks.wake import Wake
from tests.install.capabilities import SHELLS, without_shell


@pytest.fixture(params=SHELLS)
def wake(request: pytest.FixtureRequest, tmp_path: Path) -> Wake:
    """A wake in which tokmon would answer, no decision is written down but an old one, and every name is odd."""
    if reason := without_shell(request.param):
        pytest.skip(reason)
    program, *words = SHELLS[request.param]
    made = Wake(tmp_path / "a wake's *", (shutil.which(program) or program, *words))
    made.tokmon()
    return made


@pytest.fixture(params=["timeout", "watchdog"])
def kept(request: pytest.FixtureRequest, wake: Wake) -> Wake:
    """A wake whose deadline is kept by the program `timeout`, or by the hook alone."""
    if request.param == "watchdog":
        wake.without_timeout()
    return wake


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The real tokmon as one file."""
    path = tmp_path / "tokmon"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tokmon "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return path
