"""Fixtures of the tests that install into throwaway roots: what is cloned there, and the wheels, without a network."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.install.conftest import wheels_for
from tests.install.roots import debian as debians
from tests.install.roots.throwaway import Root, entered
from tests.pi.install import REAL_ENVIRONMENT

GIT = ("git", "-c", "user.name=tests", "-c", "user.email=tests@localhost", "-c", "init.defaultBranch=main")


@pytest.fixture(scope="session")
def debian() -> Path:
    """A Debian with nothing but what tokmon presupposes."""
    if reason := debians.without_throwaway_roots():
        pytest.skip(reason)
    return debians.debian()


@pytest.fixture(scope="session")
def shared(debian: Path, open_folder: Path, checkout: Path) -> tuple[Path, ...]:
    """What is in /srv: `tokmon`, with a repository to clone in one file, and the `wheels` of that Debian's Python."""
    repository = open_folder / "repository"
    shutil.copytree(checkout, repository)
    folder = open_folder / "tokmon"
    folder.mkdir()
    for words in (["init"], ["add", "--all"], ["commit", "--quiet", "--message", "All"]):
        git(repository, *words)
    git(repository, "bundle", "create", str(folder / "tokmon.bundle"), "HEAD", "main")
    python = next(each for each in (debian / "usr" / "bin").glob("python3.*") if each.name[8:].isdigit())
    return folder, wheels_for(python.name.removeprefix("python"), open_folder / "root wheels" / "wheels")


def git(folder: Path, *words: str) -> None:
    environment = {**REAL_ENVIRONMENT, "GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run([*GIT, "-C", folder, *words], env=environment, check=True, capture_output=True)


@pytest.fixture
def root(debian: Path, shared: tuple[Path, ...]) -> Iterator[Root]:
    """A fresh root with a pi that says its version."""
    with entered(debian, *shared) as found:
        give_pi(found)
        yield found


def give_pi(root: Root) -> None:
    """Put a `pi` into the root that answers `--version`, which is all that an installer asks."""
    pi = '#!/bin/sh\n[ "$*" = --version ] && echo 1.5.2\n'
    root.sh("cat >/usr/local/bin/pi; chmod 755 /usr/local/bin/pi", stdin=pi)
