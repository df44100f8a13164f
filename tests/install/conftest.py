"""Fixtures of the tests that install tokmon with real shells into real venvs, without a network."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from filelock import FileLock

from tests.install.capabilities import SHELLS, USUAL_SHELLS, without_shell
from tests.install.member import Member, environment
from tests.pi.install import REAL_ENVIRONMENT, cache

ROOT: Final = Path(__file__).resolve().parents[2]
PARTS: Final = ("pyproject.toml", "README.md", "tokmon", "extensions", "bootstrap", "hooks")


@pytest.fixture(params=USUAL_SHELLS)
def shell(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Each shell that this machine has."""
    if reason := without_shell(request.param):
        pytest.skip(reason)
    words: tuple[str, ...] = SHELLS[request.param]
    return words


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Path]:
    """A folder that every user can read, with a space in its name, and short: a socket's path has 103 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="tok mon ", dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def checkout(open_folder: Path) -> Path:
    """A copy of what is installed from, so that nobody edits it between two installs."""
    copy = open_folder / "checkout"
    copy.mkdir()
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, copy / part)
    return copy


@pytest.fixture(scope="session")
def python() -> Path:
    """The Python below this venv: the installer finds no venv of the repository's elsewhere."""
    return Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"


@pytest.fixture(scope="session")
def wheels(open_folder: Path) -> Path:
    """Everything that an install with this Python downloads."""
    return wheels_for(f"{sys.version_info.major}.{sys.version_info.minor}", open_folder / "wheels")


def wheels_for(version: str, copy: Path) -> Path:
    """Make `copy`, a folder that everybody can read with the wheels for that Python."""
    shutil.copytree(_wheelhouse(version), copy)
    copy.chmod(0o755)
    return copy


def _wheelhouse(version: str) -> Path:
    """The folder of the test cache with the wheels for that Python, filled once for each `pyproject.toml`."""
    text = (ROOT / "pyproject.toml").read_bytes()
    project = tomllib.loads(text.decode())
    wanted = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    key = hashlib.sha256(" ".join((version, *wanted)).encode()).hexdigest()[:12]
    target = cache() / f"wheels-{version}-{key}"
    cache().mkdir(parents=True, exist_ok=True)
    with FileLock(cache() / f".wheels-{version}.lock"):
        if not target.exists():
            work = Path(tempfile.mkdtemp(prefix=".wheels-", dir=cache()))
            _pip("download", "--quiet", "--only-binary=:all:", "--python-version", version, "--dest", work, *wanted)
            work.rename(target)
    return target


def _pip(*words: str | Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", *words],
        env=REAL_ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"pip could not fetch what the tests install: {done.stderr[-2000:]}")


@pytest.fixture
def member(open_folder: Path, checkout: Path, wheels: Path, python: Path) -> Iterator[Member]:
    """A member with an empty home and a pi that says its version."""
    with _member(open_folder, checkout, wheels, python) as found:
        yield found


@pytest.fixture
def seeded(member: Member, built: Path) -> Member:
    """A member whose version is built already, which spares the slow part; nothing else is installed."""
    shutil.copytree(built, member.data / "versions", symlinks=True, copy_function=os.link)
    for folder in (member.data, member.data.parent, member.data.parent.parent):
        folder.chmod(0o700)
    return member


@pytest.fixture(scope="session")
def built(open_folder: Path, checkout: Path, wheels: Path, python: Path) -> Iterator[Path]:
    """The folder of versions that an install made."""
    with _member(open_folder, checkout, wheels, python) as found:
        done = found.install()
        assert done.returncode == 0, done.stderr
        yield found.data / "versions"


@contextlib.contextmanager
def _member(base: Path, checkout: Path, wheels: Path, python: Path) -> Iterator[Member]:
    folder = Path(tempfile.mkdtemp(prefix="m ", dir=base))
    home, runtime = folder / "home", folder / "run"
    for each in (home, runtime):
        each.mkdir(mode=0o700)
    give_pi(home, "1.5.2")
    yield Member(home, checkout, environment(home, runtime, wheels, python))
    shutil.rmtree(folder)


def give_pi(home: Path, version: str) -> None:
    """Put a `pi` on the member's PATH that answers `--version`, which is all that the installer asks."""
    program = home / "bin" / "pi"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\n[ "$*" = --version ] && echo {version}\n')
    program.chmod(0o755)
