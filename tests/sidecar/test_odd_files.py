"""Logs that cannot be opened: the sidecar starts all the same, reports the reason once, and goes on when it can."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.patience import PATIENCE_S
from tests.sidecar.running import Sidecar, capture, ids, sidecar, usage, wait_until
from tokmon import paths
from tokmon.sidecar import client

_STRANGER = 65534


def _socket(path: Path) -> None:
    os.mknod(path, stat.S_IFSOCK | 0o600)  # `bind` allows only short paths


_OBSTACLES: dict[str, tuple[Callable[[Path], object], str]] = {
    "fifo": (os.mkfifo, "not a file"),
    "folder": (Path.mkdir, "not a file"),
    "socket": (_socket, "not a file"),
    "link": (lambda path: path.symlink_to("/nonexistent/x"), "a link, which tokmon does not follow"),
    "loop": (lambda path: path.symlink_to(path), "a link, which tokmon does not follow"),
}


@pytest.mark.parametrize("name", ["piggyback.jsonl", "usage.jsonl", "piggyback.jsonl.lock"])
@pytest.mark.parametrize("obstacle", _OBSTACLES)
def test_sidecar_starts_whatever_is_in_the_place_of_a_log(obstacle: str, name: str) -> None:
    make, reason = _OBSTACLES[obstacle]
    logs = paths.find().logs
    logs.mkdir(parents=True, mode=0o700)
    make(logs / name)
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(1), usage(1))
        assert f"cannot write `{logs / name}`: {reason}" in str(_trouble(running))
        before = running.wakeups()
        wait_until(lambda: running.wakeups() > before + 3, "it tries again")
        assert running.log().count(reason) == 1, "the reason is reported once"
        (shutil.rmtree if (logs / name).is_dir() else os.unlink)(logs / name)
        talk.acknowledged(2)
        assert _trouble(running) is None
        assert running.stop() == 0
    assert "Traceback" not in running.log()
    assert list(ids(logs / "piggyback.jsonl")) == ["capture-00000001"]
    assert list(ids(logs / "usage.jsonl")) == ["usage-00000001"]


def _trouble(running: Sidecar) -> str | None:
    trouble: str | None = client.request_status((running.socket,))["trouble"]
    return trouble


def test_log_that_can_be_written_is_written_while_the_other_cannot() -> None:
    logs = paths.find().logs
    (logs / "usage.jsonl").mkdir(parents=True, mode=0o700)
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(1), usage(1))
        wait_until(lambda: ids(logs / "piggyback.jsonl"), "the capture is stored")
        (logs / "usage.jsonl").rmdir()
        talk.acknowledged(2)
    assert ids(logs / "piggyback.jsonl")["capture-00000001"] == 1


def test_sidecar_recovers_by_itself_when_the_log_can_be_opened_again() -> None:
    logs = paths.find().logs
    (logs / "usage.jsonl").mkdir(parents=True, mode=0o700)
    with sidecar() as running:
        wait_until(lambda: "not a file" in running.log(), "it says why before any event")
        (logs / "usage.jsonl").rmdir()
        wait_until(lambda: "writing again" in running.log(), "it notices without an event")


def test_log_that_belongs_to_root_after_a_sudo_is_reported_and_the_sidecar_serves(isolated_home: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to make a file of root in the folder of another user")
    own = paths.find()
    own.logs.mkdir(parents=True, mode=0o700)
    own.piggyback.write_bytes(b"")
    own.piggyback.chmod(0o600)
    subprocess.run(["chown", "-R", f"{_STRANGER}:{_STRANGER}", str(isolated_home)], check=True)
    os.chown(own.piggyback, 0, 0)
    for folder in own.logs.parents:
        if "pytest-of-" in str(folder):
            folder.chmod(folder.stat().st_mode | 0o711)
    can_read = ["setpriv", f"--reuid={_STRANGER}", sys.executable, "-c", "import tokmon.sidecar"]
    if subprocess.run(can_read, check=False).returncode:
        pytest.skip("needs a checkout that other users can read")
    with sidecar(prefix=["setpriv", f"--reuid={_STRANGER}", "--clear-groups"]) as running:
        wait_until(lambda: "permission denied, it belongs to user 0" in running.log(), "it says why")
        assert "listening" in running.log()
        os.chown(own.piggyback, _STRANGER, _STRANGER)
        wait_until(lambda: "writing again" in running.log(), "it continues after a chown")


@pytest.mark.parametrize("obstacle", _OBSTACLES)
def test_background_start_needs_no_file_for_its_own_messages(obstacle: str) -> None:
    own = paths.find()
    own.state.mkdir(parents=True, mode=0o700)
    _OBSTACLES[obstacle][0](own.state / "sidecar.log")
    started = subprocess.run([sys.executable, "-m", "tokmon", "sidecar", "--detach"], check=False, timeout=PATIENCE_S)
    assert started.returncode == 0
    os.kill(client.request_status(own.sockets)["pid"], 15)
    wait_until(lambda: not own.sockets[0].exists(), "it ends")
