"""What a service manager hands over and wants to hear: sockets, readiness, heartbeats. All of it optional.

Source: sd_listen_fds(3), sd_notify(3).
"""

import os
import socket
import stat
from collections.abc import MutableMapping
from typing import Final

_FIRST_FD: Final = 3


def inherited_socket(env: MutableMapping[str, str]) -> socket.socket | None:
    """The listening socket that was passed to this process, if one was. The variables are consumed."""
    mine = env.get("LISTEN_PID") == str(os.getpid())
    count = env.get("LISTEN_FDS", "0")
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        env.pop(name, None)
    if not mine or not count.isdecimal() or int(count) < 1:
        return None
    os.set_inheritable(_FIRST_FD, False)  # noqa: FBT003 - the library's signature
    if not stat.S_ISSOCK(os.fstat(_FIRST_FD).st_mode):
        return None
    return socket.socket(fileno=_FIRST_FD)


class Notifier:
    """Tells the service manager how things are; silent without one."""

    def __init__(self, env: MutableMapping[str, str]) -> None:
        address = env.pop("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        beat = env.pop("WATCHDOG_USEC", "")
        owner = env.pop("WATCHDOG_PID", str(os.getpid()))
        wanted = self._address and beat.isdecimal() and owner == str(os.getpid())
        self.beat_s: float | None = int(beat) / 2_000_000 if wanted else None
        """Seconds between heartbeats (half of what is allowed), or None if nobody listens for any."""

    def notify(self, message: str) -> None:
        """Send `READY=1` and the like."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            try:
                sender.sendto(message.encode(), self._address)
            except OSError:
                # The manager is gone or deaf; a sidecar works without one.
                return
