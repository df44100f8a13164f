"""From an event to its template: the account type, the reading, and the texts that hold secrets.

Equal responses of one account type (headers, status, error, frame) give the same reading, so readings are cached:
in a busy hour nearly every capture of a plan repeats the headers of an earlier one. Where it takes a second reading to
see that the instant of the response does not matter, that is done from the second equal response on.
"""

from datetime import UTC, datetime
from typing import Final

from tokmon import families
from tokmon.evidence.log_line import GENERIC_TYPE, UNATTRIBUTED, next_reset, usage_fields
from tokmon.evidence.model import RawResponse, Reading
from tokmon.pi.accounts import built_in_account
from tokmon.pi.models_json import ConfiguredAccount, account_type
from tokmon.sidecar.group_commit import Pending
from tokmon.sidecar.templates import EventTemplate, ParsedResponse, encode_suffix
from tokmon.wire import messages
from tokmon.wire.scrub import scrub

_MAX_RESPONSES: Final = 64
_MAX_TYPES: Final = 512
_MAX_READ_ONCE: Final = 1024
_MAX_CACHED: Final = 4096
"""Bytes of headers and frame of a cached response: a hostile client must not fill the memory."""

_TEXTS: Final = ("mission", "provider", "model", "member", "host", "api", "error", "origin", "account", "credential")


class EventReader:
    """Makes templates of events, with caches. `accounts` holds the accounts of pi by name."""

    def __init__(self, accounts: dict[str, ConfiguredAccount], pending: dict[str, Pending]) -> None:
        self._accounts = accounts
        self._pending = pending
        self._responses: dict[tuple[object, ...], ParsedResponse] = {}
        self._read_once: set[int] = set()
        self._types: dict[tuple[str | None, ...], str | None] = {}

    def set_accounts(self, accounts: dict[str, ConfiguredAccount]) -> None:
        """Use other accounts from now on."""
        self._accounts = accounts
        self._responses.clear()
        self._types.clear()

    def read(self, event: messages.Event) -> EventTemplate:
        """The template of an event. Raises WireError if a header of a capture is not valid."""
        return self._read_capture(event) if isinstance(event, messages.Capture) else self._read_usage(event)

    def _read_capture(self, event: messages.Capture) -> EventTemplate:
        changes = self._scrubbed(event)
        response = self._response(event, changes.get("error", event.error))
        kind = self._type(event, event.key_shape, response.reading.family)
        return EventTemplate(
            reading=response.reading,
            type=kind,
            account=changes.get("account", event.account),
            credential=changes.get("credential", event.credential),
            suffix=response.suffix(kind),
            resets_at=response.resets_at,
            changes=changes,
            headers=response.headers,
            reusable=response.timeless,
            evidence=event.attribution != UNATTRIBUTED,
            provider=changes.get("provider", event.provider),
            model=changes.get("model", event.model),
            http_status=event.http_status,
            log=self._pending["capture"],
        )

    def _read_usage(self, event: messages.Usage) -> EventTemplate:
        changes = self._scrubbed(event)
        kind = self._type(event, None, None)
        if kind == GENERIC_TYPE:
            kind = None  # an error text has no headers to tell a seat from a key
        response = RawResponse(None, {}, event.ts.timestamp(), changes.get("error", event.error), kind)
        error = None if event.error is None else families.read(response)
        return EventTemplate(
            reading=error or Reading(),
            type=kind,
            account=changes.get("account", event.account),
            credential=changes.get("credential", event.credential),
            suffix=encode_suffix(usage_fields(error, kind)),
            changes=changes,
            reusable=error is None or families.is_timeless(response, error),
            evidence=error is not None and not event.error_captured,
            provider=changes.get("provider", event.provider),
            model=changes.get("model", event.model),
            http_status=None,
            log=self._pending["usage"],
        )

    def _response(self, event: messages.Capture, error: str | None) -> ParsedResponse:
        """The parsed response of a capture, from the cache if an equal one was read before."""
        configured = self._type(event, event.key_shape, None)
        key = (bytes(event.headers), event.http_status, error, bytes(event.frame), configured)
        response = self._responses.get(key)
        if response is None:
            response = _parse(event, error, configured, repeats=self._repeats(hash(key)))
            if response.timeless and len(event.headers) + len(event.frame) <= _MAX_CACHED:
                if len(self._responses) >= _MAX_RESPONSES:
                    self._responses.clear()
                self._responses[key] = response
        return response

    def _repeats(self, key: int) -> bool:
        """True if an equal response was read before. Counters that change with every response need no cache."""
        if key in self._read_once:
            return True
        if len(self._read_once) >= _MAX_READ_ONCE:
            self._read_once.clear()
        self._read_once.add(key)
        return False

    def _type(self, event: messages.Event, key_shape: str | None, family: str | None) -> str | None:
        key = (event.provider, event.api, key_shape, family)
        if key not in self._types:
            if len(self._types) >= _MAX_TYPES:
                self._types.clear()
            account = self._accounts.get(event.provider or "") or built_in_account(event.provider)
            self._types[key] = account_type(account, api=event.api, key_shape=key_shape, family=family)
        return self._types[key]

    def _scrubbed(self, event: messages.Event) -> dict[str, str]:
        """The texts of the event that hold a secret, scrubbed. Ids are not checked: pi generates them.

        The name of a provider in models.json stays as it is (`xai-production`), so that it is found there.
        """
        texts = {name: getattr(event, name, None) for name in _TEXTS}
        if event.provider in self._accounts:
            del texts["provider"]
        return {name: clean for name, text in texts.items() if text is not None and (clean := scrub(text)) != text}


def _parse(event: messages.Capture, error: str | None, configured: str | None, *, repeats: bool) -> ParsedResponse:
    sent = messages.headers_of(event.headers)
    allowed = {name: scrub(value) for name, value in sent.items() if families.allowed(name)}
    frame = messages.frame_of(event.frame)
    response = RawResponse(event.http_status, allowed, event.ts.timestamp(), error, configured, frame)
    reading = families.read(response)
    resets_at = next_reset(reading)
    return ParsedResponse(
        reading=reading,
        headers=None if allowed == sent else allowed,
        timeless=families.is_absolute(response) or (repeats and families.is_timeless(response, reading)),
        resets_at=None if resets_at is None else datetime.fromtimestamp(resets_at, UTC),
    )
