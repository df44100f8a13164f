"""A wake: the real hook, run by a real shell, in a folder of its own, with what each of its runs must hold to."""

import contextlib
import ctypes
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from tests.patience import PATIENCE_S

HOOK: Final = Path(__file__).resolve().parents[2] / "hooks" / "budget-select"
LINE: Final = re.compile(r"[A-Za-z0-9._:/@+][A-Za-z0-9._:/@+-]{0,199} [A-Za-z0-9._:/@+][A-Za-z0-9._:/@+-]{0,199}\n")
SLACK_S: Final = PATIENCE_S
"""How much later than its deadline a wake is taken to hang: much more than a busy machine takes."""

DECIDED: Final = "team-ludo claude-sonnet-4-6"
ASKED: Final = "from-tokmon answer"
LAST: Final = "last-good decision"
FIRST: Final = "team-first first-model"
ACCOUNTS: Final = (FIRST, "team-pin pin-model", "team-ludo claude-sonnet-4-6")
DEFAULT: Final = "default-provider default-model"
BUILT_IN: Final = "anthropic claude-sonnet-4-6"

_PR_SET_CHILD_SUBREAPER: Final = 36
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_AGE_S: Final = 100


def uptime() -> int:
    """Whole seconds since the boot."""
    return int(Path("/proc/uptime").read_text(encoding="ascii").split(".")[0])


def boot() -> str:
    """The boot that ISSUED and EXPIRES count from."""
    return _BOOT.read_text(encoding="ascii").strip()


@dataclass(frozen=True, slots=True)
class Run:
    """What a wake printed, and the process number that it had."""

    line: str
    remark: str
    pid: int


@dataclass(frozen=True, slots=True)
class Wake:
    """Run by `shell`; everything that it may read is below `folder`."""

    folder: Path
    shell: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for folder in (self.state, self.logs, self.config, self.programs):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.config / "config.toml").touch()
        (self.logs / "piggyback.jsonl").touch()
        for path in self.inputs:
            os.utime(path, (time.time() - _AGE_S,) * 2)
        self.environment.update(HOME=str(self.home), PATH=f"{self.programs}:/usr/bin:/bin", TOKMON_DEADLINE_MS="20000")
        self.decide(pair=LAST, boot_id="another-boot")

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def state(self) -> Path:
        return self.home / ".local" / "state" / "tokmon"

    @property
    def logs(self) -> Path:
        return self.home / ".logs" / "token-monitor"

    @property
    def config(self) -> Path:
        return self.home / ".config" / "tokmon"

    @property
    def programs(self) -> Path:
        return self.folder / "programs"

    @property
    def decision(self) -> Path:
        return self.state / "decision"

    @property
    def lock(self) -> Path:
        return self.state / "decision.lock"

    @property
    def inputs(self) -> tuple[Path, ...]:
        """What a decision rests on here, older than it."""
        return self.config, self.config / "config.toml", self.logs, self.logs / "piggyback.jsonl"

    @property
    def places(self) -> str:
        """The folders that a decision is for."""
        return f"{self.config} {self.logs} {self.home / '.pi' / 'agent'}"

    def text(
        self,
        *,
        pair: str = DECIDED,
        boot_id: str | None = None,
        issued: int = 0,
        expires: int = 3000,
        places: str | None = None,
        equal: Sequence[str] = (),
        inputs: Sequence[Path] | None = None,
        accounts: Sequence[str] = ACCOUNTS,
    ) -> str:
        """A decision file; the times are seconds from now."""
        now = uptime()
        head = f"tokmon-decision/2 {boot() if boot_id is None else boot_id} {now + issued} {now + expires} {pair} end"
        lines = [head, f"for {self.places if places is None else places}"]
        lines += [f"equal {other}" for other in equal]
        for path in self.inputs if inputs is None else inputs:
            lines.append(f"input {path.relative_to(self.logs) if path.is_relative_to(self.logs) else path}")
        lines += [f"account {account}" for account in accounts]
        return "\n".join([*lines, "end", ""])

    def decide(self, content: str | bytes | None = None, **fields: Any) -> None:
        """Write the decision file: a fresh one, unless `content` or `fields` say otherwise."""
        content = self.text(**fields) if content is None else content
        self.decision.write_bytes(content if isinstance(content, bytes) else content.encode())

    def tokmon(self, script: str = f"echo {ASKED}", path: Path | None = None) -> Path:
        """Put a shell script in tokmon's place."""
        path = path or self.home / ".local" / "bin" / "tokmon"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    def start(self, before: Sequence[str] = (), stderr: int | IO[bytes] = subprocess.PIPE, **more: Any) -> "Process":
        """Start the hook, wrapped by the words `before`; `more` are variables for it, None takes one away."""
        env = {name: value for name, value in (self.environment | more).items() if value is not None}
        words = [*before, *self.shell, str(HOOK)]
        return subprocess.Popen(
            words, env=env, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr
        )

    def run(
        self,
        before: Sequence[str] = (),
        *,
        env: Mapping[str, str] | None = None,
        leaves_processes: bool = False,
        **more: Any,
    ) -> Run:
        """One run, which prints one line and ends with 0. `leaves_processes`: as the fake tokmon does."""
        with alone(allowed=leaves_processes), self.start(before, **{**(env or {}), **more}) as process:
            return finished(process)

    def line(self, **more: Any) -> str:
        """The line of one run."""
        return self.run(**more).line

    def batch(self, contents: Sequence[str | bytes], **more: str) -> list[tuple[str, bool]]:
        """The line for each of those decision files, asking nobody, and whether the decision was taken for fresh."""
        cases = self.folder / "cases"
        cases.mkdir()
        for number, content in enumerate(contents):
            (cases / f"{number:06}").write_bytes(content if isinstance(content, bytes) else content.encode())
        words = shlex.join([*self.shell, str(HOOK)])
        script = f'for file in "$0"/*; do TOKMON_DECISION=$file {words} 2>&1; echo "=$?"; done'
        done = subprocess.run(
            ["sh", "-c", script, str(cases)],
            env=self.environment | {"TOKMON_DEADLINE_MS": "0"} | more,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SLACK_S * 5,
            check=True,
        )
        outputs = done.stdout.split("=0\n")
        assert (len(outputs), outputs[-1], done.stderr) == (len(contents) + 1, "", "")
        for number in range(len(contents)):
            (cases / f"{number:06}").unlink()
        cases.rmdir()
        return [_parsed(output) for output in outputs[:-1]]


