"""OpenAI chat completions as server-sent events."""

import json
from collections.abc import Mapping
from typing import Any, Final

from tests.pi.answers import Answer
from tests.pi.protocols.base import Protocol, event, words

_KINDS: Final = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    402: ("insufficient_quota", "insufficient_quota"),
    403: ("invalid_request_error", "forbidden"),
    429: ("requests", "rate_limit_exceeded"),
}


def error(status: int, text: str, request_id: str) -> Mapping[str, Any]:
    """The body of an error response; `request_id` goes in a header alone."""
    del request_id
    kind, code = _KINDS.get(status, ("server_error", None))
    return {"error": {"message": text, "type": kind, "param": None, "code": code}}


def _deltas(answer: Answer) -> list[dict[str, Any]]:
    if answer.tool:
        function = {"name": answer.tool.name, "arguments": json.dumps(answer.tool.arguments)}
        return [{"tool_calls": [{"index": 0, "id": answer.tool.id, "type": "function", "function": function}]}]
    return [{"content": word} for word in words(answer.text)]


def _stream(answer: Answer, reply_id: str, model: str) -> list[bytes]:
    head = {"id": f"chatcmpl-{reply_id}", "object": "chat.completion.chunk", "created": 1_800_000_000, "model": model}
    tokens = answer.tokens
    prompt = tokens.input + tokens.cache_read + tokens.cache_write
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": tokens.output,
        "total_tokens": prompt + tokens.output,
        "prompt_tokens_details": {"cached_tokens": tokens.cache_read},
    }

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        return event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    return [
        chunk({"role": "assistant", "content": ""}),
        *(chunk(delta) for delta in _deltas(answer)),
        chunk({}, "tool_calls" if answer.tool else "stop"),
        event({**head, "choices": [], "usage": usage}),
        b"data: [DONE]\n\n",
    ]


PROTOCOL: Final = Protocol(
    api="openai-completions",
    base="/v1",
    request_id="x-request-id",
    speaks=lambda path: path.endswith("/chat/completions"),
    stream=_stream,
    error=error,
    stream_error=lambda text: event({"error": {"message": text, "type": "server_error", "code": None}}),
)
