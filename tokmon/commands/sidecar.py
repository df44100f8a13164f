"""`tokmon sidecar`: serve the socket and write the logs.

Its options are read by hand: what a sidecar imports it keeps in memory for as long as it lives.
"""

import os
import sys
from typing import Final, Literal

from tokmon import paths
from tokmon.errors import RunningError, UsageError
from tokmon.sidecar import without_tls

SUMMARY = "take captures over a Unix socket and append them to the logs"

Fsync = Literal["interval", "always", "never"]
_FSYNC: Final[tuple[Fsync, ...]] = ("interval", "always", "never")
_HELP = f"""usage: tokmon sidecar [--detach] [--fsync {{{",".join(_FSYNC)}}}]

{SUMMARY}

options:
  -h, --help     show this help message and exit
  --detach       go to the background, and return once it serves
  --fsync WHEN   when to force lines to the disk: once a second (interval, the default),
                 before each acknowledgement (always), or never; TOKMON_FSYNC sets it too"""


def run(arguments: list[str]) -> int:
    """Serve until SIGTERM; a second sidecar of the same member says so and is content."""
    if "-h" in arguments or "--help" in arguments:
        print(_HELP)
        return 0
    detach_it, fsync = _options(arguments)
    without_tls.leave_out_tls()
    from tokmon.sidecar import daemonize, service  # noqa: PLC0415 - they import asyncio, after TLS was left out

    serve = daemonize.run if detach_it else service.run
    try:
        return serve(paths.find(), fsync=fsync)
    except RunningError as error:
        print(f"tokmon sidecar: {error}", file=sys.stderr)
        return 0


def _options(arguments: list[str]) -> tuple[bool, Fsync]:
    """Whether to detach, and when to sync; UsageError naming what is off."""
    words = [word for argument in arguments for word in argument.split("=", 1)]
    detach, fsync, where = False, os.environ.get("TOKMON_FSYNC") or _FSYNC[0], "TOKMON_FSYNC"
    while words:
        word = words.pop(0)
        if word == "--detach":
            detach = True
        elif word == "--fsync" and words:
            fsync, where = words.pop(0), word
        else:
            raise UsageError(f"no such option, or one without its value: `{word}`", hint="`tokmon sidecar --help`")
    for known in _FSYNC:
        if fsync == known:
            return detach, known
    raise UsageError(f"`{where}` must be one of {', '.join(_FSYNC)}, not `{fsync}`")
