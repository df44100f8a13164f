"""A throwaway user with a real `systemd --user` in namespaces of its own; nothing of it stays on the host."""

import contextlib
import os
import pwd
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.install.accounts import account
from tests.patience import PATIENCE_S

_SCRIPT: Final = Path(__file__).with_name("user_systemd.sh")
_NAMESPACES: Final = ("--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--cgroup")


@dataclass(frozen=True, slots=True)
class UserManager:
    """`run` runs a command as the user, inside; `leader` is the first process inside, seen from here."""

    user: str
    home: Path
    leader: int
    environment: Mapping[str, str]

    @property
    def uid(self) -> int:
        return pwd.getpwnam(self.user).pw_uid

    def run(self, *words: str | Path, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command as the user beside the manager, with what a login would give it and `more`."""
        variables = [f"{name}={value}" for name, value in {**self.environment, **more}.items()]
        return subprocess.run(
            [
                *("nsenter", "--target", str(self.leader), "--mount", "--pid", "--cgroup"),
                *("runuser", "-u", self.user, "--", "env", "-i", *variables, *words),
            ],
            input=stdin,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def systemctl(self, *words: str) -> str:
        """Run `systemctl --user` and return what it says; its exit code is not looked at."""
        return self.run("systemctl", "--user", *words).stdout.strip()


@contextlib.contextmanager
def started(base: Path) -> Iterator[UserManager]:
    """Make a user with a home below `base`, start its manager, and remove both in the end."""
    with account(base) as made, _manager(made.pw_name) as leader:
        home, runtime = Path(made.pw_dir), f"/run/user/{made.pw_uid}"
        environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": runtime, "USER": made.pw_name}
        yield UserManager(made.pw_name, home, leader, environment)


def until_ready(process: "subprocess.Popen[str]", problem: str) -> None:
    """Read what a process says until it says `ready`; RuntimeError with the rest if it never does."""
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if line == "ready\n":
            return
    raise RuntimeError(f"{problem}: {''.join(said)[-2000:]}")


@contextlib.contextmanager
def _manager(user: str) -> Iterator[int]:
    command = ["unshare", *_NAMESPACES, "--propagation", "private", str(_SCRIPT), user, user]
    process = subprocess.Popen(
        command, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        until_ready(process, "no user manager came up")
        yield int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())
    finally:
        process.kill()
        process.communicate()
        remove_cgroup(user)


def remove_cgroup(name: str) -> None:
    """The only thing that outlives the namespaces. A group can go once its processes have."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    own = [line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")]
    for mount in (Path(words[1]) for words in mounts if words[2] == "cgroup2"):
        group = mount / (own[0].lstrip("/") if own else "") / name
        for folder, _, _ in os.walk(group, topdown=False):
            while Path(folder, "cgroup.procs").read_text():
                continue
            Path(folder).rmdir()
