"""A function in a child process of its own: its lines streamed, its answer handed back, its end bounded.

What the child writes is hostile: a member's own programs write it, onto root's terminal.
"""

import contextlib
import fcntl
import io
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn

from tokmon.errors import TokmonError

_LINE_BYTES: Final = 16 << 10
_SHOWN_BYTES: Final = 4 << 20
_ANSWER_BYTES: Final = 1 << 20
_TURN_MS: Final = 50
_LAST_TURN_MS: Final = 2
_KILL_S: Final = 5.0
_CHUNK: Final = 64 << 10
_ANSWER_FD: Final = 3
_NAMES: Final = {each.value: each.name for each in signal.Signals}


@dataclass(frozen=True, slots=True)
class End:
    """How a child ended: with what it answered, or with a problem and perhaps a hint."""

    answer: object = None
    problem: str | None = None
    hint: str | None = None


def run(work: Callable[[], object], patience_s: float, say: Callable[[str], None]) -> End:
    """Fork, and run `work` there for at most `patience_s` seconds; `say` gets each line that it writes.

    The child is a session of its own with an empty stdin and no other open file of ours. A process that it leaves
    behind may live on; nobody waits for it.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    lines, lines_end = os.pipe()
    answer, answer_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        _be_the_child(work, lines_end, answer_end)
    os.close(lines_end)
    os.close(answer_end)
    reader = _Reader(lines, answer, say)
    with contextlib.closing(reader):
        try:
            status = _wait(pid, reader, time.monotonic() + patience_s)
        except BaseException:
            _kill(pid)
            raise
        if status is None:
            problem = f"took longer than {patience_s:g} s"
            return End(problem=problem if _kill(pid) else f"{problem}, and does not end when killed")
        reader.finish()
    return _end(status, bytes(reader.answer))


def _wait(pid: int, reader: "_Reader", deadline: float) -> int | None:
    """Read until the child has ended, and return its status; None if the time was up."""
    while True:
        if (status := _status(pid)) is not None:
            return status
        reader.read()
        if time.monotonic() > deadline:
            return None
        reader.wait()


def _status(pid: int) -> int | None:
    """How the child ended, or None if it has not."""
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return 0  # whoever started us ignores SIGCHLD, and so nobody knows
    return status if ended else None


def _kill(pid: int) -> bool:
    """End the child and all that it started; whether it has ended (one that waits for a dead disk does not)."""
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError):
            kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + _KILL_S
    while _status(pid) is None:
        if time.monotonic() > deadline:
            return False
        time.sleep(_LAST_TURN_MS / 1000)
    return True


def _end(status: int, answer: bytes) -> End:
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return End(problem=f"was ended by {_NAMES.get(-code, f'signal {-code}')}")
    with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
        said = json.loads(answer if len(answer) <= _ANSWER_BYTES else b"")
        if "problem" in said:
            return End(problem=visible(str(said["problem"])), hint=said["hint"] and visible(str(said["hint"])))
        if code == 0:
            return End(answer=said["answer"])
    return End(problem=f"ended with exit code {code} and without an answer")


class _Reader:
    """The two pipes of a child: `lines` for people, and `answer` for us."""

    def __init__(self, lines: int, answer: int, say: Callable[[str], None]) -> None:
        self.answer = bytearray()
        self._pipes = {lines: self._take_lines, answer: self._take_answer}
        self._answer = answer
        self._line = bytearray()
        self._shown = 0
        self._say = say
        for pipe in self._pipes:
            os.set_blocking(pipe, False)

    def wait(self) -> None:
        """Wait until there is something to read, or for a turn: a child can end without a word."""
        poll = select.poll()
        for pipe in self._pipes:
            poll.register(pipe, select.POLLIN)
        poll.poll(_TURN_MS if self._answer in self._pipes else _LAST_TURN_MS)

    def read(self) -> None:
        """Take what there is by now: a bounded part of it, for a flood must not keep us from the clock."""
        for pipe, take in list(self._pipes.items()):
            with contextlib.suppress(BlockingIOError):
                chunk = os.read(pipe, _CHUNK)
                take(chunk)
                if not chunk:
                    os.close(pipe)
                    del self._pipes[pipe]

    def finish(self) -> None:
        """Take what the child left in the pipes, and the line without an end. Others may write on: no matter."""
        for _ in range(_ANSWER_BYTES // _CHUNK):
            self.read()
        if self._line:
            self._show(bytes(self._line))

    def close(self) -> None:
        for pipe in self._pipes:
            os.close(pipe)
        self._pipes.clear()

    def _take_answer(self, chunk: bytes) -> None:
        if len(self.answer) <= _ANSWER_BYTES:
            self.answer += chunk

    def _take_lines(self, chunk: bytes) -> None:
        self._line += chunk
        *whole, rest = self._line.split(b"\n")
        self._line = rest
        for line in whole:
            self._show(bytes(line))
        if len(self._line) > _LINE_BYTES:
            self._show(bytes(self._line))
            self._line = bytearray()

    def _show(self, line: bytes) -> None:
        before, self._shown = self._shown, self._shown + len(line) + 1
        if self._shown <= _SHOWN_BYTES:
            self._say(visible(line.decode("utf-8", "backslashreplace")))
        elif before <= _SHOWN_BYTES:
            self._say("(it says more than is shown)")


def visible(text: str) -> str:
    """The text with whatever could command a terminal escaped."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _be_the_child(work: Callable[[], object], lines: int, answer: int) -> NoReturn:
    """Run `work` and end, whatever happens: nothing of the parent's may go on in here."""
    code = 1
    try:
        _let_go(lines, answer)
        try:
            text = json.dumps({"answer": work()})
            code = 0
        except TokmonError as error:
            text = json.dumps({"problem": str(error), "hint": error.hint})
        except OSError as error:
            text = json.dumps({"problem": str(error), "hint": None})
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the failure of this child alone
            traceback.print_exc()
            text = json.dumps({"problem": f"{type(error).__name__}: {error}", "hint": None})
        sys.stdout.flush()
        with io.FileIO(_ANSWER_FD, "w", closefd=False) as pipe:
            rest = memoryview(text.encode())
            while rest:
                rest = rest[pipe.write(rest) :]
    finally:
        os._exit(code)


def _let_go(lines: int, answer: int) -> None:
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # Above the numbers that are about to be filled, so that none of them is overwritten on the way.
    lines, answer, empty = (_above(each) for each in (lines, answer, os.open(os.devnull, os.O_RDONLY)))
    for place, each in ((0, empty), (1, lines), (2, lines), (_ANSWER_FD, answer)):
        os.dup2(each, place, inheritable=place != _ANSWER_FD)
    os.closerange(_ANSWER_FD + 1, _highest_open())
    sys.stdin = os.fdopen(0, "r", encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)
    os.umask(0o077)
    os.chdir("/")


def _above(file: int) -> int:
    return fcntl.fcntl(file, fcntl.F_DUPFD, _ANSWER_FD + 1)


def _highest_open() -> int:
    try:
        return max(map(int, os.listdir("/dev/fd"))) + 1  # noqa: PTH208 - names alone are wanted
    except OSError:  # no /proc, as in a bare chroot
        return os.sysconf("SC_OPEN_MAX")