Process = subprocess.Popen[bytes]


def _parsed(output: str) -> tuple[str, bool]:
    line, *remarks = output.splitlines(keepends=True)
    assert LINE.fullmatch(line), output[:500]
    assert len(remarks) <= 1, output[:500]
    return line.strip(), not remarks


def finished(process: Process) -> Run:
    """What it printed: one line, with at most one on stderr, and exit code 0."""
    stdout, stderr = process.communicate(timeout=SLACK_S)
    line, remark = stdout.decode(), (stderr or b"").decode()
    assert process.returncode == 0, remark
    assert LINE.fullmatch(line), (line[:500], remark[:500])
    assert remark.count("\n") <= 1, remark
    return Run(line.strip(), remark.strip(), process.pid)


@contextlib.contextmanager
def alone(*, allowed: bool = False) -> Iterator[None]:
    """Expect that no living process outlives what runs inside, unless that is allowed."""
    prctl = ctypes.CDLL(None).prctl
    before = _children()
    prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        left = _children() - before
        end = time.monotonic() + 5
        while not allowed and _living(left) and time.monotonic() < end:
            time.sleep(0.01)  # yash does not wait for the first part of a pipeline, which has nothing left to do
        living = _living(left)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
    assert allowed or not living, living


def _living(processes: set[int]) -> list[str]:
    return [name for name in map(_name, processes) if not name.endswith(" Z")]


def _children() -> set[int]:
    threads = Path("/proc/self/task").iterdir()
    return {int(pid) for thread in threads for pid in (thread / "children").read_text(encoding="ascii").split()}


def _name(pid: int) -> str:
    words = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split()
    return f"{words[1]} {words[2]}"
