"""OpenAI responses as server-sent events."""

import json
from collections.abc import Mapping
from typing import Any, Final

from tests.pi.answers import Answer
from tests.pi.protocols.base import Protocol, event, words
from tests.pi.protocols.completions import error


def frames(answer: Answer, reply_id: str, model: str) -> list[dict[str, Any]]:
    """The events of one reply, before any framing."""
    item, middle = _call(answer, reply_id) if answer.tool else _text(answer, reply_id)
    tokens = answer.tokens
    prompt = tokens.input + tokens.cache_read + tokens.cache_write
    usage = {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": tokens.cache_read},
        "output_tokens": tokens.output,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": prompt + tokens.output,
    }
    response: dict[str, Any] = {"id": f"resp_{reply_id}", "object": "response", "model": model, "output": []}
    started = {**response, "status": "in_progress"}
    done = {**response, "status": "completed", "output": [item], "usage": usage}
    empty: dict[str, Any] = {"arguments": ""} if answer.tool else {"content": []}
    opened = {**item, "status": "in_progress", **empty}
    numbered: list[dict[str, Any]] = [
        {"type": "response.created", "response": started},
        {"type": "response.output_item.added", "output_index": 0, "item": opened},
        *({**each, "output_index": 0, "item_id": item["id"]} for each in middle),
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": done},
    ]
    return [{**each, "sequence_number": number} for number, each in enumerate(numbered)]


def _text(answer: Answer, reply_id: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    part = {"type": "output_text", "text": answer.text, "annotations": []}
    item = {"id": f"msg_{reply_id}", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    deltas = [{"type": "response.output_text.delta", "content_index": 0, "delta": word} for word in words(answer.text)]
    return item, [
        {"type": "response.content_part.added", "content_index": 0, "part": {**part, "text": ""}},
        *deltas,
        {"type": "response.output_text.done", "content_index": 0, "text": answer.text},
        {"type": "response.content_part.done", "content_index": 0, "part": part},
    ]


def _call(answer: Answer, reply_id: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    tool = answer.tool
    if tool is None:
        raise AssertionError("only called for a tool call")
    arguments = json.dumps(tool.arguments)
    item = {"id": f"fc_{reply_id}", "type": "function_call", "status": "completed", "call_id": tool.id}
    item |= {"name": tool.name, "arguments": arguments}
    return item, [
        {"type": "response.function_call_arguments.delta", "delta": arguments},
        {"type": "response.function_call_arguments.done", "arguments": arguments},
    ]


def stream(answer: Answer, reply_id: str, model: str) -> list[bytes]:
    """The events of one reply as server-sent events."""
    return [_named(frame) for frame in frames(answer, reply_id, model)]


def stream_error(text: str) -> bytes:
    """The event of a failure inside a 200."""
    return _named({"type": "error", "code": "server_is_overloaded", "message": text, "param": None})


def _named(data: Mapping[str, Any]) -> bytes:
    return event(data, data["type"])


PROTOCOL: Final = Protocol(
    api="openai-responses",
    base="/v1",
    request_id="x-request-id",
    speaks=lambda path: path.endswith("/v1/responses"),
    stream=stream,
    error=error,
    stream_error=stream_error,
)
