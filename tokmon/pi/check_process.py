"""One run of pi: started, read within bounds, and ended with whatever it has started."""

import contextlib
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from tokmon import families
from tokmon.errors import reason_of
from tokmon.evidence.log_line import SERVED
from tokmon.evidence.model import RawResponse, Reading
from tokmon.pi.check_output import MAX_BYTES, reason, scrub_output

PROMPT: Final = "Answer with one word: ok"
MISSION: Final = "pi-check"
"""What the tokens of a check were spent for, as the log of usage says it."""

_FLAGS: Final = (
    "-p",
    "--no-session",
    "--no-tools",
    "--no-extensions",
    "--no-skills",
    "--no-prompt-templates",
    "--no-themes",
)
"""Every pi from 0.66 on knows these; one that it does not know would end it."""

SILENT: Final = "pi ended without an answer"
NOTHING_SAID: Final = Reading()

_TOO_MUCH: Final = 1 << 20
_TICK_S: Final = 0.05
_GRACE_S: Final = 1.0
_CHUNK: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class AccountToCheck:
    """An account to check, and with which model; `secrets` are taken out of whatever pi says.

    Of the `credentials`, either end is taken out too.
    """

    provider: str
    model: str
    kind: str | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)
    credentials: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class SessionResult:
    """How it went. `at` is when it ended, in epoch seconds; `reason` is empty if a session started.

    `reading` is what pi's error text says of the account, and says nothing where there was none; `error` is that text.
    """

    wanted: AccountToCheck
    at: float
    ms: int
    reason: str = ""
    error: str | None = None
    reading: Reading = NOTHING_SAID

    @property
    def ok(self) -> bool:
        """Whether a session started."""
        return not self.reason


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """How pi is run: by which words, with which extension, how long at most, and how many at once."""

    command: Sequence[str]
    extension: Path | None = None
    deadline_s: float = 60.0
    jobs: int = 3


@dataclass(frozen=True, slots=True)
class Try:
    """One run of pi; `until` is by the monotonic clock, and of all runs of the check."""

    wanted: AccountToCheck
    how: CheckSettings
    until: float | None = None
    again: bool = False
    """Whether the key was refused to an earlier one."""


class Running:
    """One pi, in a process group of its own."""

    def __init__(self, tried: Try, pi: subprocess.Popen[bytes], began: float) -> None:
        self._process = pi
        self._began = began
        self._until = self._began + tried.how.deadline_s if tried.until is None else tried.until
        self.tried = replace(tried, until=self._until)
        self._problem: str | None = None
        self._asked_to_end: float | None = None
        self._read = 0
        self._streams = [stream for stream in (pi.stdout, pi.stderr) if stream is not None]
        self._said = {stream.fileno(): bytearray() for stream in self._streams}
        self.open = set(self._said)
        for fd in self.open:
            os.set_blocking(fd, False)

    def take(self, fd: int) -> bool:
        """Read what there is, and keep the first of it; False if there is nothing now."""
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return False
        self._read += len(data)
        self._said[fd] += data[: max(0, MAX_BYTES - len(self._said[fd]))]
        if not data:
            self.open.discard(fd)
        return bool(data)

    def is_over(self) -> bool:
        """Whether it has ended, or was asked to and does not."""
        if _has_ended(self._process):
            return True
        now = time.monotonic()
        if self._asked_to_end is not None:
            return now - self._asked_to_end > _GRACE_S
        if self._read <= _TOO_MUCH and now <= self._until:
            return False
        if self._read <= _TOO_MUCH:
            self._problem = f"no answer within {self.tried.how.deadline_s:g} s"
        self._asked_to_end = now
        self._signal(signal.SIGTERM)
        return False

    def end(self) -> SessionResult:
        """What came of it, with whatever it has started ended too."""
        ms = round((time.monotonic() - self._began) * 1000)
        self._signal(signal.SIGKILL)
        code = self._wait()
        for fd in tuple(self.open):
            while self._read <= _TOO_MUCH and self.take(fd):
                pass
        answer, errors = (bytes(output) for output in self._said.values())
        self._close()
        wanted = self.tried.wanted
        result = SessionResult(wanted, time.time(), ms)
        if self._read > _TOO_MUCH:
            return replace(result, reason="pi printed more than 1 MiB")
        if self._problem is not None:
            return replace(result, reason=self._problem)
        if code is None or code < 0:
            return replace(result, reason="pi does not end" if code is None else f"pi was killed by {_name_of(-code)}")
        if code == 0:
            return result if answer.strip() else replace(result, reason=SILENT)
        text = scrub_output(errors, wanted.secrets, wanted.credentials)
        if not text:
            return replace(result, reason=f"pi said nothing, and ended with exit code {code}")
        reading = families.read(RawResponse(None, {}, result.at, text, wanted.kind))
        if reading.status in SERVED:
            reading = NOTHING_SAID
        return replace(result, reason=reason(text), error=text, reading=reading)

    def kill(self) -> None:
        """End it, and whatever it has started."""
        self._signal(signal.SIGKILL)
        self._wait()
        self._close()

    def _signal(self, number: signal.Signals) -> None:
        """To the whole group; its leader is not waited for before, so the number is nobody else's yet."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def _wait(self) -> int | None:
        try:
            return self._process.wait(timeout=_GRACE_S)
        except subprocess.TimeoutExpired:
            return None  # the kernel does not let go of it

    def _close(self) -> None:
        for stream in self._streams:
            stream.close()


def started(tried: Try, folder: Path, env: Mapping[str, str]) -> "Running | SessionResult":
    """Start pi on that account; the result of the check where it cannot be started."""
    how, wanted = tried.how, tried.wanted
    own = () if how.extension is None else ("-e", str(how.extension))
    began = time.monotonic()
    spec = f"{wanted.provider}/{wanted.model}"
    try:
        pi = subprocess.Popen(  # noqa: S603 - the user's own pi
            [*how.command, "--model", spec, *_FLAGS, *own, PROMPT],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=tempfile.mkdtemp(dir=folder),
            env={**env, "TOKMON_NO_SPAWN": "1", "TOKMON_MISSION": MISSION},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return SessionResult(wanted, time.time(), 0, f"pi cannot be started: {reason_of(error)}")
    return Running(tried, pi, began)


def read(running: Sequence[Running]) -> None:
    """Take what they say, for a moment."""
    with selectors.DefaultSelector() as selector:
        for check in running:
            for fd in check.open:
                selector.register(fd, selectors.EVENT_READ, check)
        for key, _ in selector.select(_TICK_S):
            key.data.take(key.fd)


def _has_ended(pi: subprocess.Popen[bytes]) -> bool:
    """Whether it has, without taking note of it: until then its number is that of its group and of nobody else."""
    if not hasattr(os, "waitid"):  # macOS, before Python 3.13
        return pi.poll() is not None
    return os.waitid(os.P_PID, pi.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
