"""The loopback provider: one threaded HTTP/1.1 server per test that speaks every protocol, as scripted.

with Provider() as provider:
    provider.queue(Answer(headers=unified()), Answer(status=429), seat="team-a")
    ...
    assert [each.status for each in provider.served_to("team-a")] == [200, 429]
"""

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from tests.pi.answers import Answer
from tests.pi.server import Server


@dataclass(slots=True)
class Served:
    """One request and what became of it. `seat` is the one whose fake key came; times are `time.monotonic()`."""

    serial: int
    at: float
    wall: float
    method: str
    path: str
    api: str
    seat: str
    auth: str
    request_id: str
    request_headers: dict[str, str]
    body: dict[str, Any]
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    first_chunk_at: float | None = None
    last_chunk_at: float | None = None
    chunks: int = 0
    cut: bool = False
    client_gone: bool = False
    done: bool = False

    @property
    def model(self) -> str:
        """The model asked for."""
        found = self.body.get("model")
        if isinstance(found, str):
            return found
        return self.path.rpartition("/models/")[2].partition(":")[0]


Script = Callable[[Served], Answer]


class Provider:
    """Answers from a queue per seat, else from the queue of everyone, else 200. The last of a queue stays.

    `script` may be replaced by a function of the request; `websocket` accepts upgrades (for Codex), which are
    otherwise refused with 426, so that pi goes on over HTTP; with `binary` its messages are binary. `get_status` is
    the answer to every GET.
    """

    def __init__(self) -> None:
        self.served: list[Served] = []
        self.faults: list[BaseException] = []
        self.stopping = threading.Event()
        self.changed = threading.Condition()
        self.script: Script = self._from_queues
        self.websocket = False
        self.binary = False
        self.get_status = 404
        self._letters = "".join(secrets.choice("bcdfghjk") for _ in range(12))
        self._seats: dict[str, str] = {}
        self._queues: dict[str, deque[Answer]] = {}
        self._server: Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        server = Server(self)
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, args=(0.01,), name="loopback-provider")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if kind is None and self.faults:
            raise ExceptionGroup("the loopback provider failed", [e for e in self.faults if isinstance(e, Exception)])

    def stop(self) -> None:
        """Close every connection and the port: what comes after is refused. Stopping twice is fine."""
        if self._server is None or self._thread is None or self.stopping.is_set():
            return
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def origin(self) -> str:
        """`http://127.0.0.1:PORT`."""
        if self._server is None:
            raise RuntimeError("the provider is not started: use `with`")
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def know(self, seat: str, key: str) -> None:
        """Recognise requests with this fake key as those of `seat`."""
        self._seats[key] = seat

    @property
    def keys(self) -> tuple[str, ...]:
        """Every fake key that has been made known."""
        return tuple(self._seats)

    def seat_of(self, key: str) -> str:
        """The seat this key belongs to, or an empty string."""
        return self._seats.get(key, "")

    def queue(self, *answers: Answer, seat: str = "") -> None:
        """Say these in order, to one seat or to everyone; the last is said to all that follow."""
        with self.changed:
            self._queues.setdefault(seat, deque()).extend(answers)

    def answer_for(self, served: Served) -> Answer:
        """What the script says to this request."""
        return self.script(served)

    def served_to(self, seat: str) -> list[Served]:
        """What was served to one seat, in the order it came."""
        with self.changed:
            return [each for each in self.served if each.seat == seat]

    def wait_for(self, true_of: Callable[[list[Served]], bool], timeout: float = 100.0) -> list[Served]:
        """Wait until something is true of what was served, or raise TimeoutError saying what was."""
        with self.changed:
            if not self.changed.wait_for(lambda: true_of(self.served), timeout):
                seen = [(each.serial, each.seat, each.status, each.done) for each in self.served]
                raise TimeoutError(f"after {timeout} s the provider had served {seen}")
            return list(self.served)

    def note(self, served: Served, **changes: object) -> None:
        """Record what happened to a request, and wake who waits for it."""
        with self.changed:
            for name, value in changes.items():
                setattr(served, name, value)
            self.changed.notify_all()

    def begin(self, **known: Any) -> Served:
        """Record a request the moment it came."""
        with self.changed:
            serial = len(self.served) + 1
            # Letters: older pi looks for 429, 500, … anywhere in an error, request id included, to decide on a retry.
            request_id = f"req_{self._letters}{serial:04d}"
            served = Served(serial=serial, at=time.monotonic(), wall=time.time(), request_id=request_id, **known)
            self.served.append(served)
            self.changed.notify_all()
            return served

    def _from_queues(self, served: Served) -> Answer:
        with self.changed:
            queue = self._queues.get(served.seat) or self._queues.get("")
            if not queue:
                return Answer()
            return queue.popleft() if len(queue) > 1 else queue[0]
