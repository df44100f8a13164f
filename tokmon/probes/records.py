"""Probe results as lines of `probe.jsonl`, and as outcomes for the rate limit."""

import getpass
import os
import socket
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from tokmon.evidence.log_line import capture_fields
from tokmon.probes import ProbeTarget, Slot
from tokmon.probes.rate_limit import ProbeOutcome
from tokmon.wire.instants import rfc3339

if TYPE_CHECKING:
    from tokmon.probes.request import ProbeResult  # it imports `httpx`

SOURCE: Final = "probe"


def granted_targets(targets: Mapping[str, ProbeTarget], slots: Mapping[str, Slot]) -> list[ProbeTarget]:
    """The targets with a granted slot, each with its closed paths."""
    return [
        replace(target, closed_paths=slots[name].closed_paths)
        for name, target in targets.items()
        if name in slots and slots[name].granted
    ]


def outcomes(results: Mapping[str, "ProbeResult"]) -> dict[str, ProbeOutcome]:
    """The outcomes of probes, for `ProbeLimiter.release`."""
    return {
        name: ProbeOutcome(
            answered=result.answer.http_status is not None,
            wait_s=(result.reading.retry_after_s or 0.0) if result.throttled else None,
            closed_paths=result.closed_paths,
        )
        for name, result in results.items()
    }


def probe_line(result: "ProbeResult") -> dict[str, Any]:
    """The log line of a probe (docs/log.md): the fields of a response, and the request in `asked`."""
    answer, reading = result.answer, result.reading
    event = {
        "kind": "probe",
        "id": uuid4().hex,
        "ts": rfc3339(result.at),
        "elapsed_ms": result.elapsed_ms,
        "request_id": answer.request_id,
        "provider": result.provider,
        "member": member(),
        "host": socket.gethostname(),
        "account": result.account,
        "asked": f"{result.method} {result.path}",
        "error": answer.error or None,
        "frame": result.frame,
    }
    return {
        **{name: value for name, value in event.items() if value is not None},
        "http_status": answer.http_status,
        "headers": answer.headers,
        **capture_fields(reading, result.account_type, result.at, SOURCE),
    }


def member() -> str | None:
    """The member that probes, for the log: TOKMON_MEMBER, else the user's name; None if there is neither."""
    if os.environ.get("TOKMON_MEMBER"):
        return os.environ["TOKMON_MEMBER"]
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return None
