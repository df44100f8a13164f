"""On macOS root has launchd run each member's sidecar, as one daemon a member. Nothing here was run on macOS.

A daemon and not an agent: an agent runs while its user is logged in at the screen, and members are woken without that.
launchd has no readiness, no watchdog, and no sockets that a Python could take over: the sidecar listens by itself.

Source: launchd.plist(5), launchctl(1), unix(4).
"""

import functools
import platform
import plistlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from tokmon import paths
from tokmon.errors import TokmonError, reason_of
from tokmon.installer.host.members import HostMember
from tokmon.installer.user.plan import Step
from tokmon.installer.user.receipt import Receipt
from tokmon.installer.user.subprocesses import capture, require
from tokmon.installer.user.writer import Writer

FOLDER: Final = Path("/Library/LaunchDaemons")
LONGEST_SOCKET: Final = 103
"""Bytes: `sun_path` has 104 there, with the zero at its end."""

_SUFFIX: Final = ".plist"
_END_S: Final = 15


def is_this_system() -> bool:
    """Whether launchd runs services here."""
    return platform.system() == "Darwin"


def install(member: HostMember, program: Path, receipt: Receipt) -> Iterator[Step]:
    """Have a daemon that runs the member's sidecar."""
    account = member.account
    text = plist(account.name, account.name, account.home, program, member.environment)
    path = file_of(account.name)
    written = list(Writer(receipt).file(path, text.encode(), 0o644))
    yield from written
    if written or capture(["launchctl", "print", f"system/{label(account.name)}"]).returncode != 0:

        def load() -> None:
            _stop(path)
            require(["launchctl", "bootstrap", "system", path], timeout=60)

        yield Step(f"have launchd run the sidecar of {account.name}", load)


def remove(receipt: Receipt) -> Iterator[Step]:
    """Stop the daemons that are in the receipt; their files go with the rest."""
    for path in map(Path, sorted(receipt.files)):
        if path.parent == FOLDER and path.suffix == _SUFFIX and path.exists():
            yield Step(f"have launchd stop {path.stem}", functools.partial(_stop, path))


def _stop(path: Path) -> None:
    """Have launchd end a daemon, if it runs it."""
    capture(["launchctl", "bootout", f"system/{path.name.removesuffix(_SUFFIX)}"])


def label(name: str) -> str:
    """Return launchd's name of a member's daemon: that of its file without `.plist`."""
    return f"tokmon.sidecar.{quote(name, safe='')}"


def file_of(name: str) -> Path:
    """Where launchd looks for it: root's, mode 0644."""
    return FOLDER / f"{label(name)}{_SUFFIX}"


def plist(name: str, user: str, home: Path, program: Path, environment: Mapping[str, str] | None = None) -> str:
    """Return the daemon of the member `name`, which runs `program` as `user`.

    `environment` holds what differs from the defaults (PI_CODING_AGENT_DIR, TOKMON_…); HOME comes from `home`.
    TokmonError where the socket's path would be too long, a path is not absolute, or a value cannot be in a plist.
    """
    variables = {**(environment or {}), "HOME": str(home), "TOKMON_MEMBER": name}
    for what, path in (("home", home), ("program", program)):
        if not path.is_absolute():
            raise TokmonError(f"the {what} of `{name}` is `{path}`, not an absolute path")
    _check_socket(name, variables)
    daemon: dict[str, Any] = {
        "Label": label(name),
        "UserName": user,
        "ProgramArguments": [str(program), "sidecar"],
        "EnvironmentVariables": variables,
        "WorkingDirectory": "/",
        "Umask": 0o077,
        "RunAtLoad": True,
        # Not after an exit with 0: it was stopped on purpose, or another sidecar of this member runs already.
        "KeepAlive": {"SuccessfulExit": False},
        "ExitTimeOut": _END_S,
    }
    try:
        return plistlib.dumps(daemon, sort_keys=False).decode()
    except (ValueError, TypeError) as error:  # a control character, or bytes that are no text
        raise TokmonError(f"the daemon of `{name!r}` cannot be written: {reason_of(error)}") from error


def _check_socket(name: str, variables: Mapping[str, str]) -> None:
    """The socket lies in the state folder, for want of a runtime folder there, or where TOKMON_SOCKET says."""
    socket = paths.find({**variables, "XDG_RUNTIME_DIR": ""}).sockets[-1]
    length = len(str(socket).encode(errors="surrogateescape"))
    if length > LONGEST_SOCKET:
        raise TokmonError(
            f"the socket of `{name}` would be `{socket}`: {length} bytes, and macOS takes {LONGEST_SOCKET}",
            hint="name a shorter path with TOKMON_SOCKET, the same for the sidecar and for pi",
        )
