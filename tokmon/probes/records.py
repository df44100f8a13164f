"""Asking, for whoever asks: whose turn it is, what came of it, and the answers as lines of the log. Not a verb."""

import getpass
import os
import socket
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from tokmon.evidence.log_line import capture_fields, next_reset
from tokmon.probes import Target, Turn
from tokmon.probes.rate_limit import Told
from tokmon.wire.instants import rfc3339

if TYPE_CHECKING:
    from tokmon.probes.request import Result  # it imports `httpx`

SOURCE: Final = "probe"


def granted(asked: Mapping[str, Target], turns: Mapping[str, Turn]) -> list[Target]:
    """Those whose turn it is, each with what need not be asked of it."""
    return [
        replace(target, closed=turns[name].closed)
        for name, target in asked.items()
        if name in turns and turns[name].granted
    ]


def told(results: Mapping[str, "Result"]) -> dict[str, Told]:
    """What came of asking, as the turns want to know it."""
    return {
        name: Told(
            answered=result.answer.http_status is not None,
            wait_s=(result.reading.retry_after_s or 0.0) if result.throttled else None,
            closed=result.closed,
        )
        for name, result in results.items()
    }


def line_of(result: "Result") -> dict[str, Any]:
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


def member() -> str | None:
    """Who asks, as the log says it."""
    if os.environ.get("TOKMON_MEMBER"):
        return os.environ["TOKMON_MEMBER"]
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return None
