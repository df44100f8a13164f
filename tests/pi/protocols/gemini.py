"""Gemini's `streamGenerateContent` as server-sent events."""

from collections.abc import Mapping
from typing import Any, Final

from tests.pi.answers import Answer
from tests.pi.protocols.base import Protocol, event, words

_STATUSES: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    529: "UNAVAILABLE",
}
_QUOTA: Final = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [
        {
            "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
            "quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
            "quotaDimensions": {"model": "gemini-loopback", "location": "global"},
            "quotaValue": "20",
        }
    ],
}
_RETRY: Final = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "41.528s"}


def _stream(answer: Answer, reply_id: str, model: str) -> list[bytes]:
    tokens = answer.tokens
    prompt = tokens.input + tokens.cache_read
    usage = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": tokens.output,
        "cachedContentTokenCount": tokens.cache_read,
        "totalTokenCount": prompt + tokens.output,
    }
    head = {"responseId": f"gem_{reply_id}", "modelVersion": model}
    parts: list[dict[str, Any]] = [{"text": word} for word in words(answer.text)]
    if answer.tool:
        parts = [{"functionCall": {"name": answer.tool.name, "args": answer.tool.arguments}}]

    def chunk(part: dict[str, Any], **more: str) -> dict[str, Any]:
        return {**head, "candidates": [{"index": 0, "content": {"role": "model", "parts": [part]}, **more}]}

    last = {**chunk({"text": ""}, finishReason="STOP"), "usageMetadata": usage}
    return [*(event(chunk(part)) for part in parts), event(last)]


def _error(status: int, text: str, request_id: str) -> Mapping[str, Any]:
    del request_id
    details: dict[str, Any] = {"code": status, "message": text, "status": _STATUSES.get(status, "UNKNOWN")}
    if status == 429:
        details["details"] = [_QUOTA, _RETRY]
    return {"error": details}


PROTOCOL: Final = Protocol(
    api="google-generative-ai",
    base="/v1beta",
    request_id="x-request-id",
    speaks=lambda path: ":streamGenerateContent" in path,
    stream=_stream,
    error=_error,
    stream_error=lambda text: event(_error(529, text, "")),
)
