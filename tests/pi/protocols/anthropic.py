"""Anthropic Messages as server-sent events."""

import json
from collections.abc import Mapping
from typing import Any, Final

from tests.pi.answers import Answer
from tests.pi.protocols.base import Protocol, event, words

_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}


def _named(data: Mapping[str, Any]) -> bytes:
    return event(data, data["type"])


def _blocks(answer: Answer) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    if answer.tool:
        start: dict[str, Any] = {"type": "tool_use", "id": answer.tool.id, "name": answer.tool.name, "input": {}}
        return start, [{"type": "input_json_delta", "partial_json": json.dumps(answer.tool.arguments)}]
    return {"type": "text", "text": ""}, [{"type": "text_delta", "text": word} for word in words(answer.text)]


def _stream(answer: Answer, reply_id: str, model: str) -> list[bytes]:
    tokens = answer.tokens
    usage = {
        "input_tokens": tokens.input,
        "cache_read_input_tokens": tokens.cache_read,
        "cache_creation_input_tokens": tokens.cache_write,
        "output_tokens": 1,
    }
    message: dict[str, Any] = {"id": f"msg_{reply_id}", "type": "message", "role": "assistant", "model": model}
    message |= {"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    start, deltas = _blocks(answer)
    stop = "tool_use" if answer.tool else "end_turn"
    return [
        _named({"type": "message_start", "message": message}),
        _named({"type": "content_block_start", "index": 0, "content_block": start}),
        *(_named({"type": "content_block_delta", "index": 0, "delta": delta}) for delta in deltas),
        _named({"type": "content_block_stop", "index": 0}),
        _named(
            {
                "type": "message_delta",
                "delta": {"stop_reason": stop, "stop_sequence": None},
                "usage": {**usage, "output_tokens": tokens.output},
            }
        ),
        _named({"type": "message_stop"}),
    ]


def _error(status: int, text: str, request_id: str) -> Mapping[str, Any]:
    details = {"type": _TYPES.get(status, "api_error"), "message": text}
    return {"type": "error", "error": details, "request_id": request_id}


def _stream_error(text: str) -> bytes:
    return _named({"type": "error", "error": {"type": "overloaded_error", "message": text}})


PROTOCOL: Final = Protocol(
    api="anthropic-messages",
    base="",
    request_id="request-id",
    speaks=lambda path: path.endswith("/v1/messages"),
    stream=_stream,
    error=_error,
    stream_error=_stream_error,
)
