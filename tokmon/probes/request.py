"""Probe several accounts at once, within one deadline. An account that does not answer delays none of the others.

One thread per account and no event loop: a name server that does not answer would delay the end of the loop.
"""

import dataclasses
import random
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Final

import httpx

from tokmon import families
from tokmon.evidence.model import RawResponse, Reading, Scope, Status, replace
from tokmon.probes.body import kept_body
from tokmon.probes.fetch import Answer, fetch, http_client
from tokmon.probes.kinds import ProbeStep, probe_steps
from tokmon.probes.targets import ProbeTarget

_SPREAD_S: Final = 0.3
_SUCCESS: Final = range(200, 300)
_REDIRECT: Final = range(300, 400)
_TOO_MANY: Final = 429


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The result of one probe. `at` is in epoch seconds; `method` and `path` are those of the last request."""

    provider: str
    account_type: str | None
    at: float
    elapsed_ms: float
    method: str
    path: str
    answer: Answer
    reading: Reading
    frame: dict[str, Any] | None = field(default=None)
    account: str | None = None
    """The account that the credential names."""

    closed_paths: tuple[str, ...] = ()
    """Paths that were requested before, and do not exist or refuse this credential."""

    @property
    def throttled(self) -> bool:
        """True if the endpoint refused the probe as too frequent: a 429 without any window."""
        return self.answer.http_status == _TOO_MANY and not self.reading.windows


def probe_all(targets: Iterable[ProbeTarget], deadline_s: float) -> list[ProbeResult]:
    """Probe the accounts; one result for each that can be probed, in the given order, within the deadline."""
    available = [target for target in targets if probe_steps(target)]
    if not available:
        return []
    start, started_at = time.monotonic(), time.time()
    until = start + deadline_s
    queue: SimpleQueue[ProbeResult] = SimpleQueue()
    missing = Answer(None, error=f"timed out: no answer within {deadline_s:g} s")
    try:
        client = http_client()
        for target in available:
            # A daemon thread: one that is still waiting must not keep the process alive.
            threading.Thread(target=_probe, args=(client, target, until, deadline_s, queue), daemon=True).start()
    except Exception as error:  # noqa: BLE001 - such as a proxy or certificates in the environment that do not exist
        missing = Answer(None, error=f"connection error: no request can be sent: {type(error).__name__}")
        until = start
    results: dict[str, ProbeResult] = {}
    while len(results) < len(available) and (left := until - time.monotonic()) > 0:
        try:
            result = queue.get(timeout=left)
        except Empty:
            break
        results[result.provider] = result
    elapsed = (time.monotonic() - start) * 1000
    return [
        results.get(target.name) or _result(target, probe_steps(target)[0], missing, started_at, elapsed)
        for target in available
    ]


def _probe(
    client: httpx.Client, target: ProbeTarget, until: float, deadline_s: float, queue: SimpleQueue[ProbeResult]
) -> None:
    time.sleep(random.SystemRandom().uniform(0, min(_SPREAD_S, deadline_s / 30)))
    start = time.monotonic()
    answer, step = Answer(None, error="not probed"), probe_steps(target)[0]
    closed_paths: list[str] = []
    for step in probe_steps(target):
        try:
            answer = fetch(client, step, until, target)
        except Exception as error:  # noqa: BLE001 - a fault of tokmon must not affect the other accounts
            answer = Answer(None, error=f"the probe failed: {type(error).__name__}")
        if answer.http_status is None or not step.try_next(answer.http_status, answer.error or ""):
            break
        closed_paths.append(step.path(target))
    result = _result(target, step, answer, time.time(), (time.monotonic() - start) * 1000)
    queue.put(dataclasses.replace(result, closed_paths=tuple(closed_paths)))


def _result(target: ProbeTarget, step: ProbeStep, answer: Answer, at: float, elapsed_ms: float) -> ProbeResult:
    body = kept_body(answer.body) if answer.body else answer.text
    frame = {"type": step.frame, "body": body} if step.frame and body else None
    response = RawResponse(answer.http_status, answer.headers, at, answer.error, target.account_type, frame)
    return ProbeResult(
        provider=target.name,
        account_type=target.account_type,
        at=at,
        elapsed_ms=round(elapsed_ms),
        method=step.method,
        path=step.path(target),
        answer=answer,
        reading=_limited(families.read(response), step, answer),
        frame=frame,
        account=target.account,
    )


def _limited(reading: Reading, step: ProbeStep, answer: Answer) -> Reading:
    """The reading, without what a probe cannot show: most probes do not call a model."""
    status = answer.http_status
    if status is None:
        return replace(reading, status=Status.NETWORK_ERROR, scope=None)
    if status in _REDIRECT:
        return replace(reading, status=Status.UNKNOWN, scope=Scope.REQUEST, substatus="redirected")
    if status not in _SUCCESS:
        return replace(reading, status=Status.UNKNOWN) if reading.substatus == "request_error" else reading
    if not reading.windows and (answer.body is None or (step.frame is not None and not answer.body)):
        return replace(reading, status=Status.UNKNOWN, scope=Scope.REQUEST, substatus="unreadable_answer")
    if step.frame is None and not step.calls_model:
        return replace(reading, substatus=reading.substatus or "key_valid")
    return reading
