"""A wake: the real hook, by a real shell, in a folder of its own, with what each of its runs must hold to."""

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

HOOK: Final = Path(__file__).resolve().parents[2] / "hooks" / "budget-select"
LINE: Final = re.compile(r"[A-Za-z0-9._:/@+-]{1,200} [A-Za-z0-9._:/@+-]{1,200}\n")
SLACK_S: Final = 8.0
"""How much later than the deadline a wake may end here: far less than what hangs, more than a busy machine takes."""

DECIDED: Final = "team-ludo claude-sonnet-4-6"
ASKED: Final = "from-tokmon asked"
LAST: Final = "last-good decision"
DEFAULT: Final = "default-provider default-model"
BUILT_IN: Final = "anthropic claude-sonnet-4-6"

_PR_SET_CHILD_SUBREAPER: Final = 36
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


def uptime() -> int:
    """Whole seconds since the boot."""
    return int(Path("/proc/uptime").read_text(encoding="ascii").split(".")[0])


def decision(pair: str = DECIDED, *, boot: str | None = None, issued: int = 0, expires: int = 50) -> str:
    """A decision file's line; the times are relative to now."""
    now = uptime()
    boot = _BOOT.read_text(encoding="ascii").strip() if boot is None else boot
    return f"tokmon-decision 1 {boot} {now + issued} {now + expires} {pair} end\n"


@dataclass(frozen=True, slots=True)
class Said:
    """What a wake printed and how long it took, until nobody held its pipes."""

    line: str
    errors: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Wake:
    """Run by `shell`; everything that it may read is below `folder`."""

    folder: Path
    shell: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for each in (self.runtime, self.state, self.home, self.programs):
            each.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.environment.update(
            HOME=str(self.home),
            PATH=f"{self.programs}:/usr/bin:/bin",
            XDG_RUNTIME_DIR=str(self.runtime.parent),
            TOKMON_DEADLINE_MS="5000",
        )
        self.last.write_text(decision(LAST, boot="another-boot"), encoding="ascii")

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def runtime(self) -> Path:
        return self.folder / "run" / "tokmon"

    @property
    def state(self) -> Path:
        return self.home / ".local" / "state" / "tokmon"

    @property
    def programs(self) -> Path:
        return self.folder / "programs"

    @property
    def decision(self) -> Path:
        return self.runtime / "decision"

    @property
    def last(self) -> Path:
        return self.state / "decision.last"

    def decide(self, line: str | bytes | None = None) -> None:
        """Write the decision file, as the sidecar would unless told otherwise."""
        line = decision() if line is None else line
        self.decision.write_bytes(line if isinstance(line, bytes) else line.encode())

    def tokmon(self, script: str = f"echo {ASKED}", path: Path | None = None) -> Path:
        """Put a shell script in tokmon's place."""
        path = path or self.home / ".local" / "bin" / "tokmon"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    def without_timeout(self) -> None:
        """Leave the deadline to the hook: the program `timeout` is not one that it takes."""
        (self.programs / "timeout").symlink_to("/bin/false")

    def said(
        self,
        *,
        before: tuple[str, ...] = (),
        cwd: str = "/",
        stdin: IO[bytes] | None = None,
        outlived: str = "",
        **more: str | None,
    ) -> Said:
        """One run, wrapped by the words `before`; `more` are variables for it, None takes one away.

        `outlived`: whether it may leave processes behind, `by dead` ones alone or `by its own`, as tokmon's are.
        """
        changed = self.environment | more
        env = {name: value for name, value in changed.items() if value is not None}
        deadline = env.get("TOKMON_DEADLINE_MS", "")
        patience = (int(deadline) / 1e3 if deadline.isdecimal() else 3.0) + SLACK_S
        with alone(outlived):
            started = time.monotonic()
            done = subprocess.run(
                [*before, *self.shell, HOOK],
                env=env,
                cwd=cwd,
                stdin=stdin or subprocess.DEVNULL,
                capture_output=True,
                timeout=min(patience, 60),
                check=False,
            )
            seconds = time.monotonic() - started
        line, errors = done.stdout.decode(), done.stderr.decode()
        assert done.returncode == 0, errors
        assert LINE.fullmatch(line), (line[:500], errors[:500])
        assert errors.count("\n") <= 1, errors
        return Said(line.strip(), errors.strip(), seconds)

    def line(self, **more: str | None) -> str:
        """The line of one run."""
        return self.said(**more).line  # type: ignore[arg-type]  # variables alone


@contextlib.contextmanager
def alone(outlived: str = "") -> Iterator[None]:
    """Expect that no process outlives what runs inside, not even a dead one, unless it may."""
    prctl = ctypes.CDLL(None).prctl
    before = _children()
    prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        left = _children() - before
        patience = time.monotonic() + SLACK_S
        while outlived == "by dead" and time.monotonic() < patience and _living(left):
            time.sleep(0.01)  # killed, and on a busy machine not dead yet
        names = [_name(pid) for pid in left]
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
    if outlived == "by dead":
        names = [each for each in names if not each.endswith(" Z")]
    assert outlived == "by its own" or not names, names


def _living(processes: set[int]) -> list[int]:
    return [pid for pid in processes if not _name(pid).endswith(" Z")]


def _children() -> set[int]:
    threads = Path("/proc/self/task").iterdir()
    return {int(pid) for each in threads for pid in (each / "children").read_text(encoding="ascii").split()}


def _name(pid: int) -> str:
    words = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split()
    return f"{words[1]} {words[2]}"
