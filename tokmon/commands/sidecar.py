"""`tokmon sidecar`: serve the socket and write the logs.

Its options are parsed by hand: whatever the sidecar imports stays in its memory for as long as it runs.
"""

import os
import sys
from typing import Final, Literal

from tokmon import paths
from tokmon.errors import RunningError, UsageError, unexpected_argument
from tokmon.sidecar import without_tls

SUMMARY: Final = "receive captures over a Unix socket and append them to the logs"

Fsync = Literal["interval", "always", "never"]
_FSYNC: Final[tuple[Fsync, ...]] = ("interval", "always", "never")
_OPTIONS: Final = ("--detach", "--fsync", "--help")
_HELP: Final = f"""usage: tokmon sidecar [--detach] [--fsync {{{",".join(_FSYNC)}}}]

{SUMMARY}

options:
  -h, --help     show this help message and exit
  --detach       run in the background, and return once the socket is served
  --fsync WHEN   when to force lines to disk: once a second (interval, the default),
                 before each acknowledgement (always), or never; TOKMON_FSYNC sets it too

examples:
  tokmon sidecar --detach
  tokmon sidecar --fsync always"""


def run(arguments: list[str]) -> int:
    """Serve until SIGTERM; 0 also where another sidecar of this member runs already."""
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
    """Whether to detach, and when to sync; UsageError where an argument is wrong."""
    words = [word for argument in arguments for word in argument.split("=", 1)]
    detach, fsync, where = False, os.environ.get("TOKMON_FSYNC") or _FSYNC[0], "TOKMON_FSYNC"
    while words:
        word = words.pop(0)
        if word == "--detach":
            detach = True
        elif word == "--fsync":
            if not words:
                raise UsageError("`--fsync` needs a value", hint=f"`--fsync {'|'.join(_FSYNC)}`")
            fsync, where = words.pop(0), word
        else:
            raise unexpected_argument(word, _OPTIONS, "sidecar")
    for known in _FSYNC:
        if fsync == known:
            return detach, known
    listed = ", ".join(f"`{known}`" for known in _FSYNC)
    raise UsageError(f"`{where}` must be one of {listed}, not `{fsync}`", hint="`tokmon sidecar --help` shows examples")
