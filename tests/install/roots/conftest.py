"""Fixtures of the tests that install into throwaway roots: what is cloned there, and the wheels, without a network."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from tests.install.capabilities import without_throwaway_roots
from tests.install.conftest import wheels_for
from tests.install.roots import debian as debians
from tests.install.roots.host import VERSIONS, Host, give_pi
from tests.install.roots.throwaway import Root, entered
from tests.pi.install import REAL_ENVIRONMENT

GIT = ("git", "-c", "user.name=tests", "-c", "user.email=tests@localhost", "-c", "init.defaultBranch=main")


@pytest.fixture(scope="session")
def debian() -> Path:
    """A Debian with nothing but what tokmon presupposes."""
    if reason := without_throwaway_roots():
        pytest.skip(reason)
    return debians.debian()


@pytest.fixture(scope="session")
def shared(debian: Path, checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """What is in /srv: `tokmon`, with a repository to clone in one file, and the `wheels` of that Debian's Python."""
    folder = _of_all_workers(tmp_path_factory) / "shared"
    with FileLock(folder.with_name(".shared.lock")):
        if not folder.exists():
            work = Path(tempfile.mkdtemp(dir=folder.parent))
            work.chmod(0o755)
            _fill(work, debian, checkout)
            work.rename(folder)
    return folder / "tokmon", folder / "wheels"


def _of_all_workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of this run, which its workers share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in REAL_ENVIRONMENT else base


def _fill(folder: Path, debian: Path, checkout: Path) -> None:
    repository = folder / "repository"
    shutil.copytree(checkout, repository)
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "All"]):
        _git(repository, *words)
    (folder / "tokmon").mkdir()
    _git(repository, "bundle", "create", "--quiet", str(folder / "tokmon" / "tokmon.bundle"), "HEAD", "main")
    python = next(each for each in (debian / "usr" / "bin").glob("python3.*") if each.name[8:].isdigit())
    wheels_for(python.name.removeprefix("python"), folder / "wheels")


def _git(folder: Path, *words: str) -> None:
    environment = {**REAL_ENVIRONMENT, "GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run([*GIT, "-C", folder, *words], env=environment, check=True, capture_output=True)


@pytest.fixture
def root(debian: Path, shared: tuple[Path, ...]) -> Iterator[Root]:
    """A fresh root with a pi that says its version."""
    with entered(debian, *shared) as found:
        give_pi(found)
        yield found


@pytest.fixture(scope="session")
def built(debian: Path, shared: tuple[Path, ...]) -> Path:
    """The folder of versions that an install by root makes: to spare other roots the slow part."""
    folder = shared[0].parent / "built"
    with FileLock(folder.with_name(".built.lock")):
        if not folder.exists():
            with entered(debian, *shared) as root:
                Host.with_members(root).installed("--member", "dan", "--no-systemd")
                work = Path(tempfile.mkdtemp(dir=folder.parent))
                # As it is: a copy by us would follow its links in our own root.
                subprocess.run(["cp", "--archive", root.path(VERSIONS), work], check=True)
                work.chmod(0o755)
                work.rename(folder)
    return folder


def seeded(root: Root) -> Host:
    """A host whose version is built already; nothing else is installed."""
    root.sh(f"umask 022; mkdir /opt/tokmon; cp --archive /srv/built/versions {VERSIONS}")
    return Host.with_members(root)


@pytest.fixture
def host(debian: Path, shared: tuple[Path, ...], built: Path) -> Iterator[Host]:
    """A host with members and without systemd, on which nothing is installed but a version that is built."""
    with entered(debian, *shared, built) as root:
        yield seeded(root)
