"""The answers to questions of ours, as lines of the log. Not a verb."""

import getpass
import os
import socket
from collections.abc import Iterable, Mapping
from typing import Any, Final
from uuid import uuid4

from tokmon import store
from tokmon.headers import rfc3339
from tokmon.paths import Paths
from tokmon.probes import Result
from tokmon.sidecar.lines import capture_fields, next_reset

SOURCE: Final = "probe"


def line_of(result: Result) -> dict[str, Any]:
    """The line: what recurs with every line of the log (docs/log.md), and what was asked."""
    answer, reading = result.answer, result.reading
    reset = next_reset(reading)
    event = {
        "kind": "probe",
        "id": uuid4().hex,
        "ts": rfc3339(result.at),
        "elapsed_ms": result.elapsed_ms,
        "request_id": answer.request_id,
        "provider": result.provider,
        "member": member(),
        "host": socket.gethostname(),
        "asked": f"{result.method} {result.path}",
        "error": answer.error or None,
        "frame": result.frame,
    }
    return {
        **{name: value for name, value in event.items() if value is not None},
        "http_status": answer.http_status,
        "headers": answer.headers,
        **capture_fields(reading, result.kind, SOURCE),
        "reset_in_seconds": None if reset is None else round(reset - result.at),
    }


def record(found: Paths, lines: Iterable[Mapping[str, Any]]) -> None:
    """Append the lines; StoreError or OSError if they are not all in the file."""
    blocks = [store.encode(line) + b"\n" for line in lines]
    if not blocks:
        return
    store.append_to(found.probe, blocks)


def member() -> str | None:
    """Who asks, as the log says it."""
    if os.environ.get("TOKMON_MEMBER"):
        return os.environ["TOKMON_MEMBER"]
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return None
