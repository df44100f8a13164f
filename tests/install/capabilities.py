"""What this machine can do, probed and never guessed: the same answers skip a test and are listed by the check."""

import functools
import os
import platform
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Final

SHELLS: Final = {
    "dash": ("dash",),
    "bash": ("bash",),
    "busybox": ("busybox", "sh"),
    "mksh": ("mksh",),
    "yash": ("yash",),
    "zsh": ("zsh", "--emulate", "sh"),
}
"""What runs a script by that shell, as `sh` would."""
USUAL_SHELLS: Final = ("dash", "bash", "busybox")
"""What `sh` is on Debian, macOS and Alpine."""
_NAMESPACES: Final = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--cgroup")
STRACE: Final = ("strace", "--follow-forks", "--seccomp-bpf", "--decode-pids=pidns", "--quiet=all", "--signal=none")
_MANAGER: Final = "/lib/systemd/systemd"


def without_shell(name: str) -> str | None:
    """Why scripts cannot be run by that shell, or None if they can."""
    return None if shutil.which(SHELLS[name][0]) else f"this machine has no {SHELLS[name][0]}"


def without_program(name: str) -> str | None:
    """Why a test that needs that program cannot run, or None if it can."""
    return None if shutil.which(name) else f"this machine has no `{name}`"


def without_root() -> str | None:
    """Why nothing can be given to another user, or None if it can."""
    return None if os.geteuid() == 0 else "not root: a file of another user needs it"


@functools.cache
def without_mounts() -> str | None:
    """Why no mount can be made that this process alone sees, or None if one can."""
    if reason := without_root() or without_program("unshare"):
        return reason
    probe = ("unshare", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /run")
    done = subprocess.run(probe, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else "this machine does not allow mounts of one's own"


@functools.cache
def public_python() -> Path | None:
    """A Python >= 3.11 that every user of this machine can run: a home folder may be closed to others."""
    minors = range(11, 20)
    names = [f"{folder}/python3.{minor}" for folder in ("/usr/bin", "/usr/local/bin") for minor in minors]
    for path in (Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}", *map(Path, names)):
        if path.exists() and all(each.stat().st_mode & stat.S_IXOTH for each in (path, *path.resolve().parents)):
            return path
    return None


def without_another_user() -> str | None:
    """Why nothing can be run as somebody without root's rights, or None if it can."""
    if os.geteuid() != 0:
        return None
    return None if public_python() else "no Python 3.11 that other users can run"


@functools.cache
def without_user_manager() -> str | None:
    """Why no `systemd --user` can be had beside the machine's own, or None if one can."""
    if os.geteuid() != 0:
        return "not root: a throwaway user and namespaces need it"
    for program in ("unshare", "nsenter", "runuser", "useradd", "userdel", "systemctl", _MANAGER):
        if shutil.which(program) is None:
            return f"this machine has no `{program}`"
    if public_python() is None:
        return "no Python 3.11 that other users can run"
    probe = "mount -t tmpfs tmpfs /run && umount -l /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup"
    done = subprocess.run([*_NAMESPACES, "sh", "-c", probe], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else "this machine does not allow namespaces with mounts of their own"


@functools.cache
def without_strace() -> str | None:
    """Why nothing can be watched from call to call, or None if it can."""
    if reason := without_program("strace"):
        return reason
    done = subprocess.run([*STRACE, "--output=/dev/null", "true"], capture_output=True, check=False)
    return None if done.returncode == 0 else "`strace` may not watch programs here"


@functools.cache
def without_throwaway_roots() -> str | None:
    """Why no root of a Debian can be made and entered here, or None if one can."""
    programs = ("debootstrap", "unshare", "nsenter", "chroot", "setpriv", "git", "apt-get")
    if reason := next(filter(None, (without_root(), *map(without_program, programs), without_mounts())), None):
        return reason
    overlay = "mount -t overlay overlay -o lowerdir=/usr,upperdir=/run/u,workdir=/run/w /run/m"
    probe = f"mount -t tmpfs tmpfs /run && mkdir /run/u /run/w /run/m && {overlay}"
    done = subprocess.run([*_NAMESPACES, "--net", "sh", "-c", probe], capture_output=True, check=False)
    if done.returncode != 0:
        return "this machine does not allow namespaces with overlay mounts of their own"
    return None if debian_mirror() else "this machine's packages do not come from a Debian archive"


@functools.cache
def without_boots() -> str | None:
    """Why no such root can be booted, or None if one can."""
    return without_throwaway_roots() or without_program("systemd-nspawn")


@functools.cache
def debian_mirror() -> tuple[str, str] | None:
    """Where this machine gets its own packages from, and its release; None where that is no Debian's archive."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return None
    said = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    )
    for line in said.stdout.splitlines():
        suite, component, address = line.split(maxsplit=2)
        if (release.get("ID"), release.get("VERSION_CODENAME"), component) == ("debian", suite, "main"):
            return address, suite
    return None


def main() -> None:
    """Print what tests will skip here, one line each."""
    missing = [reason for name in SHELLS if (reason := without_shell(name))]
    missing += [reason for name in ("strace", "prlimit") if (reason := without_program(name))]
    missing += [
        reason
        for reason in (without_root(), without_mounts(), without_another_user(), without_user_manager())
        if reason
    ]
    missing += [reason for reason in (without_strace(), without_boots()) if reason]
    for reason in dict.fromkeys(missing):
        sys.stdout.write(f"skip  {reason}\n")


if __name__ == "__main__":
    main()
