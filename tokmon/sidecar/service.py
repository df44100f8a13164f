"""One run of the sidecar: lock, socket, signals, supervision, and a clean shutdown."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tokmon.errors import RunningError
from tokmon.paths import Paths, private_folder
from tokmon.pi.accounts import Configured
from tokmon.sidecar.group_commit import Committer, Fsync, Ranges
from tokmon.sidecar.ingest import Ingest
from tokmon.sidecar.listener import BACKLOG, SocketFile, is_reachable, listen
from tokmon.sidecar.pool_watch import PoolWatch
from tokmon.sidecar.publisher import Publisher
from tokmon.sidecar.server import Server
from tokmon.sidecar.spool_drain import SpoolDrain
from tokmon.sidecar.state_writer import StateWriter
from tokmon.sidecar.stored_ids import StoredIds
from tokmon.sidecar.systemd import Notifier, inherited_socket
from tokmon.store.lock import ProcessLock

_QUIET_S: Final = 0.05
_DRAIN_S: Final = 2.0


def say(message: str) -> None:
    """Print one line on stderr (the journal under systemd). A full disk or a closed pipe is ignored."""
    with contextlib.suppress(OSError, ValueError):
        print(f"tokmon sidecar: {message}", file=sys.stderr, flush=True)  # noqa: T201


def run(paths: Paths, *, fsync: Fsync = "interval", ready: Callable[[], None] = lambda: None) -> int:
    """Serve until SIGTERM or SIGINT, then return 0. `ready` is called when it listens.

    Raises RunningError if this member has a sidecar already, StoreError if it cannot listen anywhere.
    """
    os.umask(0o077)
    private_folder(paths.state)
    inherited = inherited_socket(os.environ)
    with ProcessLock(paths.lock) as lock:
        if not lock.acquire() and not ((inherited is not None or not is_reachable(paths)) and _take_over(lock)):
            raise RunningError(f"a sidecar is running already (pid {lock.holder() or 'unknown'})")
        listener = inherited or listen(paths)
        socket_file = SocketFile(Path(listener.getsockname())) if inherited is None else None
        try:
            asyncio.run(_serve(paths, listener, fsync, ready))
        finally:
            if socket_file is not None:
                socket_file.unlink()
            listener.close()
    return 0


def _take_over(lock: ProcessLock) -> bool:
    """End the sidecar that holds the lock: it is unreachable, or systemd takes over. True if it ended."""
    holder = lock.holder()
    if holder is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(holder, signal.SIGTERM)
    return lock.acquire(timeout=_DRAIN_S + 3.0)


async def _serve(paths: Paths, listener: socket.socket, fsync: Fsync, ready: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    notifier = Notifier(os.environ)
    accounts = Configured(paths, os.environ)
    committer = Committer(loop, paths, fsync, say)
    stored = StoredIds(paths, fsync, say)
    ingest = Ingest(accounts.read(), stored.ids, committer.pending)
    committer.check_logs()
    stored.load()
    state_writer = StateWriter(loop, paths, ingest, say)
    publisher = Publisher(loop, paths, state_writer.current, ingest.sessions, say)
    watch = PoolWatch(loop, paths, state_writer.decide, say)
    state_writer.on_change = publisher.soon
    server = Server(ingest, committer)
    drain = SpoolDrain(loop, paths, server, say)

    def batch_stored(ranges: Ranges) -> None:
        stored.on_stored()
        state_writer.batch_stored(ranges)

    def lost_sync() -> None:
        stored.on_lost_sync()
        server.drop_all()
        drain.restart()

    committer.on_stored = batch_stored
    committer.before_sync, committer.on_synced = stored.before_sync, stored.on_synced
    committer.on_lost_sync = lost_sync

    def clients_changed() -> None:
        drain.schedule()
        if accounts.changed():
            ingest.set_accounts(accounts.read())

    server.on_change = clients_changed
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # Not `create_unix_server`: from Python 3.13 on it removes the socket's file at the end, which may be systemd's.
    listening = await loop.create_server(server.protocol, sock=listener, backlog=server.accept_at_once)
    listener.listen(BACKLOG)
    beat = _Heartbeat(loop, notifier)
    say(f"listening at {listener.getsockname()} (pid {os.getpid()})")
    ready()
    notifier.notify("READY=1\nSTATUS=listening")
    state_writer.start()
    watch.start()
    drain.start()
    await stop.wait()
    notifier.notify("STOPPING=1")
    drain.close()
    watch.close()
    await _end(listening, server, committer, state_writer)
    publisher.close()
    stored.close()
    beat.stop()


async def _end(listening: asyncio.Server, server: Server, committer: Committer, state_writer: StateWriter) -> None:
    """Store and acknowledge the events that are on their way, then save the snapshot."""
    listening.close()
    deadline = time.monotonic() + _DRAIN_S
    while time.monotonic() < deadline:
        newest = max((connection.last_active for connection in server.connections), default=0.0)
        if committer.idle and time.monotonic() - newest > _QUIET_S:
            break
        await asyncio.sleep(_QUIET_S / 5)
    await committer.finish()
    server.close()
    state_writer.close()
    await asyncio.sleep(0)


class _Heartbeat:
    """Sends heartbeats, if the service manager has a watchdog."""

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
