"""No command hangs or fails with a fault of its own, whatever is in place of a file that it reads."""

import subprocess
import sys

import pytest

from tests.commands.odd_files import KINDS
from tests.patience import PATIENCE_S


@pytest.mark.parametrize("kind", KINDS)
def test_no_command_hangs_or_fails_for_an_odd_file(kind: str) -> None:
    command = [sys.executable, "-m", "tests.commands.odd_files", kind]
    try:
        tried = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        pytest.fail(f"hangs: {(error.stderr or b'')[-500:]!r}")
    assert tried.returncode == 0, tried.stderr[-3000:]
