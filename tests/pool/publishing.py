"""Another member of the pool, which publishes what the tests say, for screens in the test's own home."""

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.commands.logbook import NOW, Record, configure
from tests.pool.members import KEY
from tokmon import paths
from tokmon.evidence.snapshot import Snapshot, fold
from tokmon.pool import folder
from tokmon.pool.key import hash_of
from tokmon.pool.publication import Encoder, RunningSessions, decode
from tokmon.store.codec import encode, parse

SEATS = {"team-a": "sk-ant-oat01-aaaaaaaaaaaa", "team-b": "sk-ant-oat01-bbbbbbbbbbbb"}


def be_member(name: str, folder_of_all: Path, monkeypatch: pytest.MonkeyPatch, accounts: dict[str, str]) -> None:
    """Make the home of this test that of a member with these accounts and keys, in a pool of its own user."""
    monkeypatch.setenv("TOKMON_MEMBER", name)
    monkeypatch.setenv("TOKMON_POOL_DIR", str(folder_of_all / "pool"))
    locations = paths.find()
    locations.state.mkdir(parents=True, mode=0o700, exist_ok=True)
    (locations.state / "identity.key").write_bytes(KEY)
    (locations.state / "identity.key").chmod(0o600)
    seats = {account.replace("-", "_"): seat(key) for account, key in accounts.items()}
    configure(**seats)


def seat(key: str) -> dict[str, Any]:
    # Without a base URL no provider can be probed.
    return {"api": "anthropic-messages", "apiKey": key, "models": [{"id": "claude-sonnet-4-6"}]}


def publish(member: str, *lines: Record, sessions: Iterable[RunningSessions] = ()) -> Path:
    """Publish the evidence in these lines, as that member's sidecar does; the file."""
    known = fold(Snapshot(), [with_credential(line) for line in lines])
    return publish_value(member, Encoder(KEY).value(known, sessions, time.time()))


def as_published(member: str, *lines: Record) -> Snapshot:
    """The evidence in these lines as others read it of that member, at NOW; without lines that no log can hold."""
    logged = [record for line in lines if (record := parse(json.dumps(line).encode())) is not None]
    value = parse(encode(Encoder(KEY).value(fold(Snapshot(), logged), (), NOW)))
    assert value is not None
    return decode(value, member, None, NOW).snapshot


def publish_value(member: str, value: object) -> Path:
    """Publish this content, whatever it is."""
    target = folder_of(member)
    if isinstance(value, dict):
        folder.write(target, "evidence", value)
    else:
        (target / "evidence.json").write_text(json.dumps(value), encoding="utf-8")
    return target / "evidence.json"


def folder_of(member: str) -> Path:
    target = Path(os.environ["TOKMON_POOL_DIR"]) / member
    target.mkdir(parents=True, mode=0o700, exist_ok=True)
    return target


def with_credential(line: Record) -> Record:
    """The line, of the key that this account has here."""
    key = SEATS.get(line["provider"])
    return line if key is None else {"account": "org-1", "credential": hash_of(KEY, key), **line}
