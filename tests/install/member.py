"""A member of a host in a test: a home, an environment, and the installer run in it by a real shell."""

import contextlib
import hashlib
import os
import re
import signal
import stat
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.patience import PATIENCE_S
from tests.pi.install import REAL_ENVIRONMENT
from tests.sidecar.running import wait_until
from tokmon.installer.user.lock import is_free

Entry = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """`home` holds everything that an install may touch; `environment` is all that the installer is given."""

    home: Path
    checkout: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def script(self) -> Path:
        return self.checkout / "bootstrap" / "install.sh"

    @property
    def data(self) -> Path:
        return self.home / ".local" / "share" / "tokmon"

    @property
    def program(self) -> Path:
        return self.home / ".local" / "bin" / "tokmon"

    @property
    def extension(self) -> Path:
        return self.home / ".pi" / "agent" / "extensions" / "tokmon"

    @property
    def old_extension(self) -> Path:
        """Where tokmon 0.1.0 put its single file."""
        return self.extension.with_name("tokmon.ts")

    @property
    def sidecar_lock(self) -> Path:
        return self.home / ".local" / "state" / "tokmon" / "sidecar.lock"

    def install(
        self,
        *options: str,
        by: tuple[str, ...] = ("sh",),
        user: int | None = None,
        **more: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run the installer for this home alone to its end, by the shell `by`; `more` are variables for this run."""
        return subprocess.run(
            [*by, self.script, "--user", *options],
            env={**self.environment, **more},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )

    def uninstall(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Take away from the checkout what is installed, to the end."""
        return subprocess.run(
            ["sh", self.script, "uninstall", "--user", *options],
            env=self.environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def start(self, *options: str, by: tuple[str, ...] = ("sh",), **more: str) -> "subprocess.Popen[str]":
        """Start the installer for this home alone."""
        return self._start([*by, self.script, "--user", *options], more)

    def start_uninstall(self) -> "subprocess.Popen[str]":
        """Start to take away from the checkout what is installed."""
        return self._start(["sh", self.script, "uninstall", "--user"], {})

    def _start(self, words: list[str | Path], more: Mapping[str, str]) -> "subprocess.Popen[str]":
        """Start it in a process group of its own; all that it says comes through one pipe."""
        return subprocess.Popen(
            words,
            env={**self.environment, **more},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run the installed program."""
        return subprocess.run(
            [self.program, *words],
            env={**self.environment, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )


def environment(home: Path, runtime: Path, wheels: Path, python: Path) -> dict[str, str]:
    """What a login gives, and where pip finds everything without a network."""
    return {
        "HOME": str(home),
        "PATH": f"{home}/bin:/usr/bin:/bin",
        "XDG_RUNTIME_DIR": str(runtime),
        "TOKMON_PYTHON": str(python),
        "TOKMON_NO_SYSTEMD": "1",  # the real user manager of whoever runs the tests is none of our business
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": wheels.as_uri(),
        **{name: REAL_ENVIRONMENT[name] for name in ("LANG", "LC_ALL") if name in REAL_ENVIRONMENT},
    }


def tree(root: Path) -> dict[str, Entry]:
    """Everything below `root`: kind, mode, owner, inode, time of change, and content or target."""
    return {str(path.relative_to(root)): _entry(path) for path in _walk(root)}


def names(root: Path) -> set[str]:
    """Every name below `root`, but for compiled modules, and what a link points to."""
    paths = (path for path in _walk(root) if path.suffix != ".pyc")
    return {str(path.relative_to(root)) + (f" -> {path.readlink()}" if path.is_symlink() else "") for path in paths}


def _walk(root: Path) -> Iterator[Path]:
    yield root
    for folder, folders, files in os.walk(root):
        yield from (Path(folder) / name for name in (*folders, *files))


def _entry(path: Path) -> Entry:
    found = path.lstat()
    content = ""
    if stat.S_ISLNK(found.st_mode):
        content = str(path.readlink())
    elif stat.S_ISREG(found.st_mode):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    numbers = (found.st_mode, found.st_uid, found.st_ino, found.st_mtime_ns, found.st_size)
    return (*map(str, numbers), content)


def kill_at(started: "subprocess.Popen[str]", step: str, *, group: bool = True, may_be_done: bool = False) -> None:
    """Kill as soon as that step has begun: the whole group, or the installer alone once the step's program runs."""
    assert started.stdout is not None
    for line in started.stdout:
        if re.match(step, line):
            break
    else:
        _, stderr = started.communicate()
        assert may_be_done, f"the installer never came to {step}"
        assert started.returncode == 0, stderr
        return
    if group:
        os.killpg(started.pid, signal.SIGKILL)
        started.communicate()
    else:
        children = Path(f"/proc/{started.pid}/task/{started.pid}/children")
        wait_until(children.read_text, "the step's program")
        started.kill()
        started.wait()


def end_sidecar(member: Member) -> None:
    """End the sidecar that runs, if any, and wait until nothing writes any more."""
    if member.sidecar_lock.exists():
        pid = int(member.sidecar_lock.read_text())
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        wait_until(lambda: is_free(member.sidecar_lock), "the end of the sidecar")
