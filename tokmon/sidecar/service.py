"""One life of the sidecar: lock, socket, signals, supervision, and a clean end."""

import asyncio
import contextlib
import errno
import os
import signal
import socket
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tokmon import store
from tokmon.errors import RunningError, StoreError
from tokmon.paths import FILE_MODE, Paths, private_folder
from tokmon.pi.models_json import Configured
from tokmon.sidecar.dedup import RecentIds
from tokmon.sidecar.group_commit import Committer, Fsync
from tokmon.sidecar.ingest import Ingest
from tokmon.sidecar.renewing import Renewal
from tokmon.sidecar.server import Server
from tokmon.sidecar.spool_drain import SpoolDrain
from tokmon.sidecar.state_writer import StateWriter
from tokmon.sidecar.systemd import Notifier, inherited_socket

_BACKLOG: Final = 512
_TAIL_BYTES: Final = 8 << 20
_QUIET_S: Final = 0.05
_DRAIN_S: Final = 2.0
_ANSWER_S: Final = 3.0


def say(message: str) -> None:
    """One line on stderr, which is the journal under a service manager; a full disk or a closed pipe hushes it."""
    with contextlib.suppress(OSError, ValueError):
        print(f"tokmon sidecar: {message}", file=sys.stderr, flush=True)  # noqa: T201


def run(paths: Paths, *, fsync: Fsync = "interval", ready: Callable[[], None] = lambda: None) -> int:
    """Serve until SIGTERM or SIGINT; 0 then. `ready` is called once it listens.

    Raises RunningError if this member has a sidecar already, StoreError if there is no place to listen.
    """
    os.umask(0o077)
    private_folder(paths.state)
    given = inherited_socket(os.environ)
    with store.Held(paths.lock) as lock:
        if not lock.take() and not ((given is not None or not _answered(paths)) and _take_over(lock)):
            raise RunningError(f"a sidecar is running already (pid {lock.holder() or 'unknown'})")
        listener = given or _listen(paths)
        own = _Bound(Path(listener.getsockname())) if given is None else None
        try:
            asyncio.run(_serve(paths, listener, fsync, ready))
        finally:
            if own is not None:
                own.unlink()
            listener.close()
    return 0


class _Bound:
    """A socket of our making in the file system, which another may have replaced since."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode = _inode(path)

    def unlink(self) -> None:
        """Remove it if it is still ours: a supervisor that takes over binds its own in the same place."""
        if self._inode is not None and _inode(self._path) == self._inode:
            self._path.unlink(missing_ok=True)


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _answered(paths: Paths) -> bool:
    """Whether somebody listens for this member, or begins to within a moment.

    A sidecar whose runtime folder has gone (its user logged out) lives on where nobody finds it.
    """
    deadline = time.monotonic() + _ANSWER_S
    while time.monotonic() < deadline:
        if any(_connects(path) for path in paths.sockets):
            return True
        time.sleep(0.05)
    return False


def _connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_ANSWER_S)
        try:
            probe.connect(str(path))
        except (TimeoutError, BlockingIOError):
            return True  # slow or full, and there
        except OSError:
            return False
    return True


def _take_over(lock: store.Held) -> bool:
    """Replace the sidecar that holds the lock: it is out of reach, or a supervisor takes its place."""
    holder = lock.holder()
    if holder is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(holder, signal.SIGTERM)
    return lock.take(timeout=_DRAIN_S + 3.0)


def _listen(paths: Paths) -> socket.socket:
    """Listen at the first place that can be: 0600 in a 0700 folder. A socket that refuses is a dead one's."""
    problem: OSError | StoreError | None = None
    for path in paths.sockets:
        if path != paths.sockets[-1] and not os.path.isdir(path.parent.parent):  # noqa: PTH112 - never raises
            continue  # no session of this user made a runtime folder, and it is not ours to make
        try:
            private_folder(path.parent)
            return _bind(path)
        except (OSError, StoreError) as error:
            problem = error
    reason = problem.strerror if isinstance(problem, OSError) else problem
    raise StoreError(
        f"cannot listen at `{paths.sockets[-1]}`: {reason}",
        hint="a socket path has at most 103 bytes; choose another with TOKMON_SOCKET",
    )


