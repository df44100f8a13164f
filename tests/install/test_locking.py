"""The lock that holds off a second installer."""

import os
import threading
from pathlib import Path

import pytest

from tests.sidecar.running import wait_until
from tokmon.errors import InstallError
from tokmon.installer import locking


def test_who_waited_for_an_uninstall_does_not_hold_the_lock_that_it_took_away(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock, held = tmp_path / "install.lock", []

    def wait() -> None:
        with locking.held(lock) as fd:
            held.append(os.path.samestat(os.fstat(fd), lock.stat()))

    waiter = threading.Thread(target=wait)
    said = ""

    def is_waiting() -> bool:
        nonlocal said
        said += capsys.readouterr().out
        return "another install is running" in said

    with locking.held(lock):
        waiter.start()
        wait_until(is_waiting, "the second one to wait")
        lock.unlink()
    waiter.join(timeout=20)
    assert held == [True]


def test_a_folder_that_an_uninstall_took_away_is_said(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match="removed meanwhile") as error, locking.held(tmp_path / "gone" / "lock"):
        pass
    assert error.value.hint == "run this again"
