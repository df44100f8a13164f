"""As much of RFC 6455 as Codex over a WebSocket needs: the handshake, text frames, close."""

import base64
import hashlib
from io import BufferedIOBase
from typing import Final

_MAGIC: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT: Final = 1
_BINARY: Final = 2
_CLOSE: Final = 8
_PING: Final = 9


def accept(key: str) -> str:
    """What `sec-websocket-accept` answers to the client's key."""
    return base64.b64encode(hashlib.sha1(f"{key}{_MAGIC}".encode()).digest()).decode()  # noqa: S324 - the protocol's


def message(payload: str, *, binary: bool = False) -> bytes:
    """Build one unmasked frame, of text or binary."""
    return _frame(_BINARY if binary else _TEXT, payload.encode())


def close() -> bytes:
    """Build a close frame with the code of a normal end."""
    return _frame(_CLOSE, (1000).to_bytes(2, "big"))


def _frame(kind: int, data: bytes) -> bytes:
    if len(data) < 126:
        return bytes([0x80 | kind, len(data)]) + data
    if len(data) < 1 << 16:
        return bytes([0x80 | kind, 126]) + len(data).to_bytes(2, "big") + data
    return bytes([0x80 | kind, 127]) + len(data).to_bytes(8, "big") + data


def read_message(stream: BufferedIOBase) -> bytes | None:
    """Read the next text message, joined from its fragments; None where the client closed."""
    payload = b""
    while True:
        head = stream.read(2)
        if len(head) < 2:
            return None
        kind, length = head[0] & 0x0F, head[1] & 0x7F
        if length > 125:
            length = int.from_bytes(stream.read(2 if length == 126 else 8), "big")
        mask = stream.read(4) if head[1] & 0x80 else b"\0\0\0\0"
        data = bytes(byte ^ mask[index % 4] for index, byte in enumerate(stream.read(length)))
        if kind == _CLOSE:
            return None
        if kind >= _PING:
            continue
        payload += data
        if head[0] & 0x80:
            return payload
