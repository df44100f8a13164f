"""The Codex responses endpoint: the events of OpenAI responses, other errors, and a JWT as the key."""

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from tests.pi.protocols.base import Protocol
from tests.pi.protocols.responses import stream, stream_error


def key(account: str) -> str:
    """Make a token that pi accepts: a JWT whose claim names an account. Signed by nobody."""
    claims = {"https://api.openai.com/auth": {"chatgpt_account_id": account}}
    parts = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
    return ".".join([*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), "unsigned"])


def _error(status: int, text: str, request_id: str) -> Mapping[str, Any]:
    del request_id
    details: dict[str, Any] = {"message": text, "type": "server_error"}
    if status == 429:
        details |= {"type": "usage_limit_reached", "plan_type": "plus", "eligible_promo": None}
        details |= {"resets_at": 1_800_008_899, "resets_in_seconds": 8899}
    return {"error": details}


PROTOCOL: Final = Protocol(
    api="openai-codex-responses",
    base="",
    request_id="x-request-id",
    speaks=lambda path: path.endswith("/codex/responses"),
    stream=stream,
    error=_error,
    stream_error=stream_error,
)
