"""The wire between extension and sidecar: newline-delimited JSON over a Unix stream socket.

This module is the schema. The extension's types, its protocol number and its bounds are rendered from it
(`tokmon.pi.schema_ts`); nothing crosses the language border by hand.

The client speaks first: a `hello`, then events. The sidecar answers with its own `hello`, then `ack` lines:
`{"ack": N}` says that the first N event lines of this connection are dealt with (in the file, or refused with
an `error` line that names the field). An event keeps its id for life: storing an id twice changes nothing.

An event says first what changes every time (`CHANGING`) and from `provider` on what recurs with every event of
its kind (session, model, headers, …). No reader depends on that order; the sidecar is quicker by it.

A wire type is permissive where it can be (every field but a few may be missing) and says which field is off
where it cannot. What an event carries beyond the schema is kept out of the log.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Final, Literal, cast, get_type_hints

import msgspec

from tokmon.errors import WireError
from tokmon.wire.instants import rfc3339

PROTOCOL: Final = 1
MAX_LINE: Final = 64 * 1024
"""Bytes of one line, newline included. The extension cuts its texts long before."""

MAX_TEXT: Final = 2000
"""Characters of an error text."""

Id = Annotated[str, msgspec.Meta(min_length=8, max_length=64)]  # no pattern: that costs 0.4 us a field
Instant = Annotated[datetime, msgspec.Meta(tz=True)]
Name = Annotated[str, msgspec.Meta(max_length=300)]
Text = Annotated[str, msgspec.Meta(max_length=4000)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Amount = Annotated[float, msgspec.Meta(ge=0)]

Attribution = Literal["wrapper", "url", "model", "none"]
"""How provider and model are known: told by the wrapper provider (exact), by the one configured base URL that
fits, by the session's current model, or not at all."""

Via = Literal["fetch", "event", "stream"]
"""Where the extension saw it: the fetch observer, pi's header event, a frame of a WebSocket stream."""

KeyShape = Literal["ant-oat", "ant-api", "other"]
"""Which public prefix a credential has: a plan seat's, a pay-per-use key's, or another. Never more than that."""

UsageKind = Literal["assistant", "cache_warm", "compaction", "branch_summary", "tool_result", "other"]
CostSource = Literal["billed", "estimated", "unknown"]


class Hello(msgspec.Struct, tag_field="kind", tag="hello", omit_defaults=True, gc=False):
    """The first line each way. `protocol` is the sender's; either side goes on with what it understands."""

    protocol: Count
    name: Name = ""
    version: Name = ""
    pi: Name | None = None
    pid: Count | None = None


class StatusRequest(msgspec.Struct, tag_field="kind", tag="status", gc=False):
    """A question instead of an event: how is the sidecar? Answered by one line, `{"status": {...}}`."""


class _Event(msgspec.Struct, tag_field="kind", forbid_unknown_fields=True, omit_defaults=True, gc=False):
    id: Id
    ts: Instant
    provider: Name | None = None
    model: Name | None = None
    api: Name | None = None
    session: Name | None = None
    member: Name | None = None
    host: Name | None = None
    pi: Name | None = None
    mission: Name | None = None


class Capture(_Event, tag="capture", gc=False):
    """One response as the extension saw it; `http_status` is None where none came (then `error` says why)."""

    attribution: Attribution = "none"
    via: Via = "fetch"
    origin: Name | None = None
    key_shape: KeyShape | None = None
    http_status: Annotated[int, msgspec.Meta(ge=100, le=999)] | None = None
    request_id: Name | None = None
    elapsed_ms: Amount | None = None
    error: Text | None = None
    frame: msgspec.Raw = msgspec.Raw(b"null")
    headers: msgspec.Raw = msgspec.Raw(b"{}")


