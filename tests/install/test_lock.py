"""The lock that holds off a second installer, with filelock and in a Python without packages."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.patience import PATIENCE_S
from tests.sidecar.running import wait_until
from tokmon.errors import InstallError
from tokmon.installer.user import lock
from tokmon.installer.user.lock import KernelLock

IMPORT_WITHOUT_FILELOCK = "import sys; sys.modules['filelock'] = None; from tokmon.installer.user import lock; "


@pytest.fixture(params=["with filelock", "without packages"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Take the lock as an installed version does, and as a bare checkout does."""
    if request.param == "without packages":
        monkeypatch.setattr(lock, "FileLock", KernelLock)
    name: str = request.param
    return name


@pytest.mark.usefixtures("kind")
def test_an_installer_that_waited_for_an_uninstall_does_not_hold_the_lock_which_that_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, held = tmp_path / "install.lock", []

    def wait() -> None:
        with lock.held(path) as fd:
            held.append(os.path.samestat(os.fstat(fd), path.stat()))

    waiter = threading.Thread(target=wait)
    with lock.held(path):
        waiter.start()
        wait_until(says_that_it_waits(capsys), "the second one to wait")
        path.unlink()
    waiter.join(timeout=PATIENCE_S)
    assert held == [True]


def says_that_it_waits(capsys: pytest.CaptureFixture[str]) -> Callable[[], bool]:
    printed: list[str] = []

    def waits() -> bool:
        printed.append(capsys.readouterr().out)
        return "another install is running" in "".join(printed)

    return waits


@pytest.mark.usefixtures("kind")
def test_a_folder_that_an_uninstall_removed_is_named(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match="removed meanwhile") as error, lock.held(tmp_path / "gone" / "lock"):
        pass
    assert error.value.hint == "run this again"


@pytest.mark.usefixtures("kind")
def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious\n")
    (tmp_path / "lock").symlink_to("victim")
    with pytest.raises(InstallError, match="cannot write to"), lock.held(tmp_path / "lock"):
        pass


@pytest.mark.parametrize("bare_first", [True, False])
def test_a_bare_checkout_and_an_installed_version_exclude_each_other(tmp_path: Path, *, bare_first: bool) -> None:
    path = tmp_path / "install.lock"
    bare = IMPORT_WITHOUT_FILELOCK + "assert lock.FileLock is lock.KernelLock; "
    code = f"from pathlib import Path; path = Path({str(path)!r}); "
    if bare_first:
        code = f"{bare}{code}\nwith lock.held(path): print('held', flush=True); input()"
        with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            assert not lock.is_free(path)
            holder.communicate(b"\n")
        assert lock.is_free(path)
    else:
        with lock.held(path):
            done = subprocess.run(
                [sys.executable, "-c", f"{bare}{code}print(lock.is_free(path))"], capture_output=True, check=True
            )
        assert done.stdout == b"False\n"


@pytest.mark.usefixtures("kind")
def test_a_child_that_inherits_the_descriptor_holds_the_lock_on(tmp_path: Path) -> None:
    path = tmp_path / "install.lock"
    with lock.held(path) as fd:
        child = subprocess.Popen(["sleep", "1000"], pass_fds=[fd])
        os.close(fd)  # as when the installer is killed, which releases nothing by itself
        assert not lock.is_free(path)
        child.kill()
        child.wait()
        assert lock.is_free(path)
        os.open(os.devnull, os.O_RDONLY)  # the number that is closed in the end
