"""What launchd runs on macOS: one daemon a member, as that member. Text in, text out: nothing here was run on macOS.

A daemon and not an agent: an agent runs while its user is logged in at the screen, and members are woken without that.
launchd has no readiness, no watchdog, and no sockets that a Python could take over: the sidecar listens by itself.

Source: launchd.plist(5), launchctl(1), unix(4).
"""

import plistlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from tokmon import paths
from tokmon.errors import TokmonError

FOLDER: Final = Path("/Library/LaunchDaemons")
LONGEST_SOCKET: Final = 103
"""Bytes: `sun_path` has 104 there, with the zero at its end."""

_END_S: Final = 15


def label(name: str) -> str:
    """What launchd calls a member's daemon, and its file without `.plist`."""
    return f"tokmon.sidecar.{quote(name, safe='')}"


def place(name: str) -> Path:
    """Where launchd looks for it: root's, mode 0644."""
    return FOLDER / f"{label(name)}.plist"


def plist(name: str, user: str, home: Path, program: Path, environment: Mapping[str, str] | None = None) -> str:
    """The daemon of the member `name`, who runs `program` as `user`.

    `environment` holds what differs from the defaults (PI_CODING_AGENT_DIR, TOKMON_…); HOME comes from `home`.
    TokmonError where the socket's path would be too long, a path is not absolute, or a value cannot be in a plist.
    """
    variables = {**(environment or {}), "HOME": str(home), "TOKMON_MEMBER": name}
    for what, path in (("home", home), ("program", program)):
        if not path.is_absolute():
            raise TokmonError(f"the {what} of `{name}` is `{path}`, not an absolute path")
    _fits(name, variables)
    daemon: dict[str, Any] = {
        "Label": label(name),
        "UserName": user,
        "ProgramArguments": [str(program), "sidecar"],
        "EnvironmentVariables": variables,
        "WorkingDirectory": "/",
        "Umask": 0o077,
        "RunAtLoad": True,
        # Not after an exit with 0: it was told to stop, or another sidecar of this member runs already.
        "KeepAlive": {"SuccessfulExit": False},
        "ExitTimeOut": _END_S,
    }
    try:
        return plistlib.dumps(daemon, sort_keys=False).decode()
    except (ValueError, TypeError) as error:  # a control character, or bytes that are no text
        raise TokmonError(f"the daemon of `{name!r}` cannot be written: {error}") from error


def _fits(name: str, variables: Mapping[str, str]) -> None:
    """The socket lies in the state folder, for want of a runtime folder there, or where TOKMON_SOCKET says."""
    socket = paths.find({**variables, "XDG_RUNTIME_DIR": ""}).sockets[-1]
    length = len(str(socket).encode(errors="surrogateescape"))
    if length > LONGEST_SOCKET:
        raise TokmonError(
            f"the socket of `{name}` would be `{socket}`: {length} bytes, and macOS takes {LONGEST_SOCKET}",
            hint="name a shorter path with TOKMON_SOCKET, the same for the sidecar and for pi",
        )
