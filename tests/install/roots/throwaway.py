"""A root that is thrown away: entered by namespaces, with or without systemd as its first process."""

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.install.member import Entry, tree
from tests.install.user_manager import remove_cgroup, until_ready
from tests.patience import PATIENCE_S

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
WATCHED: Final = ("etc", "home", "opt", "root", "srv/agents", "usr/local", "var/lib/systemd", "var/lib/tokmon")
"""Where an install could leave something."""

_SCRIPT: Final = Path(__file__).with_name("enter.sh")
_NAMESPACES: Final = ("--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--cgroup", "--net")


@dataclass(frozen=True, slots=True)
class Root:
    """`leader` is its first process, seen from here."""

    leader: int

    def path(self, inside: str) -> Path:
        """Where a path inside lies for us. Links that are absolute lead back to our own root: do not follow any."""
        return Path(f"/proc/{self.leader}/root/{inside.lstrip('/')}")

    def run(
        self,
        *words: str | Path,
        user: str = "root",
        stdin: str = "",
        without: tuple[str, ...] = (),
        **more: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside; `more` are variables, `without` capabilities that root has to do without."""
        return subprocess.run(
            self.command(*words, user=user, without=without, **more),
            input=stdin,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def command(
        self, *words: str | Path, user: str = "root", without: tuple[str, ...] = (), **more: str
    ) -> list[str | Path]:
        """The words that run a command inside."""
        home = "/root" if user == "root" else f"/home/{user}"
        environment = {"HOME": home, "USER": user, "LOGNAME": user, "PATH": PATH, "LANG": "C.UTF-8", **more}
        dropped = ",".join(f"-{capability}" for capability in without)
        return [
            *("nsenter", "--target", str(self.leader), "--all", "--root"),
            *(("setpriv", "--bounding-set", dropped, "--inh-caps", dropped) if dropped else ()),
            *(() if user == "root" else ("runuser", "-u", user, "--")),
            *("env", "--chdir=/", "-i", *(f"{name}={value}" for name, value in environment.items()), *words),
        ]

    def sh(self, script: str, *, user: str = "root", stdin: str = "", **more: str) -> str:
        """Run a shell script inside that must succeed, and return what it prints."""
        done = self.run("sh", "-euc", script, user=user, stdin=stdin, without=(), **more)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def watched(self) -> dict[str, Entry]:
        """Everything where an install could leave something."""
        found: dict[str, Entry] = {}
        for top in WATCHED:
            if self.path(top).exists():
                found |= {f"/{top}/{name}": entry for name, entry in tree(self.path(top)).items()}
        return found


def contents(root: Path) -> dict[str, Entry]:
    """Mode, owner, and content or target of everything below `root`: the tree without what any work in it changes."""
    return {name: (entry[0], entry[1], entry[-1]) for name, entry in tree(root).items()}


@contextlib.contextmanager
def entered(lower: Path, *folders: Path, boot: bool = False) -> Iterator[Root]:
    """Enter a copy of the root `lower`, with `folders` read-only in its /srv; in the end nothing is left of it."""
    with tempfile.TemporaryDirectory(prefix="tokmon-root-", dir="/var/tmp") as work:
        cgroup = Path(work).name
        command = ["unshare", *_NAMESPACES, "--propagation", "private", _SCRIPT, "boot" if boot else "stay"]
        process = subprocess.Popen(
            [*command, lower, work, cgroup, *folders],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            until_ready(process, "the root cannot be entered")
            yield Root(_leader(process.pid))
        finally:
            process.kill()
            process.communicate()
            if boot:
                remove_cgroup(cgroup)


def _leader(pid: int) -> int:
    """The first process of the innermost namespace below a process."""
    found = pid
    for each in (pid, *descendants(pid)):
        numbers = _namespaced(each)
        if numbers and numbers[-1] == "1" and len(numbers) > len(_namespaced(found)):
            found = each
    return found


def descendants(pid: int) -> Iterator[int]:
    """What a process started, and what those started, the elders first."""
    for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
        yield child
        yield from descendants(child)


def _namespaced(pid: int) -> list[str]:
    """A process's id in every namespace that it is in, ours first."""
    with contextlib.suppress(FileNotFoundError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return line.split()[1:]
    return []


def is_installer(pid: int) -> bool:
    """Whether a process is an installer, of any member's part too."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return b"/bootstrap/run.py" in words or b"/bin/tokmon\0install\0" in words
