"""All at once, within one deadline: whoever hangs is left behind, and keeps nobody waiting.

One thread a provider, and not an event loop: a name server that hangs would hold up the end of the loop.
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
from tokmon.probes.fetch import Answer, fetch, http_client
from tokmon.probes.kinds import ProbeStep, probe_steps
from tokmon.probes.targets import ProbeTarget

_APART_S: Final = 0.3
_SUCCESS: Final = range(200, 300)
_REDIRECT: Final = range(300, 400)
_TOO_MANY: Final = 429


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What one provider said, or that it said nothing. `at` is epoch seconds, `path` what was asked of it last."""

    provider: str
    account_type: str | None
    at: float
    elapsed_ms: float
    method: str
    path: str
    answer: Answer
    reading: Reading
    frame: dict[str, Any] | None = field(default=None)
    closed_paths: tuple[str, ...] = ()
    """Paths that were asked before, and are not there or not for this credential."""

    @property
    def throttled(self) -> bool:
        """Whether the endpoint itself is asked too often: a 429 that tells of no window."""
        return self.answer.http_status == _TOO_MANY and not self.reading.windows


def probe_all(asked: Iterable[ProbeTarget], deadline_s: float) -> list[ProbeResult]:
    """One result for each, in the order given, within the deadline."""
    wanted = [target for target in asked if probe_steps(target)]
    if not wanted:
        return []
    begun, started = time.monotonic(), time.time()
    until = begun + deadline_s
    told: SimpleQueue[ProbeResult] = SimpleQueue()
    late = Answer(None, error=f"timed out: no answer within {deadline_s:g} s")
    try:
        sender = http_client()
        for target in wanted:
            # A daemon: one that is left behind must not keep the process alive.
            threading.Thread(target=_ask_one, args=(sender, target, until, deadline_s, told), daemon=True).start()
    except Exception as error:  # noqa: BLE001 - a proxy or certificates that the environment names and nobody has
        late = Answer(None, error=f"connection error: nobody can be asked from here: {type(error).__name__}")
        until = begun
    found: dict[str, ProbeResult] = {}
    while len(found) < len(wanted) and (left := until - time.monotonic()) > 0:
        try:
            result = told.get(timeout=left)
        except Empty:
            break
        found[result.provider] = result
    elapsed = (time.monotonic() - begun) * 1000
    return [
        found.get(target.name) or _result(target, probe_steps(target)[0], late, started, elapsed) for target in wanted
    ]


def _ask_one(
    sender: httpx.Client, target: ProbeTarget, until: float, deadline_s: float, told: SimpleQueue[ProbeResult]
) -> None:
    time.sleep(random.SystemRandom().uniform(0, min(_APART_S, deadline_s / 30)))
    begun = time.monotonic()
    answer, step = Answer(None, error="not asked"), probe_steps(target)[0]
    closed: list[str] = []
    for step in probe_steps(target):
        try:
            answer = fetch(sender, step, until, target.secrets)
        except Exception as error:  # noqa: BLE001 - a fault of ours is one provider's alone too
            answer = Answer(None, error=f"the probe failed: {type(error).__name__}")
        if answer.http_status is None or not step.try_next(answer.http_status, answer.error or ""):
            break
        closed.append(step.path(target))
    found = _result(target, step, answer, time.time(), (time.monotonic() - begun) * 1000)
    told.put(dataclasses.replace(found, closed_paths=tuple(closed)))


def _result(target: ProbeTarget, step: ProbeStep, answer: Answer, at: float, elapsed_ms: float) -> ProbeResult:
    frame = step.frame(answer.body) if step.frame is not None and answer.body is not None else None
    evidence = RawResponse(answer.http_status, answer.headers, at, answer.error, target.account_type, frame)
    reading = _reading(step, answer, families.read(evidence), frame)
    path = step.path(target)
    return ProbeResult(
        target.name, target.account_type, at, round(elapsed_ms), step.method, path, answer, reading, frame
    )


def _reading(step: ProbeStep, answer: Answer, said: Reading, frame: dict[str, Any] | None) -> Reading:
    """What the answer says of the account; less than of a turn, since most questions are no call of a model."""
    status = answer.http_status
    if status is None:
        return replace(said, status=Status.NETWORK_ERROR, scope=None)
    if status in _REDIRECT:
        return replace(said, status=Status.UNKNOWN, scope=Scope.REQUEST, substatus="redirected")
    if status not in _SUCCESS:
        unasked = said.substatus == "request_error"
        return replace(said, status=Status.UNKNOWN) if unasked else said
    if frame is None and not said.windows and (answer.body is None or step.frame is not None):
        return replace(said, status=Status.UNKNOWN, scope=Scope.REQUEST, substatus="unreadable_answer")
    if frame is None and not step.calls_model:
        return replace(said, substatus=said.substatus or "key_valid")
    return said
