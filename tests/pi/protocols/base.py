"""What a protocol module gives the provider."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.pi.answers import Answer


@dataclass(frozen=True, slots=True)
class Protocol:
    """One provider protocol: where it is spoken, and how an `Answer` looks in it.

    `base` is what pi's `baseUrl` has after the origin; `stream` gives the chunks of a 200 in the order they are
    flushed, for a reply with the given id and model.
    """

    api: str
    base: str
    request_id: str
    speaks: Callable[[str], bool]
    stream: Callable[[Answer, str, str], list[bytes]]
    error: Callable[[int, str, str], Mapping[str, Any]]
    stream_error: Callable[[str], bytes]


def event(data: Mapping[str, Any], name: str | None = None) -> bytes:
    """One server-sent event."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data)}\n\n".encode()


def words(text: str) -> list[str]:
    """Cut the text into the deltas a model would send; joined they are the text."""
    pieces = text.split(" ")
    return [piece if index == 0 else f" {piece}" for index, piece in enumerate(pieces)]
