"""One request: no redirects, no decompression, a bounded body, and no secrets in the result."""

import re
import time
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import httpx

from tokmon import families
from tokmon.probes.body import kept_text
from tokmon.probes.kinds import ProbeStep
from tokmon.store.codec import parse
from tokmon.wire.messages import MAX_TEXT
from tokmon.wire.scrub import scrub, without_values

MAX_BODY: Final = 1 << 20
_MAX_HEADER: Final = 1000
_MAX_HEADERS: Final = 100
_REQUEST_ID: Final = re.compile(r"[\w.:-]{1,100}")


class Secrets(Protocol):
    """The secrets of a request (`ProbeTarget`): credentials, whose ends are removed too, and all secrets."""

    @property
    def credentials(self) -> tuple[str, ...]:
        """Texts of which no part may appear."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that must not appear as a whole."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The response to a probe: the allowed headers, and the body if it is a JSON object of a successful response.

    `http_status` is None if no response came. `error` is the text of a refusal or of a network error, scrubbed, and
    `text` that of a successful response whose body is no JSON object.
    """

    http_status: int | None
    headers: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] | None = None
    error: str | None = None
    request_id: str | None = None
    text: str | None = None


def http_client() -> httpx.Client:
    """An HTTP client that any number of threads may use at once."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    headers = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "tokmon"}
    return httpx.Client(follow_redirects=False, limits=limits, headers=headers)


def fetch(client: httpx.Client, step: ProbeStep, until: float, secrets: Secrets) -> Answer:
    """Send one request and return its answer before `until` (monotonic). Network errors are returned, not raised."""
    left = until - time.monotonic()
    if left <= 0:
        return Answer(None, error="timed out")
    try:
        with client.stream(
            step.method, step.url, headers=step.headers, json=step.body, timeout=httpx.Timeout(left)
        ) as response:
            return _answer(response, _body(response, until), secrets)
    except httpx.TimeoutException as error:
        return Answer(None, error=f"timed out: {type(error).__name__}")
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
        return Answer(None, error=redact(f"connection error: {type(error).__name__}: {error}", secrets)[:MAX_TEXT])


def _body(response: httpx.Response, until: float) -> bytes | None:
    """The body; None if it is longer than 1 MiB, or compressed although the request asked for plain bytes."""
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        return None
    body = bytearray()
    for chunk in response.iter_raw(64 * 1024):
        body += chunk
        if len(body) > MAX_BODY:
            return None
        if time.monotonic() > until:
            raise httpx.ReadTimeout("the body took too long")
    return bytes(body)


def _answer(response: httpx.Response, body: bytes | None, secrets: Secrets) -> Answer:
    text = redact((body or b"").decode("utf-8", "replace"), secrets) if body else ""
    headers = {
        name: scrub(redact(value, secrets))[:_MAX_HEADER]
        for name, value in list(response.headers.items())[:_MAX_HEADERS]
        if families.allowed(name)
    }
    request_id = redact(response.headers.get("request-id") or response.headers.get("x-request-id") or "", secrets)
    json = parse(text.encode()) if response.is_success and text else None
    return Answer(
        http_status=response.status_code,
        headers=headers,
        body=json,
        error=None if response.is_success else scrub(text)[:MAX_TEXT],
        request_id=request_id if _REQUEST_ID.fullmatch(request_id) else None,
        text=kept_text(text) if response.is_success and text and json is None else None,
    )


def redact(text: str, secrets: Secrets) -> str:
    """The text without the secrets of the request, which a server may repeat."""
    return without_values(text, secrets.credentials, secrets.secrets)
