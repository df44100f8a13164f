"""A Debian with nothing but what tokmon presupposes, made once by debootstrap and kept in the test cache."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from filelock import FileLock

from tests.install.capabilities import debian_mirror
from tests.pi.install import REAL_ENVIRONMENT, cache

PACKAGES: Final = ("python3", "python3-venv", "git", "systemd", "systemd-sysv", "dbus", "libpam-systemd")
"""What an install needs, and what a boot with logins needs."""

PATIENCE_S: Final = 900


def debian() -> Path:
    """The root: to be read only, through an overlay."""
    mirror = debian_mirror()
    assert mirror is not None
    address, suite = mirror
    key = hashlib.sha256(" ".join(PACKAGES).encode()).hexdigest()[:12]
    target = cache() / f"debian-{suite}-{key}"
    cache().mkdir(parents=True, exist_ok=True)
    with FileLock(cache() / ".debian.lock"):
        if not target.exists():
            work = Path(tempfile.mkdtemp(prefix=".debian-", dir=cache()))
            try:
                _debootstrap(suite, work, address)
                work.chmod(0o755)
                work.rename(target)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    return target


def _debootstrap(suite: str, place: Path, address: str) -> None:
    options = ("--variant=minbase", f"--include={','.join(PACKAGES)}")
    done = subprocess.run(
        ["debootstrap", *options, suite, str(place), address],
        env={**REAL_ENVIRONMENT, "PATH": f"/usr/sbin:/sbin:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"debootstrap failed: {done.stdout[-2000:]}")
    for each in (place / "var" / "cache" / "apt" / "archives").glob("*.deb"):
        each.unlink()
