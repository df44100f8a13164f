"""A Debian with nothing but what tokmon presupposes, made once by debootstrap and kept in the test cache."""

import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from filelock import FileLock

from tests.install.capabilities import without_mounts, without_program, without_root
from tests.pi.install import REAL_ENVIRONMENT, cache

PACKAGES: Final = ("python3", "python3-venv", "git", "systemd", "systemd-sysv", "dbus", "libpam-systemd")
"""What an install needs, and what a boot with logins needs."""

PATIENCE_S: Final = 900


@functools.cache
def without_throwaway_roots() -> str | None:
    """Why no root of a Debian can be made and entered here, or None if one can."""
    programs = ("debootstrap", "unshare", "nsenter", "chroot", "setpriv", "git", "apt-get")
    reasons = (
        without_root(),
        *map(without_program, programs),
        without_mounts(),
        _without_overlays(),
        _without_mirror(),
    )
    return next((reason for reason in reasons if reason), None)


@functools.cache
def without_boots() -> str | None:
    """Why no such root can be booted, or None if one can."""
    return without_throwaway_roots() or without_program("systemd-nspawn")


def _without_overlays() -> str | None:
    script = "mount -t tmpfs tmpfs /mnt && mkdir /mnt/u /mnt/w /mnt/m && "
    script += "mount -t overlay overlay -o lowerdir=/usr,upperdir=/mnt/u,workdir=/mnt/w /mnt/m"
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True, check=False)
    return None if done.returncode == 0 else "this machine does not allow overlay mounts"


def _without_mirror() -> str | None:
    return None if _mirror() else "this machine's packages do not come from a Debian archive"


@functools.cache
def _mirror() -> tuple[str, str] | None:
    """Where this machine gets its own packages from, and its release."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return None
    said = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"],
        env=REAL_ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    for line in said.stdout.splitlines():
        suite, component, address = line.split(maxsplit=2)
        if (release.get("ID"), release.get("VERSION_CODENAME"), component) == ("debian", suite, "main"):
            return address, suite
    return None


def debian() -> Path:
    """The root: to be read only, through an overlay."""
    mirror = _mirror()
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
