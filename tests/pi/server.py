"""The HTTP half of the loopback provider: reads a request, asks the script, flushes chunk by chunk."""

import contextlib
import json
import socket
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

from tests.pi import protocols, websocket
from tests.pi.answers import Answer
from tests.pi.protocols import responses
from tests.pi.protocols.base import Protocol, event

if TYPE_CHECKING:
    from tests.pi.provider import Provider, Served

GONE: Final = (BrokenPipeError, ConnectionResetError, ConnectionAbortedError)
REASONS: Final = {429: "Too Many Requests", 529: "Overloaded"}


class Server(ThreadingHTTPServer):
    """One thread a connection; all are joined at the end, so that nothing outlives the test."""

    daemon_threads = False
    request_queue_size = 64

    def __init__(self, provider: "Provider") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.provider = provider
        self.open: set[socket.socket] = set()

    def server_close(self) -> None:
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base's
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, GONE):
            self.provider.faults.append(error)


class Handler(BaseHTTPRequestHandler):
    """One connection; `server` is the Server above."""

    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.open.add(self.connection)

    def finish(self) -> None:
        self.server.open.discard(self.connection)
        with contextlib.suppress(*GONE):
            super().finish()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing on stderr."""

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def _serve(self, method: str) -> None:
        path = urlsplit(self.path).path
        protocol = protocols.of_path(path)
        if protocol and self.headers.get("upgrade", "").lower() == "websocket" and self.server.provider.websocket:
            self._converse(protocol)
            return
        raw = self.rfile.read(int(self.headers.get("content-length", "0")))
        served = self._begin(method, protocol, raw)
        with self._recorded(served):
            if method != "POST" or protocol is None:
                self._refuse(served)
            else:
                self._answer(served, protocol, self.server.provider.answer_for(served))

    def _begin(self, method: str, protocol: Protocol | None, raw: bytes) -> "Served":
        headers = {name.lower(): value for name, value in self.headers.items()}
        auth, key = _credential(headers, self.path)
        return self.server.provider.begin(
            method=method,
            path=urlsplit(self.path).path,
            api=protocol.api if protocol else "",
            seat=self.server.provider.seat_of(key),
            auth=auth,
            request_headers=headers,
            body=_json(raw),
        )

    @contextlib.contextmanager
    def _recorded(self, served: "Served") -> Iterator[None]:
        """Record the end of a request, however it ends."""
        provider = self.server.provider
        try:
            yield
        except GONE:
            self.close_connection = True
            provider.note(served, client_gone=not provider.stopping.is_set())
        finally:
            provider.note(served, done=True)

    def _refuse(self, served: "Served") -> None:
        """Answer what no protocol of ours is spoken at; a WebSocket upgrade is told to use HTTP."""
        other = self.server.provider.get_status if served.method == "GET" else 404
        status = 426 if "upgrade" in served.request_headers else other
        self._head(served, status, {"content-length": "0", "connection": "close"})
        self.close_connection = True

    def _converse(self, protocol: Protocol) -> None:
        """Answer each message of a WebSocket as a request of its own, with method `WS` and no headers."""
        self.close_connection = True
        self.send_response(101, "Switching Protocols")
        self.send_header("upgrade", "websocket")
        self.send_header("connection", "Upgrade")
        self.send_header("sec-websocket-accept", websocket.accept(self.headers.get("sec-websocket-key", "")))
        if asked := self.headers.get("sec-websocket-protocol"):
            self.send_header("sec-websocket-protocol", asked.partition(",")[0])
        self.end_headers()
        self.wfile.flush()
        with contextlib.suppress(*GONE):
            while (message := websocket.read_message(self.rfile)) is not None:
                served = self._begin("WS", protocol, message)
                with self._recorded(served):
                    self._reply(served, protocol, self.server.provider.answer_for(served))

    def _reply(self, served: "Served", protocol: Protocol, answer: Answer) -> None:
        provider = self.server.provider
        provider.stopping.wait(answer.delay)
        self._wait_for_release(answer.hold)
        provider.note(served, status=answer.status)
        if answer.status == 200:
            frames = responses.frames(answer, served.request_id, served.model)
        else:
            error = protocol.error(answer.status, answer.error or "Error", served.request_id)
            frames = [{"type": "error", "status": answer.status, **error, "headers": {**answer.headers}}]
        for number, frame in enumerate([*answer.frames, *frames]):
            if number == answer.cut_after:
                provider.note(served, cut=True)
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            provider.stopping.wait(answer.gap if number else 0)
            self._write(served, websocket.message(json.dumps(frame), binary=provider.binary))

    def _answer(self, served: "Served", protocol: Protocol, answer: Answer) -> None:
        stopping = self.server.provider.stopping
        stopping.wait(answer.delay)
        self._wait_for_release(answer.hold)
        headers = {protocol.request_id: served.request_id, **answer.headers}
        if answer.status == 200:
            self._head(served, 200, {**headers, "content-type": "text/event-stream", "transfer-encoding": "chunked"})
            self._stream(served, protocol, answer)
            return
        body = answer.body
        if body is None:
            body = json.dumps(protocol.error(answer.status, answer.error or "Error", served.request_id))
        kind = "application/json" if body.startswith("{") else "text/plain"
        self._head(served, answer.status, {**headers, "content-type": kind, "content-length": str(len(body.encode()))})
        self._write(served, body.encode())

    def _head(self, served: "Served", status: int, headers: dict[str, str]) -> None:
        self.server.provider.note(served, status=status, headers=headers)
        self.send_response(status, REASONS.get(status))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.flush()

    def _stream(self, served: "Served", protocol: Protocol, answer: Answer) -> None:
        chunks = protocol.stream(answer, served.request_id, served.model)
        if answer.stream_error is not None:
            chunks = [*chunks[:2], protocol.stream_error(answer.stream_error)]
        chunks = [*(event(frame, frame["type"]) for frame in answer.frames), *chunks]
        for number, chunk in enumerate(chunks):
            if number == answer.cut_after:
                self.close_connection = True
                self.server.provider.note(served, cut=True)
                return
            if number:
                self.server.provider.stopping.wait(answer.gap)
            if number == 1:
                self._wait_for_release(answer.hold_stream)
            self._write(served, f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _write(self, served: "Served", data: bytes) -> None:
        self.wfile.write(data)
        self.wfile.flush()
        now = time.monotonic()
        first = now if served.first_chunk_at is None else served.first_chunk_at
        self.server.provider.note(served, first_chunk_at=first, last_chunk_at=now, chunks=served.chunks + 1)

    def _wait_for_release(self, gate: Any) -> None:
        while gate is not None and not gate.wait(0.02):
            if self.server.provider.stopping.is_set():
                raise ConnectionAbortedError("the provider stops")


def _credential(headers: dict[str, str], path: str) -> tuple[str, str]:
    """Say how the credential came, and the credential."""
    if "x-api-key" in headers:
        return "x-api-key", headers["x-api-key"]
    if "x-goog-api-key" in headers:
        return "x-goog-api-key", headers["x-goog-api-key"]
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return "bearer", key
    (asked,) = parse_qs(urlsplit(path).query).get("key", [""])
    return ("query" if asked else "none"), asked


def _json(raw: bytes) -> dict[str, Any]:
    """The body as JSON; empty where it is compressed (newer pi compresses for Codex) or not an object."""
    try:
        found = json.loads(raw)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
