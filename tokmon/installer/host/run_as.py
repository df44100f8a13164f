"""Running a command as a member: its lines printed as they come, its end bounded.

What the command writes is hostile: a member's own programs may write it, onto root's terminal.
"""

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LINE_CHARACTERS: Final = 16 << 10
_SHOWN_CHARACTERS: Final = 4 << 20
_ERROR_BYTES: Final = 64 << 10
_LAST_LINES_S: Final = 5.0
_SYSTEM_PATH: Final = "/usr/local/bin:/opt/homebrew/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True)
class Account:
    """An account of this host."""

    name: str
    uid: int
    gid: int
    home: Path


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: its exit code and what it wrote on stderr, or the `problem` that ended it."""

    code: int
    stderr: str
    problem: str | None = None


def run_as(
    account: Account,
    words: Sequence[str | Path],
    *,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
    show: Callable[[str], None] | None = None,
) -> Ended:
    """Run a command as that account and nothing else, and hand each line that it writes on stdout to `show`.

    It has the account's user and groups and no way back, no terminal, no open file of ours, an empty stdin, `/` as its
    folder, the umask 077, and of our environment nothing but the language; `environment` is added to what a login sets.
    After `timeout_s` seconds it is killed with all that it started. A process that it leaves behind may live on. If we
    are killed, it ends when it next prints a line. Needs root.
    """
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(  # noqa: S603 - the words are ours
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
                errors="backslashreplace",
                user=account.uid,
                group=account.gid,
                extra_groups=os.getgrouplist(account.name, account.gid),
                umask=0o077,
                cwd="/",
                start_new_session=True,
                env=_login(account) | dict(environment or {}),
            )
        except OSError as error:
            return Ended(-1, "", str(error))
        lines = threading.Thread(target=_show, args=(process, show or _drop), daemon=True)
        lines.start()
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            _kill(process)
            return Ended(-1, "", f"took longer than {timeout_s:g} s")
        except BaseException:
            _kill(process)
            raise
        # A process that was left behind may keep the pipe open: nobody waits for it.
        lines.join(_LAST_LINES_S)
        errors.seek(0)
        stderr = errors.read(_ERROR_BYTES).decode("utf-8", "backslashreplace")
    problem = f"was ended by {_signal_name(-code)}" if code < 0 else None
    return Ended(code, "\n".join(map(printable, stderr.splitlines())), problem)


def _login(account: Account) -> dict[str, str]:
    """What a login would set, as far as it can be told without looking into the home."""
    variables = {name: os.environ[name] for name in ("LANG", "LC_ALL") if name in os.environ}
    names = {"HOME": str(account.home), "USER": account.name, "LOGNAME": account.name}
    # The account's own shell may be nologin.
    return variables | names | {"SHELL": "/bin/sh", "PATH": _SYSTEM_PATH}


def _show(process: "subprocess.Popen[str]", show: Callable[[str], None]) -> None:
    """Hand on each line, as much as is bearable; the rest is read and dropped, so that the writer goes on."""
    shown = 0
    while process.stdout and (line := process.stdout.readline(_LINE_CHARACTERS)):
        before, shown = shown, shown + len(line)
        try:
            if shown <= _SHOWN_CHARACTERS:
                show(printable(line.removesuffix("\n")))
            elif before <= _SHOWN_CHARACTERS:
                show("(more output is not shown)")
        except OSError:  # nobody reads what we print any more
            _kill(process)
            return


def _drop(_line: str) -> None:
    """Show nothing."""


def printable(text: str) -> str:
    """Return the text with whatever could command a terminal escaped."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def _kill(process: "subprocess.Popen[str]") -> None:
    """End the command and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    # One that waits for a dead disk does not end: nobody waits for it.
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_LAST_LINES_S)


def _signal_name(number: int) -> str:
    return next((known.name for known in signal.Signals if known.value == number), f"signal {number}")
