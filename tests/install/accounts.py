"""Throwaway accounts of this machine; removed in the end, with their homes."""

import contextlib
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from filelock import FileLock

from tests.install.capabilities import without_program, without_root
from tokmon.pool.names import FLEET_USER

_NUMBERS: Final = itertools.count()

_REASON: Final = without_root() or without_program("useradd")
needs_accounts: Final = pytest.mark.skipif(_REASON is not None, reason=_REASON or "-")


@contextlib.contextmanager
def account(base: Path, *, shell: str = "/bin/sh", name: str | None = None) -> Iterator[pwd.struct_passwd]:
    """Make a user with a home below `base`, and remove both in the end."""
    name = name or f"tokmon-{os.getpid()}-{next(_NUMBERS)}"
    home = base / name
    _accounts("useradd", "--create-home", "--home-dir", str(home), "--shell", shell, name)
    try:
        yield pwd.getpwnam(name)
    finally:
        _accounts("userdel", "--force", name)
        shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def fleet_agent(base: Path, *, exists: bool = True) -> Iterator[pwd.struct_passwd | None]:
    """Have the user `tokmon-fleet`, or have none: one test at a time, since its name is fixed."""
    with FileLock(Path(tempfile.gettempdir()) / "tokmon-test-fleet.lock"):
        with contextlib.suppress(KeyError):
            pwd.getpwnam(FLEET_USER)
            _accounts("userdel", "--force", FLEET_USER)  # a run that was killed left it
        if not exists:
            yield None
            return
        with account(base, shell="/usr/sbin/nologin", name=FLEET_USER) as made:  # noqa: S604 - the login shell
            yield made


@contextlib.contextmanager
def somebody_else(base: Path) -> Iterator[pwd.struct_passwd]:
    """Make an account without a login, with a pi agent folder in a home that nobody else can read."""
    with account(base, shell="/usr/sbin/nologin") as made:  # noqa: S604 - the login shell
        home = home_with_pi(Path(made.pw_dir))
        for folder in (home, home / ".pi", home / ".pi" / "agent"):
            folder.chmod(0o700)
            os.chown(folder, made.pw_uid, made.pw_gid)
        yield made


def home_with_pi(place: Path) -> Path:
    """Make `place` a home with a pi agent folder, and return it."""
    (place / ".pi" / "agent").mkdir(parents=True)
    return place


def _accounts(*command: str) -> None:
    """One at a time: these programs do not wait for each other."""
    with FileLock(Path(tempfile.gettempdir()) / "tokmon-test-accounts.lock"):
        subprocess.run(command, check=True, capture_output=True)