class Tokens(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """Tokens as pi counts them; the four first do not overlap."""

    input: Count | None = None
    output: Count | None = None
    cache_read: Count | None = None
    cache_write: Count | None = None
    cache_write_1h: Count | None = None
    reasoning: Count | None = None
    total: Count | None = None


class Usage(_Event, tag="usage", gc=False):
    """One billed thing, or the error that came instead of one.

    `cost_usd` is None where the price is unknown: an unknown price never reads as nothing spent.
    """

    what: UsageKind = "assistant"
    response_model: Name | None = None
    response_id: Name | None = None
    entry: Name | None = None
    stop: Name | None = None
    error: Text | None = None
    tokens: Tokens | None = None
    cost_usd: Amount | None = None
    cost_source: CostSource = "unknown"
    duration_ms: Amount | None = None


Event = Capture | Usage
Line = Hello | StatusRequest | Capture | Usage


class Ack(msgspec.Struct):
    """The first `ack` event lines of this connection are dealt with."""

    ack: Count


class Refusal(msgspec.Struct, omit_defaults=True):
    """Event line number `line` of this connection was refused: `field` is off, for the reason in `error`."""

    error: str
    field: str
    line: Count = 0


_strict = msgspec.json.Decoder(Line)
_mapping = msgspec.json.Decoder(dict[str, Any])
_headers = msgspec.json.Decoder(dict[str, str])
_encoder = msgspec.json.Encoder()


CHANGING: Final = (
    "id",
    "ts",
    "request_id",
    "elapsed_ms",
    "response_id",
    "entry",
    "stop",
    "tokens",
    "cost_usd",
    "cost_source",
    "duration_ms",
)
"""The fields that change with every event and say nothing about an account. They come first on the wire, then
`provider` and the others, which recur."""


def _heads(schema: type[Capture | Usage]) -> Callable[[bytes], list[Event]]:
    """Decode the changing parts of events, each closed with a brace, a line each; `NotStrict` at anything else."""
    kinds = get_type_hints(schema, include_extras=True)
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = [
        (field.name, kinds[field.name]) if field.required else (field.name, kinds[field.name], field.default)
        for field in msgspec.structs.fields(schema)
        if field.name in CHANGING
    ]
    tag = schema.__struct_config__.tag
    name = f"{schema.__name__}Head"
    head = msgspec.defstruct(name, fields, tag_field="kind", tag=tag, forbid_unknown_fields=True, gc=False)
    decode: Any = msgspec.json.Decoder(head).decode_lines
    return cast("Callable[[bytes], list[Event]]", decode)


decode_capture_heads, decode_usage_heads = _heads(Capture), _heads(Usage)

DECODE_ERRORS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode(line: bytes) -> tuple[Line, bool]:
    """The event that a line says, and whether the line holds nothing else, so that it may be stored as sent.

    Fields beyond the schema are kept out; WireError names the field that is off.
    """
    try:
        return _strict.decode(line), True
    except DECODE_ERRORS:
        return _tolerant(line), False


def _tolerant(line: bytes) -> Line:
    """Decode what the strict decoder refused: drop unknown fields, and say which known one is off."""
    try:
        fields = _mapping.decode(line)
    except DECODE_ERRORS as error:
        raise WireError(f"not a JSON object: {error}", field="line") from error
    kind = fields.get("kind")
    schema = _SCHEMAS.get(kind) if isinstance(kind, str) else None
    if schema is None:
        known = ", ".join(f"`{name}`" for name in _SCHEMAS)
        raise WireError(f"`kind` must be one of {known}", field="kind")
    known_fields = {name: fields[name] for name in schema.__struct_fields__ if name in fields}
    if isinstance(known_fields.get("tokens"), dict):
        tokens = known_fields["tokens"]
        known_fields["tokens"] = {name: tokens[name] for name in Tokens.__struct_fields__ if name in tokens}
    try:
        event: Line = _strict.decode(_encoder.encode({"kind": kind, **known_fields}))
    except DECODE_ERRORS as error:
        raise _located(error) from error
    return event


def _located(error: Exception) -> WireError:
    """Locate an error: msgspec ends its messages with the place, as in `... - at `$.tokens.input``."""
    message, _, place = str(error).partition(" - at `$")
    field = place.rstrip("`").lstrip(".") or "line"
    if field == "line" and "missing required field `" in message:
        field = message.split("`")[1]
    return WireError(message[:1].lower() + message[1:], field=field)


def headers_of(raw: msgspec.Raw) -> dict[str, str]:
    """The headers of a capture by lower-case name, or WireError naming the header."""
    try:
        found = _headers.decode(raw)
    except DECODE_ERRORS as error:
        raise WireError("a header's value must be a text", field=_bad_header(raw)) from error
    return {name.lower(): value for name, value in found.items()}


def frame_of(raw: msgspec.Raw) -> dict[str, Any] | None:
    """The frame of a stream that a capture holds, if it holds one; None too where it is no object."""
    if raw == b"null":
        return None
    try:
        return _mapping.decode(raw)
    except DECODE_ERRORS:
        return None


def _bad_header(raw: msgspec.Raw) -> str:
    try:
        found = _mapping.decode(raw)
    except DECODE_ERRORS:
        return "headers"
    return next((f"headers.{name[:60]}" for name, value in found.items() if not isinstance(value, str)), "headers")


def re_encode(event: Event, changes: dict[str, Any], headers: dict[str, str] | None = None) -> bytes:
    """The event as a line without newline, with other texts, and other headers if they are given."""
    if headers is not None:
        changes = {**changes, "headers": msgspec.Raw(_encoder.encode(headers))}
    line = _encoder.encode(msgspec.structs.replace(event, **changes) if changes else event)
    # Instants to the millisecond, as they came: the encoder says microseconds.
    return line.replace(_encoder.encode(event.ts), _encoder.encode(rfc3339(event.ts.timestamp())), 1)


def encode(line: Line | Ack | Refusal) -> bytes:
    """The line to send, newline included."""
    return _encoder.encode(line) + b"\n"


_SCHEMAS: Final[dict[str, type[Line]]] = {"hello": Hello, "status": StatusRequest, "capture": Capture, "usage": Usage}
