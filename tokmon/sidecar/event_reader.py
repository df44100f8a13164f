"""From an event to its log line and its evidence: the account type, the reading, and the texts that hold secrets.

The figures differ in every response, so every response is read. What follows from the names in an event (its account
and type, and whether a name holds a secret) is cached.
"""

from operator import attrgetter
from typing import Final

from tokmon import families
from tokmon.evidence.log_line import (
    GENERIC_TYPE,
    SOURCE,
    UNATTRIBUTED,
    Evidence,
    Stamp,
    capture_fields,
    named_account,
    usage_fields,
)
from tokmon.evidence.model import RawResponse, Reading
from tokmon.pi.accounts import built_in_account
from tokmon.pi.models_json import ConfiguredAccount, account_type
from tokmon.store.codec import encode
from tokmon.wire import messages
from tokmon.wire.scrub import scrub

_MAX_SENDERS: Final = 512
_NAMES: Final = ("provider", "model", "api", "member", "host", "mission", "account", "credential", "origin")
_names_of_capture: Final = attrgetter(*_NAMES, "key_shape")
_names_of_usage: Final = attrgetter(*_NAMES[:-1])


Record = tuple[bytes, Evidence | None]
"""What is stored of an event: the line, newline included, and its evidence, if it is any."""


class _Sender:
    """What follows from the names in an event. Ids are not checked for secrets: pi generates them.

    The name of a provider in models.json stays as it is (`xai-production`), so that it is found there.
    """

    def __init__(self, names: tuple[str | None, ...], accounts: dict[str, ConfiguredAccount]) -> None:
        texts = dict(zip(_NAMES, names, strict=False))
        clean = {name: None if text is None else scrub(text) for name, text in texts.items()}
        provider = texts["provider"]
        if provider in accounts:
            clean["provider"] = provider
        self.provider, self.model = clean["provider"], clean["model"]
        self.named, self.credential = clean["account"], clean["credential"]
        self.changes = {name: text for name, text in clean.items() if text is not None and text != texts[name]}
        self._account = accounts.get(provider or "") or built_in_account(provider)
        self._api = texts["api"]
        self._key_shape = None if len(names) <= len(_NAMES) else names[-1]
        self._types: dict[str | None, str | None] = {}
        kind = self.type(None)
        self.type_of_usage = None if kind == GENERIC_TYPE else kind
        """No generic one: an error text has no headers to tell a seat from a key."""

        self.fields_of_usage = encode(usage_fields(None, self.type_of_usage))
        """The fields of a usage event without error, encoded."""

    def type(self, family: str | None) -> str | None:
        """The account type if the headers are of that family."""
        if family not in self._types:
            self._types[family] = account_type(self._account, api=self._api, key_shape=self._key_shape, family=family)
        return self._types[family]


class EventReader:
    """Reads events. `accounts` holds the accounts of pi by name."""

    def __init__(self, accounts: dict[str, ConfiguredAccount]) -> None:
        self._accounts = accounts
        self._senders: dict[tuple[str | None, ...], _Sender] = {}

    def set_accounts(self, accounts: dict[str, ConfiguredAccount]) -> None:
        """Use other accounts from now on."""
        self._accounts = accounts
        self._senders.clear()

    def read(self, event: messages.Event, at: float, line: bytes | None) -> Record:
        """The record of an event at that instant (epoch seconds). Raises WireError if a header is not valid.

        `line` is the event as it was received, None if it has fields that are not stored.
        """
        if isinstance(event, messages.Capture):
            return self._read_capture(event, at, line)
        return self._read_usage(event, at, line)

    def _read_capture(self, event: messages.Capture, at: float, line: bytes | None) -> Record:
        sender = self._sender(_names_of_capture(event))
        error = event.error and scrub(event.error)
        sent = messages.headers_of(event.headers)
        headers = {name: scrub(value) for name, value in sent.items() if families.allowed(name)}
        frame = messages.frame_of(event.frame)
        reading = families.read(RawResponse(event.http_status, headers, at, error, sender.type(None), frame))
        kind = sender.type(reading.family)
        line = _stored(event, line, sender, error, None if headers == sent else headers)
        evidence = _evidence(event, at, sender, reading, kind) if event.attribution != UNATTRIBUTED else None
        return _with_fields(line, encode(capture_fields(reading, kind, at))), evidence

    def _read_usage(self, event: messages.Usage, at: float, line: bytes | None) -> Record:
        sender = self._sender(_names_of_usage(event))
        if event.error is None:
            return _with_fields(_stored(event, line, sender, None, None), sender.fields_of_usage), None
        error = scrub(event.error)
        reading = families.read(RawResponse(None, {}, at, error, sender.type_of_usage))
        line = _stored(event, line, sender, error, None)
        evidence = None if event.error_captured else _evidence(event, at, sender, reading, sender.type_of_usage)
        return _with_fields(line, encode(usage_fields(reading, sender.type_of_usage))), evidence

    def _sender(self, names: tuple[str | None, ...]) -> _Sender:
        sender = self._senders.get(names)
        if sender is None:
            if len(self._senders) >= _MAX_SENDERS:
                self._senders.clear()
            sender = self._senders[names] = _Sender(names, self._accounts)
        return sender


def _stored(
    event: messages.Event, line: bytes | None, sender: _Sender, error: str | None, headers: dict[str, str] | None
) -> bytes:
    """The event as it was received, if nothing in it must be changed; `headers` are other ones to store."""
    if line is not None and not sender.changes and headers is None and error == event.error:
        return line
    changes = sender.changes if error == event.error else {**sender.changes, "error": error}
    return messages.re_encode(event, changes, headers)


def _with_fields(line: bytes, fields: bytes) -> bytes:
    """The line of the log: the event with more fields, which are an object of JSON."""
    return b"%b,%b\n" % (line[:-1], fields[1:])


def _evidence(event: messages.Event, at: float, sender: _Sender, reading: Reading, kind: str | None) -> Evidence | None:
    if not sender.provider:
        return None
    return Evidence(
        provider=sender.provider,
        stamp=Stamp(round(at, 3), event.id, SOURCE),
        type=kind,
        status=reading.status,
        substatus=reading.substatus,
        scope=reading.scope,
        model=sender.model,
        http_status=event.http_status if isinstance(event, messages.Capture) else None,
        claim=reading.claim,
        binding=reading.binding,
        blocked_until=reading.blocked_until,
        windows=reading.windows,
        overage=reading.overage,
        plan=reading.plan,
        credits=reading.credits,
        account=named_account(kind, sender.named, reading.account),
        credential=sender.credential,
    )
