"""systemd's interfaces: socket activation, readiness and watchdog. All of them are optional.

Sources: sd_listen_fds(3), sd_notify(3).
"""

import os
import socket
import stat
from collections.abc import MutableMapping
from typing import Final

_FIRST_FD: Final = 3
_PATIENCE_S: Final = 0.5
"""A service manager whose queue is full does not hold up the sidecar for longer."""


def inherited_socket(env: MutableMapping[str, str]) -> socket.socket | None:
    """The listening socket that systemd passed to this process, or None. Removes its variables from `env`."""
    is_addressee = env.get("LISTEN_PID") == str(os.getpid())
    count = env.get("LISTEN_FDS", "0")
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        env.pop(name, None)
    if not is_addressee or not count.isdecimal() or int(count) < 1:
        return None
    os.set_inheritable(_FIRST_FD, False)  # noqa: FBT003 - the library's signature
    if not stat.S_ISSOCK(os.fstat(_FIRST_FD).st_mode):
        return None
    return socket.socket(fileno=_FIRST_FD)


class Notifier:
    """Sends notifications to the service manager; does nothing without one. Removes its variables from `env`."""

    def __init__(self, env: MutableMapping[str, str]) -> None:
        address = env.pop("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        timeout_us = env.pop("WATCHDOG_USEC", "")
        pid = env.pop("WATCHDOG_PID", str(os.getpid()))
        is_watched = self._address and timeout_us.isdecimal() and pid == str(os.getpid())
        self.beat_s: float | None = int(timeout_us) / 2_000_000 if is_watched else None
        """Seconds between heartbeats (half of the watchdog's timeout); None without a watchdog."""

    def notify(self, message: str) -> None:
        """Send a message such as `READY=1`."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.settimeout(_PATIENCE_S)
            try:
                sender.sendto(message.encode(), self._address)
            except OSError:
                # The manager does not answer; a sidecar works without one.
                return
