"""One request: no redirect followed, nothing unpacked, no more read than a bound, and no secret in what comes back."""

import re
import time
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from tokmon import families
from tokmon.probes.kinds import ProbeStep
from tokmon.store import parse
from tokmon.wire.messages import MAX_TEXT
from tokmon.wire.scrub import PLACEHOLDER, scrub

MAX_BODY: Final = 1 << 20
_MAX_HEADER: Final = 1000
_MAX_HEADERS: Final = 100
_REQUEST_ID: Final = re.compile(r"[\w.:-]{1,100}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came: of the headers only what the allow-list lets pass, `body` where it is a JSON object.

    `http_status` is None where no response came; `error` then says why.
    """

    http_status: int | None
    headers: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] | None = None
    error: str | None = None
    request_id: str | None = None


def http_client() -> httpx.Client:
    """For any number of threads at once."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    headers = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "tokmon"}
    return httpx.Client(follow_redirects=False, limits=limits, headers=headers)


def fetch(sender: httpx.Client, step: ProbeStep, until: float, secrets: tuple[str, ...]) -> Answer:
    """Ask, until the monotonic instant at most. What the network does wrong is an answer too, and never raised."""
    left = until - time.monotonic()
    if left <= 0:
        return Answer(None, error="timed out")
    try:
        with sender.stream(
            step.method, step.url, headers=step.headers, json=step.body, timeout=httpx.Timeout(left)
        ) as said:
            return _answer(said, _body(said, until), secrets)
    except httpx.TimeoutException as error:
        return Answer(None, error=f"timed out: {type(error).__name__}")
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
        return Answer(None, error=redact(f"connection error: {type(error).__name__}: {error}", secrets)[:MAX_TEXT])


def _body(said: httpx.Response, until: float) -> bytes | None:
    """The body, or None where it is longer than we read, or packed although we asked for it plain."""
    if said.headers.get("content-encoding", "identity").lower() != "identity":
        return None
    found = bytearray()
    for chunk in said.iter_raw(64 * 1024):
        found += chunk
        if len(found) > MAX_BODY:
            return None
        if time.monotonic() > until:
            raise httpx.ReadTimeout("the body took too long")
    return bytes(found)


def _answer(said: httpx.Response, body: bytes | None, secrets: tuple[str, ...]) -> Answer:
    text = redact((body or b"").decode("utf-8", "replace"), secrets) if body else ""
    headers = {
        name: scrub(redact(value, secrets))[:_MAX_HEADER]
        for name, value in list(said.headers.items())[:_MAX_HEADERS]
        if families.allowed(name)
    }
    named = redact(said.headers.get("request-id") or said.headers.get("x-request-id") or "", secrets)
    return Answer(
        http_status=said.status_code,
        headers=headers,
        body=parse(text.encode()) if said.is_success and text else None,
        error=None if said.is_success else scrub(text)[:MAX_TEXT],
        request_id=named if _REQUEST_ID.fullmatch(named) else None,
    )


def redact(text: str, secrets: tuple[str, ...]) -> str:
    """The text without what we asked with, should anybody repeat it, and without what looks like a credential."""
    for secret in secrets:
        text = text.replace(secret, PLACEHOLDER)
    return text
