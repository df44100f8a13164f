"""The protocols the loopback provider speaks, one module each."""

from typing import Final

from tests.pi.protocols import anthropic, bedrock, codex, completions, gemini, responses
from tests.pi.protocols.base import Protocol

ALL: Final[tuple[Protocol, ...]] = (
    anthropic.PROTOCOL,
    completions.PROTOCOL,
    codex.PROTOCOL,
    responses.PROTOCOL,
    gemini.PROTOCOL,
    bedrock.PROTOCOL,
)


def of_path(path: str) -> Protocol | None:
    """The protocol that is spoken at this request path."""
    return next((protocol for protocol in ALL if protocol.speaks(path)), None)


def of_api(api: str) -> Protocol:
    """The protocol by pi's name for it."""
    return next(protocol for protocol in ALL if protocol.api == api)
