"""A provider on a real socket: it answers account endpoints as a test's script decides, and records the requests."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.pi.answers import unified


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply. `body` is sent as it is if it is bytes, else as JSON. `hold`: send nothing until the test is over.

    `drip`: send the body byte by byte, slowly.
    """

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    hold: bool = False
    drip: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


Script = Callable[[Request], Reply]


class Loopback:
    """The server's requests and its origin."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[Request] = []
        self.over = threading.Event()
        self.origin = ""

    def paths(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.requests]


@contextlib.contextmanager
def loopback(script: Script) -> Iterator[Loopback]:
    """Serve while the test runs, with a thread for each connection, all of which end with it."""
    loop = Loopback(script)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            pass

        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def _serve(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, self.path, headers, json.loads(raw) if raw else None)
            loop.requests.append(request)
            reply = loop.script(request)
            if reply.hold:
                loop.over.wait(60)
                return
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                for part in (body[i : i + 1] for i in range(len(body))) if reply.drip else (body,):
                    self.wfile.write(part)
                    self.wfile.flush()
                    if reply.drip and loop.over.wait(0.1):
                        return

    class Server(ThreadingHTTPServer):
        daemon_threads = False
        request_queue_size = 64

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Print nothing: some tests close the connection early."""

    server = Server(("127.0.0.1", 0), Handler)
    loop.origin = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield loop
    finally:
        loop.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


USAGE = {
    "five_hour": {"utilization": 42.0, "resets_at": "2099-01-15T12:00:00.282668+00:00", "limit_dollars": None},
    "seven_day": {"utilization": 61.5, "resets_at": "2099-01-18T08:00:00+00:00"},
    "seven_day_opus": None,
    "seven_day_sonnet": {"utilization": 3.0, "resets_at": "2099-01-18T08:00:00+00:00"},
    "limits": [{"kind": "session", "percent": 42}],
    "extra_usage": {"is_enabled": False, "monthly_limit": None, "used_credits": None, "utilization": None},
}
WHAM = {
    "email": "somebody@example.org",
    "plan_type": "plus",
    "rate_limit": {
        "allowed": True,
        "limit_reached": False,
        "primary_window": {"used_percent": 31, "limit_window_seconds": 18000, "reset_at": 4_070_908_800},
        "secondary_window": {"used_percent": 12, "limit_window_seconds": 604800, "reset_at": 1_800_259_200},
    },
    "credits": {"has_credits": False, "unlimited": False, "balance": "0"},
}
MESSAGE = {"id": "msg_1", "type": "message", "content": [{"type": "text", "text": "h"}], "usage": {"input_tokens": 9}}
SCOPE = {
    "type": "error",
    "error": {
        "type": "permission_error",
        "message": "OAuth token does not meet scope requirement user:profile",
    },
}


def error(message: str, kind: str = "invalid_request_error") -> dict[str, Any]:
    """An error body of Anthropic's API."""
    return {"type": "error", "error": {"type": kind, "message": message}}


def healthy(request: Request) -> Reply:
    """The replies of healthy accounts of every type."""
    path = request.path.partition("?")[0]
    by_path: dict[str, Reply] = {
        "/api/oauth/usage": Reply(body=USAGE),
        "/v1/messages": Reply(body=MESSAGE, headers=unified()),
        "/v1/messages/count_tokens": Reply(body={"input_tokens": 8}),
        "/backend-api/wham/usage": Reply(body=WHAM),
        "/chat/completions": Reply(
            body={"choices": [], "usage": {"total_tokens": 9}}, headers={"exedev-gateway-cost": "0.000012"}
        ),
    }
    return by_path.get(path, Reply(body={"data": [], "models": []}))
