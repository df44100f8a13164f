"""An upgrade while sessions run, and one that is killed wherever it can be."""

import os
import shutil
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from tests.extension.driver import OLDER
from tests.install.conftest import seed
from tests.install.member import Member, end_sidecar, tree
from tests.install.test_plan import steps
from tests.patience import PATIENCE_S
from tests.sidecar.running import Client, capture, ids, wait_until

CHAIN = '[select]\nchain = ["team-vigilio"]\n'


@pytest.fixture
def moving(member: Member, tmp_path: Path) -> Iterator[Member]:
    """A member with a checkout of their own, whose sidecar is ended after the test."""
    checkout = tmp_path / "checkout"
    shutil.copytree(member.checkout, checkout)
    yield Member(member.home, checkout, member.environment)
    end_sidecar(member)


class Beside:
    """Does something in a thread of its own for as long as it is entered: `_run`, until `_over` is set."""

    ends_within_s = 90

    def __init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._over.set()
        self._thread.join(self.ends_within_s)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        raise NotImplementedError


class Session(Beside):
    """Sends captures for as long as it is told to: what was not acknowledged is sent again, as the extension does."""

    ends_within_s = 60

    def __init__(self, socket: Path) -> None:
        super().__init__()
        self.sent = 0
        self.connections = 0
        self._socket = socket

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self._connected()
            except OSError:
                continue

    def _connected(self) -> None:
        client = Client(self._socket)
        self.connections += 1
        try:
            count = 0
            while not self._over.is_set():
                client.send(capture(self.sent))
                count += 1
                client.acknowledged(count)
                self.sent += 1
        finally:
            client.close()


class Wakes(Beside):
    """Calls the hook, one wake after the other, and keeps what each of them said."""

    def __init__(self, member: Member) -> None:
        super().__init__()
        self.said: Counter[tuple[int, str, str]] = Counter()
        self._member = member

    def _run(self) -> None:
        # The sidecar answers some wakes through its file; a threshold in the environment has tokmon itself asked.
        asked = {**self._member.environment, "TOKMON_DEADLINE_MS": "60000", "BUDGET_SWITCH_THRESHOLD": "0.9"}
        while not self._over.is_set():
            done = subprocess.run(
                ["sh", self._member.data / "hooks" / "budget-select"],
                env=asked,
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
            )
            self.said[done.returncode, done.stdout, done.stderr] += 1


def test_an_upgrade_loses_no_capture_and_fails_no_wake(moving: Member, image: Path) -> None:
    config = moving.home / ".config" / "tokmon" / "config.toml"
    config.parent.mkdir(parents=True, mode=0o700)
    config.write_text(CHAIN)
    seed(moving, image)
    assert moving.install().returncode == 0
    first = (moving.data / "current").readlink().name
    assert moving.run("sidecar", "--detach").returncode == 0
    old = moving.sidecar_lock.read_text()
    wire = moving.checkout / "tokmon" / "wire" / "messages.py"
    text = wire.read_text()
    wire.write_text(text.replace("PROTOCOL: Final = 1\n", "PROTOCOL: Final = 2\n"))
    assert wire.read_text() != text
    seed(moving, image)
    socket = Path(moving.environment["XDG_RUNTIME_DIR"]) / "tokmon" / "sock"
    with Session(socket) as session, Wakes(moving) as wakes:
        wait_until(lambda: session.sent > 10 and wakes.said, "captures and wakes before the upgrade")
        done = moving.install()
        assert done.returncode == 0, done.stderr
        assert "start the sidecar again, with the new version" in done.stdout
        sent, woken = session.sent, wakes.said.total()
        wait_until(lambda: session.sent > sent + 10 and wakes.said.total() > woken + 1, "some after it", 60)
    assert session.connections > 1
    found = ids(moving.home / ".logs" / "token-monitor" / "piggyback.jsonl")
    assert {f"capture-{number:08}" for number in range(session.sent)} <= set(found)
    assert set(found.values()) == {1}
    (answer,) = wakes.said
    assert (answer[0], answer[1].split()[0], answer[2]) == (0, "team-vigilio", "")
    assert moving.sidecar_lock.read_text() != old
    assert (moving.data / "current").readlink().name != first