def _bind(path: Path) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise StoreError(f"`{path}` is there and is not a socket", hint="move it away")
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            refused = probe.connect_ex(str(path))
        if refused not in {errno.ECONNREFUSED, errno.ENOENT}:
            raise StoreError(f"another program listens at `{path}`", hint="stop it, or choose another path")
        path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(path))
        path.chmod(FILE_MODE)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


async def _serve(paths: Paths, listener: socket.socket, fsync: Fsync, ready: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    notifier = Notifier(os.environ)
    accounts = Configured(paths.models)
    committer = Committer(loop, paths, fsync, say)
    recent = RecentIds()
    ingest = Ingest(accounts.read(), recent, committer.pending)
    heal(committer)
    for path in (paths.piggyback, paths.usage):
        _remember(recent, path)
    keeper = StateWriter(loop, paths, ingest, say)
    committer.on_stored = keeper.batch_stored
    server = Server(ingest, committer)
    drain = SpoolDrain(loop, paths, server, say)

    def lost_sync() -> None:
        recent.forget()
        for path in (paths.piggyback, paths.usage):
            _remember(recent, path)
        server.drop_all()
        drain.restart()

    committer.on_lost_sync = lost_sync

    def changed() -> None:
        drain.schedule()
        if accounts.changed():
            ingest.set_accounts(accounts.read())

    server.on_change = changed
    renewal = Renewal(paths, say)
    server.on_pi = renewal.heard
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    listening = await loop.create_unix_server(server.protocol, sock=listener, backlog=server.accept_at_once)
    listener.listen(_BACKLOG)
    beat = _Heartbeat(loop, notifier)
    say(f"listening at {listener.getsockname()} (pid {os.getpid()})")
    ready()
    notifier.notify("READY=1\nSTATUS=listening")
    keeper.start()
    drain.start()
    renewal.start()
    await stop.wait()
    notifier.notify("STOPPING=1")
    await _end(listening, server, committer, keeper)
    await renewal.stop()
    beat.stop()


async def _end(listening: asyncio.Server, server: Server, committer: Committer, keeper: StateWriter) -> None:
    """Take what has been sent already, write it, acknowledge it, save the snapshot."""
    listening.close()
    deadline = time.monotonic() + _DRAIN_S
    while time.monotonic() < deadline:
        newest = max((connection.last_active for connection in server.connections), default=0.0)
        if committer.idle and time.monotonic() - newest > _QUIET_S:
            break
        await asyncio.sleep(_QUIET_S / 5)
    await committer.finish()
    server.close()
    keeper.close()
    await asyncio.sleep(0)


class _Heartbeat:
    """Beats only where a supervisor listens for it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, notifier: Notifier) -> None:
        self._loop = loop
        self._notifier = notifier
        self._timer: asyncio.TimerHandle | None = None
        self._beat()

    def _beat(self) -> None:
        if self._notifier.beat_s is not None:
            self._notifier.notify("WATCHDOG=1")
            self._timer = self._loop.call_later(self._notifier.beat_s, self._beat)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def heal(committer: Committer) -> None:
    """Close torn last lines before anything else; a log that cannot be opened yet is said at the first commit."""
    for log in committer.logs.values():
        try:
            log.heal()
        except StoreError as error:
            say(str(error))


def _remember(recent: RecentIds, path: Path) -> None:
    """Remember the ids at the end of a log: what was stored and not acknowledged before a death comes again."""
    try:
        start = max(0, path.stat().st_size - _TAIL_BYTES)
    except FileNotFoundError:
        return
    recent.update(store.ids_from(path, start))
