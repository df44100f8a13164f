"""Start a sidecar in the background: two forks, and a pipe on which the child reports that it listens."""

import contextlib
import os
import sys
from pathlib import Path

from tokmon.errors import TokmonError
from tokmon.paths import Paths, private_folder
from tokmon.sidecar import service
from tokmon.sidecar.group_commit import Fsync
from tokmon.store.opener import open_to_append

_LOG_BYTES = 1 << 20


def run(paths: Paths, *, fsync: Fsync) -> int:
    """Start a sidecar in the background. Returns 0 once it or another one listens, 1 if it could not start."""
    private_folder(paths.state)
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # a closed standard stream: the pipe must not get its number
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        os.setsid()
        if os.fork() == 0:
            os._exit(_child(paths, writer, fsync))
        os._exit(0)
    os.close(writer)
    os.wait()
    with os.fdopen(reader) as pipe:
        message = pipe.read()
    if message and message != "ready":
        print(f"tokmon sidecar: {message}", file=sys.stderr)  # noqa: T201
    return 0 if message == "ready" or "running already" in message else 1


def _child(paths: Paths, writer: int, fsync: Fsync) -> int:
    """The background process, detached from the terminal. Its stderr is `sidecar.log`, kept below 2 MiB."""
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    try:
        out = _open_log(paths.state / "sidecar.log")
    except OSError:
        out = null  # a sidecar without a log of its own still stores events
    for fd, target in ((null, 0), (null, 1), (out, 2)):
        os.dup2(fd, target)
    try:
        return service.run(paths, fsync=fsync, ready=lambda: _report(writer, "ready"))
    except TokmonError as error:
        _report(writer, str(error))
        return 1


def _open_log(log: Path) -> int:
    if log.is_file() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    return open_to_append(log)


def _report(writer: int, message: str) -> None:
    with contextlib.suppress(OSError):  # the parent may be gone
        os.write(writer, message.encode())
    os.close(writer)