class Snapshot:
    """A copy of a home, to start from again and again."""

    def __init__(self, home: Path, place: Path) -> None:
        self._home, self._place = home, place
        # Links are as good as copies: the installer replaces files, and changes none.
        shutil.copytree(home, place, symlinks=True, copy_function=os.link)

    def restore(self) -> None:
        for each in self._home.iterdir():
            shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()
        shutil.copytree(self._place, self._home, symlinks=True, dirs_exist_ok=True, copy_function=os.link)


def contents(home: Path) -> dict[str, tuple[str, ...]]:
    """What is where, with modes and contents, but for compiled modules and the cache of the policy."""
    caches = (".pyc", "__pycache__", "policy.json")
    return {name: (entry[0], entry[-1]) for name, entry in tree(home).items() if not name.endswith(caches)}


def killed(member: Member, words: tuple[str, ...], number: int) -> bool:
    """Run the installer and kill it as it begins that step; False if there are not so many."""
    started = member.start(*words)
    assert started.stdout is not None
    count = 0
    for line in started.stdout:
        count += len(steps(line))
        if count == number:
            os.killpg(started.pid, signal.SIGKILL)
            break
    started.communicate(timeout=PATIENCE_S)
    return count == number


@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.long)])
def test_an_upgrade_killed_at_any_step_is_finished_by_the_next(
    seeded: Member, image: Path, tmp_path: Path, every: int
) -> None:
    """With files of others in the way, an old version to remove, and all built already."""
    checkout, words = tmp_path / "checkout", ("--hook-dir", "~/wake")
    shutil.copytree(seeded.checkout, checkout)
    assert seeded.install(*words).returncode == 0
    old = seeded.data / "versions" / "0.0.1-old"
    old.mkdir()
    (old / ".complete").touch()
    (seeded.data / "current").unlink()
    (seeded.data / "current").symlink_to("versions/0.0.1-old")
    assert seeded.install(*words).returncode == 0
    (seeded.home / "wake" / "budget-select").write_text("#!/bin/sh\n# of somebody else\n")
    seeded.extension.unlink()
    seeded.extension.write_text("// of somebody else\n")
    shutil.copy(OLDER, seeded.old_extension)
    moving = Member(seeded.home, checkout, seeded.environment)
    (checkout / "hooks" / "budget-select").write_text("#!/bin/sh\n# newer\n")
    seed(moving, image)
    start = Snapshot(moving.home, tmp_path / "start")
    whole = moving.install(*words)
    assert whole.returncode == 0, whole.stderr
    wanted, planned = contents(moving.home), steps(whole.stdout)
    assert {line.split()[0] for line in planned} == {"make", "keep", "link", "write", "remove"}
    for number, step in list(enumerate(planned, 1))[::every]:
        start.restore()
        assert killed(moving, words, number)
        done = moving.install(*words)
        assert done.returncode == 0, done.stderr
        assert contents(moving.home) == wanted, f"killed at `{step}`"


def test_an_uninstall_killed_at_any_step_is_finished_by_the_next(seeded: Member, tmp_path: Path) -> None:
    hook = seeded.home / "wake" / "budget-select"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\n# of somebody else\n")
    assert seeded.install("--hook-dir", str(hook.parent)).returncode == 0
    start = Snapshot(seeded.home, tmp_path / "start")
    whole = seeded.uninstall()
    assert whole.returncode == 0, whole.stderr
    wanted = contents(seeded.home)
    count = len([line for line in whole.stdout.splitlines() if line.startswith(("remove ", "put back "))])
    assert count == len(whole.stdout.splitlines()) > 5
    for number in range(count):
        start.restore()
        started = seeded.start_uninstall()
        assert started.stdout is not None
        for _ in range(number + 1):
            started.stdout.readline()
        os.killpg(started.pid, signal.SIGKILL)
        started.communicate(timeout=PATIENCE_S)
        done = seeded.uninstall()
        assert done.returncode == 0, done.stderr
        # Once the receipt is gone, nobody knows any more who made the folders that led to it.
        unknown = {".local", ".local/share", ".local/share/tokmon"} if number == count - 1 else set()
        left = {name: entry for name, entry in contents(seeded.home).items() if name not in unknown}
        assert left == {name: entry for name, entry in wanted.items() if name not in unknown}
