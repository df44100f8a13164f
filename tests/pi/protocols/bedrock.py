"""Amazon Bedrock's `converse-stream`, whose SDK uses no `fetch`: errors only, since replies are in a binary format."""

from collections.abc import Mapping
from typing import Any, Final

from tests.pi.answers import Answer
from tests.pi.protocols.base import Protocol


def _stream(answer: Answer, reply_id: str, model: str) -> list[bytes]:
    raise NotImplementedError(f"a reply of Bedrock: {answer.text} {reply_id} {model}")


def _error(status: int, text: str, request_id: str) -> Mapping[str, Any]:
    del status, request_id
    return {"message": text}


PROTOCOL: Final = Protocol(
    api="bedrock-converse-stream",
    base="",
    request_id="x-amzn-requestid",
    speaks=lambda path: path.endswith("/converse-stream"),
    stream=_stream,
    error=_error,
    stream_error=str.encode,
)
