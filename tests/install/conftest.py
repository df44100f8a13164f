"""Fixtures of the tests that install tokmon with real shells into real venvs, without a network.

What costs is made once a session, for all workers: the copy of the checkout, the wheels, and one environment that a
real install made. A test whose subject is not how an environment is made starts from a copy of that.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from filelock import FileLock

from tests.install.capabilities import SHELLS, USUAL_SHELLS, without_shell
from tests.install.member import Member, environment
from tests.patience import PATIENCE_S
from tests.pi.install import REAL_ENVIRONMENT, cache
from tokmon.installer.user import sources

ROOT: Final = Path(__file__).resolve().parents[2]
PARTS: Final = ("pyproject.toml", "README.md", "tokmon", "extensions", "bootstrap", "hooks")
PACKAGES: Final = f"lib/python3.{sys.version_info.minor}/site-packages"


@pytest.fixture(params=USUAL_SHELLS)
def shell(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Each shell that this machine has."""
    if reason := without_shell(request.param):
        pytest.skip(reason)
    words: tuple[str, ...] = SHELLS[request.param]
    return words


@pytest.fixture(scope="session")
def open_folder(tmp_path_factory: pytest.TempPathFactory, testrun_uid: str) -> Iterator[Path]:
    """A folder of all workers that every user can read, with a space in its name; the last worker removes it.

    Its path is short: a socket's path has 103 bytes.
    """
    base = tmp_path_factory.getbasetemp()
    lock = FileLock((base.parent if "PYTEST_XDIST_WORKER" in REAL_ENVIRONMENT else base) / ".open-folder.lock")
    folder = Path("/var/tmp") / f"tok mon {testrun_uid[:8]}"  # noqa: S108 - the name is one nobody can guess
    user = folder / ".workers" / str(os.getpid())
    with lock:
        user.parent.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        user.touch()
    yield folder
    with lock:
        user.unlink()
        if not any(user.parent.iterdir()):
            shutil.rmtree(folder)


def once(target: Path, make: Callable[[Path], object]) -> Path:
    """Have the first worker that comes here make a folder, which appears when it is whole."""
    with FileLock(target.with_name(f".{target.name}.lock")):
        if not target.exists():
            work = Path(tempfile.mkdtemp(prefix=".work ", dir=target.parent))
            work.chmod(0o755)
            make(work)
            work.rename(target)
    return target


@pytest.fixture(scope="session")
def checkout(open_folder: Path) -> Path:
    """A copy of what is installed from, so that nobody edits it between two installs."""
    return once(open_folder / "checkout", _copy_checkout)


def _copy_checkout(folder: Path) -> None:
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / part)


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
    house = _wheelhouse(version)
    return once(copy, lambda work: shutil.copytree(house, work, dirs_exist_ok=True, copy_function=shutil.copyfile))


def _wheelhouse(version: str) -> Path:
    """The folder of the test cache with the wheels for that Python, filled once for each `pyproject.toml`."""
    text = (ROOT / "pyproject.toml").read_bytes()
    project = tomllib.loads(text.decode())
    wanted = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    key = hashlib.sha256(" ".join((version, *wanted)).encode()).hexdigest()[:12]
    cache().mkdir(parents=True, exist_ok=True)
    words = ("download", "--quiet", "--only-binary=:all:", "--python-version", version)
    return once(cache() / f"wheels-{version}-{key}", lambda work: _pip(*words, "--dest", work, *wanted))


def _pip(*words: str | Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", *words],
        env=REAL_ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"pip could not fetch what the tests install: {done.stderr[-2000:]}")


@pytest.fixture
def member(open_folder: Path, checkout: Path, wheels: Path, python: Path) -> Iterator[Member]:
    """A member with an empty home and a pi that says its version."""
    with _member(open_folder, checkout, wheels, python) as found:
        yield found


@pytest.fixture(scope="session")
def image(open_folder: Path, checkout: Path, wheels: Path, python: Path) -> Path:
    """The environment of a version, made by a real install."""

    def make(folder: Path) -> None:
        with _member(folder, checkout, wheels, python) as found:
            done = found.install()
            assert done.returncode == 0, done.stderr
            (version,) = (found.data / "versions").iterdir()
            version.rename(folder / "environment")
        # The installer made it for one user alone; other users of the tests have links to it.
        subprocess.run(["chmod", "-R", "a+rX", folder], check=True)

    return once(open_folder / "image", make) / "environment"


@pytest.fixture
def seeded(member: Member, image: Path) -> Member:
    """A member whose version is built already, which spares the slow part; nothing else is installed."""
    seed(member, image)
    return member


def seed(member: Member, image: Path, data: Path | None = None) -> Path:
    """Have the version of the member's checkout built in `data`, by default in their home, as the installer would."""
    data = data or member.data
    for folder in (*reversed([path for path in data.parents if member.home in path.parents]), data, data / "versions"):
        folder.mkdir(mode=0o700, exist_ok=True)
    return seed_at(data / "versions" / sources.checkout(member.checkout).name, member.checkout, image)


def seed_at(place: Path, checkout: Path, image: Path) -> Path:
    """Make an environment out of another: what pip put there is linked to, tokmon itself is that of the checkout."""
    shutil.copytree(image, place, symlinks=True, ignore=lambda folder, _: ["lib"] if folder == str(image) else [])
    program = place / "bin" / "tokmon"
    text = program.read_text()
    start = text.split("/bin/python")[0].rpartition('"')[2]
    program.write_text(text.replace(start, str(place)))
    packages = place / PACKAGES
    packages.mkdir(parents=True)
    for package in (image / PACKAGES).iterdir():
        (packages / package.name).symlink_to(package)
    if (image / ".complete").read_text().split()[0] == sources.checkout(checkout).name:
        return place
    (packages / "tokmon").unlink()
    shutil.copytree(checkout / "tokmon", packages / "tokmon")
    for part in ("extensions", "bootstrap", "hooks"):
        shutil.copytree(checkout / part, packages / "tokmon" / "_shipped" / part)
    return place


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


def few_programs(member: Member) -> Path:
    """A folder with all that the installer needs of a system, but for Python."""
    folder = member.home / "few"
    folder.mkdir()
    shell = shutil.which("sh", path="/usr/bin:/bin")
    assert shell
    (folder / "sh").symlink_to(shell)
    return folder
