"""Running a command as a member: its lines printed as they come, its end bounded.

What the command writes is hostile: a member's own programs may write it, onto root's terminal.
"""

import contextlib
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LINE_BYTES: Final = 16 << 10
_SHOWN_BYTES: Final = 4 << 20
_ERROR_BYTES: Final = 64 << 10
_CHUNK: Final = 64 << 10
_TURN_S: Final = 0.05
_KILL_S: Final = 5.0
_SYSTEM_PATH: Final = "/usr/local/bin:/opt/homebrew/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True)
class UnixAccount:
    """An account of this host."""

    name: str
    uid: int
    gid: int
    home: Path


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: its exit code and what it wrote on stderr, or the `problem` that ended it."""

    code: int
    stderr: str = ""
    problem: str | None = None


def run_as(
    account: UnixAccount,
    words: Sequence[str | Path],
    *,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
    show: Callable[[str], object] = str,
    stdin: bytes = b"",
) -> Ended:
    """Run a command as that account and nothing else, and hand each line that it writes on stdout to `show`.

    It has the account's user and groups and no way back, no terminal, no open file of ours, `stdin` (a few bytes) as
    its standard input, `/` as its folder, the umask 077, and of our environment nothing but the language;
    `environment` is added to what a login sets. After `timeout_s` seconds it is killed with all that it started. A
    process that it leaves behind may live on, and is not waited for. If we are killed, the command ends when it next
    prints a line. Needs root.
    """
    with tempfile.TemporaryFile() as errors, _readable(stdin) as pipe:
        try:
            command = subprocess.Popen(  # noqa: S603 - the words are ours
                words,
                bufsize=0,
                stdin=pipe,
                stdout=subprocess.PIPE,
                stderr=errors,
                user=account.uid,
                group=account.gid,
                extra_groups=os.getgrouplist(account.name, account.gid),
                umask=0o077,
                cwd="/",
                start_new_session=True,
                env=_login(account) | dict(environment or {}),
            )
        except OSError as error:
            return Ended(-1, problem=str(error))
        try:
            code = _follow(command, _Lines(show), time.monotonic() + timeout_s)
        finally:
            _kill_unless_ended(command)
        if code is None:
            return Ended(-1, problem=f"took longer than {timeout_s:g} s")
        errors.seek(0)
        stderr = errors.read(_ERROR_BYTES).decode("utf-8", "backslashreplace").splitlines()
    problem = f"was ended by {_signal_name(-code)}" if code < 0 else None
    return Ended(code, "\n".join(map(printable, stderr)), problem)


@contextlib.contextmanager
def _readable(data: bytes) -> Iterator[int]:
    """The end of a pipe from which these bytes can be read: fewer than a pipe holds."""
    reader, writer = os.pipe()
    try:
        try:
            os.write(writer, data)
        finally:
            os.close(writer)
        yield reader
    finally:
        os.close(reader)


def _login(account: UnixAccount) -> dict[str, str]:
    """What a login would set, as far as it can be told without looking into the home."""
    variables = {name: os.environ[name] for name in ("LANG", "LC_ALL") if name in os.environ}
    names = {"HOME": str(account.home), "USER": account.name, "LOGNAME": account.name}
    # The account's own shell may be nologin.
    return variables | names | {"SHELL": "/bin/sh", "PATH": _SYSTEM_PATH}


class _Lines:
    """Hands on each line of a stream as much as is bearable, and drops the rest."""

    def __init__(self, show: Callable[[str], object]) -> None:
        self._show = show
        self._shown = 0
        self._rest = b""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes; none at all ends the last line."""
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        if self._rest and (not chunk or len(self._rest) > _LINE_BYTES):
            whole.append(self._rest)
            self._rest = b""
        for line in whole:
            before, self._shown = self._shown, self._shown + len(line) + 1
            if self._shown <= _SHOWN_BYTES:
                self._show(printable(line.decode("utf-8", "backslashreplace")))
            elif before <= _SHOWN_BYTES:
                self._show("(more output is not shown)")


def _follow(command: "subprocess.Popen[bytes]", lines: _Lines, deadline: float) -> int | None:
    """Read what the command writes until it has ended; return its exit code, or None if the time is up."""
    assert command.stdout is not None  # noqa: S101 - for mypy: it is a pipe
    with command.stdout as pipe:
        while time.monotonic() < deadline:
            code = command.poll()
            ready = select.select([pipe], [], [], _TURN_S if code is None else 0)[0]
            chunk = pipe.read(_CHUNK) if ready else b""
            if code is not None and not chunk:
                lines.feed(b"")
                return code
            if chunk:
                lines.feed(chunk)
            elif ready:  # it closed its stdout
                with contextlib.suppress(subprocess.TimeoutExpired):
                    command.wait(_TURN_S)
    return None


def printable(text: str) -> str:
    """Return the text with whatever could command a terminal escaped."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def _kill_unless_ended(command: "subprocess.Popen[bytes]") -> None:
    """End the command and all that it started."""
    if command.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(command.pid, signal.SIGKILL)
        # A process that waits for a dead disk does not end: nobody waits for it.
        with contextlib.suppress(subprocess.TimeoutExpired):
            command.wait(_KILL_S)


def _signal_name(number: int) -> str:
    return next((known.name for known in signal.Signals if known.value == number), f"signal {number}")
