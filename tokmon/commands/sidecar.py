"""`tokmon sidecar`: serve the socket and write the logs."""

import argparse
import os
import sys

from tokmon import paths
from tokmon.errors import RunningError

SUMMARY = "take captures over a Unix socket and append them to the logs"


def run(arguments: list[str]) -> int:
    """Serve until SIGTERM; a second sidecar of the same member says so and is content."""
    parser = argparse.ArgumentParser(prog="tokmon sidecar", description=SUMMARY)
    parser.add_argument("--detach", action="store_true", help="go to the background, and return once it serves")
    parser.add_argument(
        "--fsync",
        choices=("interval", "always", "never"),
        default=os.environ.get("TOKMON_FSYNC", "interval"),
        help="when to force lines to the disk: once a second (default), before each acknowledgement, or never",
    )
    options = parser.parse_args(arguments)
    from tokmon.sidecar import detach, service  # noqa: PLC0415 - `--help` needs none of it

    found = paths.find()
    try:
        if options.detach:
            return detach.run(found, fsync=options.fsync)
        return service.run(found, fsync=options.fsync)
    except RunningError as error:
        print(f"tokmon sidecar: {error}", file=sys.stderr)
        return 0
