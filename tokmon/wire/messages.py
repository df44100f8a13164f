"""The wire between extension and sidecar: newline-delimited JSON over a Unix stream socket.

This module is the schema. The extension's types, its protocol number and its bounds are generated from it
(`tokmon.pi.schema_ts`); nothing crosses the language border by hand.

The client speaks first: a `hello`, then events. The sidecar answers with its own `hello`, then with `ack` lines.
`{"ack": N}` means that the first N event lines of this connection are stored, or were refused with an `error` line
that names the field. An event keeps its id for life: storing an id twice changes nothing.

Most fields may be missing. A field with a wrong value is refused by name. Fields that are not in the schema are
dropped before the event is stored.
"""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec

from tokmon.errors import WireError
from tokmon.wire.instants import rfc3339

PROTOCOL: Final = 1
MAX_LINE: Final = 64 * 1024
"""Bytes of one line, newline included. The extension cuts its texts to far less."""

MAX_TEXT: Final = 2000
"""Characters of an error text."""

Id = Annotated[str, msgspec.Meta(min_length=8, max_length=64)]  # no pattern: that costs 0.4 us a field
Instant = Annotated[datetime, msgspec.Meta(tz=True)]
Name = Annotated[str, msgspec.Meta(max_length=300)]
Text = Annotated[str, msgspec.Meta(max_length=4000)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Amount = Annotated[float, msgspec.Meta(ge=0)]

Attribution = Literal["wrapper", "url", "model", "none"]
"""How provider and model are known: from the wrapped provider (exact), from the credential or the only configured base
URL that matches, from the session's current model, or not at all. A capture with `none` is evidence of no account."""

Via = Literal["fetch", "event", "stream"]
"""Where the extension read the response: the fetch observer, pi's header event, or a frame of a WebSocket stream."""

KeyShape = Literal["ant-oat", "ant-api", "other"]
"""The public prefix of the credential: a plan seat's, a pay-per-use key's, or another. Never more than that."""

UsageKind = Literal["assistant", "cache_warm", "compaction", "branch_summary", "tool_result", "other"]
CostSource = Literal["billed", "estimated", "unknown"]


class Hello(msgspec.Struct, tag_field="kind", tag="hello", omit_defaults=True, gc=False):
    """The first line in each direction. `protocol` is the sender's version; unknown fields are ignored."""

    protocol: Count
    name: Name = ""
    version: Name = ""
    pi: Name | None = None
    pid: Count | None = None


class StatusRequest(msgspec.Struct, tag_field="kind", tag="status", gc=False):
    """Asks for the state of the sidecar, which answers with one line, `{"status": {...}}`. It is not an event."""


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
    account: Name | None = None
    credential: Name | None = None


class Capture(_Event, tag="capture", gc=False):
    """One response as the extension saw it. `http_status` is None if no response came; `error` then says why.

    `error` of a refused request is the text of the provider's error, if it is known.
    """

    attribution: Attribution | None = None  # the default must not be `none`: defaults are left out of lines
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
    """Token counts as pi reports them. The first four do not overlap."""

    input: Count | None = None
    output: Count | None = None
    cache_read: Count | None = None
    cache_write: Count | None = None
    cache_write_1h: Count | None = None
    reasoning: Count | None = None
    total: Count | None = None


class Usage(_Event, tag="usage", gc=False):
    """One billed item, or the error that came instead of it. `cost_usd` is None if the price is unknown, never 0.

    `error_captured` is True if the capture of the response has the text of the error too: it is read there alone.
    """

    what: UsageKind = "assistant"
    response_model: Name | None = None
    response_id: Name | None = None
    entry: Name | None = None
    stop: Name | None = None
    error: Text | None = None
    error_captured: bool | None = None
    tokens: Tokens | None = None
    cost_usd: Amount | None = None
    cost_source: CostSource = "unknown"
    duration_ms: Amount | None = None


Event = Capture | Usage
Line = Hello | StatusRequest | Capture | Usage


class Ack(msgspec.Struct):
    """The first `ack` event lines of this connection are stored or refused."""

    ack: Count


class Refusal(msgspec.Struct, omit_defaults=True):
    """Event line number `line` of this connection was refused. `field` is the wrong field, `error` the reason."""

    error: str
    field: str
    line: Count = 0


_strict = msgspec.json.Decoder(Line)
_mapping = msgspec.json.Decoder(dict[str, Any])
_headers = msgspec.json.Decoder(dict[str, str])
_encoder = msgspec.json.Encoder()

DECODE_ERRORS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode(line: bytes) -> tuple[Line, bool]:
    """The decoded line, and True if it has no fields beyond the schema, so that it can be stored as it was sent.

    Raises WireError, which names the wrong field.
    """
    if not line.lstrip().startswith(b"{"):
        raise WireError("not a JSON object", field="line")
    try:
        return _strict.decode(line), True
    except DECODE_ERRORS:
        return _tolerant(line), False


def _tolerant(line: bytes) -> Line:
    """Decode a line that the strict decoder refused: drop unknown fields; WireError names a wrong known field."""
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
    """A WireError with the field's name. msgspec puts the place at the end: `... - at `$.tokens.input``."""
    message, _, place = str(error).partition(" - at `$")
    field = place.rstrip("`").lstrip(".") or "line"
    if field == "line" and "missing required field `" in message:
        field = message.split("`")[1]
    return WireError(message[:1].lower() + message[1:], field=field)


def headers_of(raw: msgspec.Raw) -> dict[str, str]:
    """The headers of a capture by lower-case name. Raises WireError, which names the header."""
    try:
        headers = _headers.decode(raw)
    except DECODE_ERRORS as error:
        raise WireError("the value of a header must be a string", field=_bad_header(raw)) from error
    names = "".join(headers)
    return headers if names == names.lower() else {name.lower(): value for name, value in headers.items()}


def frame_of(raw: msgspec.Raw) -> dict[str, Any] | None:
    """The stream frame in a capture; None if there is none or if it is not a JSON object."""
    if raw == b"null":
        return None
    try:
        return _mapping.decode(raw)
    except DECODE_ERRORS:
        return None


def _bad_header(raw: msgspec.Raw) -> str:
    try:
        headers = _mapping.decode(raw)
    except DECODE_ERRORS:
        return "headers"
    return next((f"headers.{name[:60]}" for name, value in headers.items() if not isinstance(value, str)), "headers")


def re_encode(event: Event, changes: dict[str, Any], headers: dict[str, str] | None = None) -> bytes:
    """The event as a line without newline, with the fields in `changes` and `headers` (if not None) replaced."""
    if headers is not None:
        changes = {**changes, "headers": msgspec.Raw(_encoder.encode(headers))}
    line = _encoder.encode(msgspec.structs.replace(event, **changes) if changes else event)
    # The encoder writes microseconds; the extension sends milliseconds.
    return line.replace(_encoder.encode(event.ts), _encoder.encode(rfc3339(event.ts.timestamp())), 1)


class _Identified(msgspec.Struct, gc=False):
    id: str


_identified = msgspec.json.Decoder(_Identified)


def id_of(line: bytes) -> str | None:
    """The id of an event's line; None if it has none, or is torn, whatever it begins with."""
    try:
        return _identified.decode(line).id
    except DECODE_ERRORS:
        return None


def encode(line: Line | Ack | Refusal) -> bytes:
    """The line to send, newline included."""
    return _encoder.encode(line) + b"\n"


_SCHEMAS: Final[dict[str, type[Line]]] = {"hello": Hello, "status": StatusRequest, "capture": Capture, "usage": Usage}
