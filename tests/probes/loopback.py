"""A provider on a real socket that answers account endpoints as a test says, and keeps what it was asked."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.pi.answers import unified


@dataclass(frozen=True, slots=True)
class Said:
    """One answer: `body` as it is if it is bytes; `hold` keeps the server silent until the test is over."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    hold: bool = False
    drip: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


Script = Callable[[Asked], Said]


class Loopback:
    """What it was asked, and where it is."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self.over = threading.Event()
        self.origin = ""

    def paths(self) -> list[str]:
        return [f"{each.method} {each.path}" for each in self.asked]


@contextlib.contextmanager
def loopback(script: Script) -> Iterator[Loopback]:
    """Serve while the test runs; a thread a connection, none of which outlives it."""
    found = Loopback(script)

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
            asked = Asked(self.command, self.path, headers, json.loads(raw) if raw else None)
            found.asked.append(asked)
            said = found.script(asked)
            if said.hold:
                found.over.wait(60)
                return
            body = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.send_response(said.status)
                for name, value in said.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                for part in (body[i : i + 1] for i in range(len(body))) if said.drip else (body,):
                    self.wfile.write(part)
                    self.wfile.flush()
                    if said.drip and found.over.wait(0.1):
                        return

    class Server(ThreadingHTTPServer):
        daemon_threads = False
        request_queue_size = 64

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing: a client that went away is what some tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    found.origin = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield found
    finally:
        found.over.set()
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
    """An error body of Anthropic's."""
    return {"type": "error", "error": {"type": kind, "message": message}}


def healthy(asked: Asked) -> Said:
    """What healthy accounts of every kind say."""
    path = asked.path.partition("?")[0]
    by_path: dict[str, Said] = {
        "/api/oauth/usage": Said(body=USAGE),
        "/v1/messages": Said(body=MESSAGE, headers=unified()),
        "/v1/messages/count_tokens": Said(body={"input_tokens": 8}),
        "/backend-api/wham/usage": Said(body=WHAM),
        "/chat/completions": Said(
            body={"choices": [], "usage": {"total_tokens": 9}}, headers={"exedev-gateway-cost": "0.000012"}
        ),
    }
    return by_path.get(path, Said(body={"data": [], "models": []}))
