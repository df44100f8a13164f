"""What a member publishes, read by others: nothing private, nothing lost, nothing believed that is malformed."""

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pool.members import KEY
from tests.test_snapshot import FULL_LINE
from tokmon.evidence.account import account_json
from tokmon.evidence.identities import PartKey
from tokmon.evidence.shared import Doubt, with_others
from tokmon.evidence.snapshot import Snapshot, fold
from tokmon.pool.folder import FILES
from tokmon.pool.key import hash_of
from tokmon.pool.publication import AHEAD_S, Encoder, Publication, RunningSessions, decode
from tokmon.selection.assessment import assess
from tokmon.selection.policy import Policy
from tokmon.store.codec import encode, parse
from tokmon.wire.instants import parse_rfc3339, rfc3339

NOW = parse_rfc3339("2026-11-22T06:30:00Z")
MINE = PartKey(credential="key-1")

Line = dict[str, Any]
Lines = list[Line]

LINES = st.lists(
    FULL_LINE.map(lambda line: line | {"provider": "a", "account": "org", "account_hint": None, "credential": "key-1"}),
    min_size=1,
    max_size=9,
)


def hashed(text: str) -> str:
    return hash_of(KEY, f"account:{text}")


def published(snapshot: Snapshot, sessions: tuple[RunningSessions, ...] = ()) -> dict[str, Any]:
    return parse(encode(Encoder(KEY).value(snapshot, sessions, NOW))) or {}


def read(snapshot: Snapshot, member: str = "nadja") -> Publication:
    return decode(published(snapshot), member, None, NOW)


def merged(own: Snapshot, *others: Lines, aliases: tuple[str, ...] = ()) -> Snapshot:
    """The own snapshot with what others published, each of them a member."""
    snapshots = {f"member-{number}": read(fold(Snapshot(), lines), "m").snapshot for number, lines in enumerate(others)}
    return with_others(own, snapshots, {"a": MINE}, aliases, hashed)


def form(snapshot: Snapshot) -> str:
    return json.dumps(account_json(snapshot.accounts["a"]))


@given(LINES)
def test_what_a_member_published_and_reads_back_changes_nothing(lines: Lines) -> None:
    own = fold(Snapshot(), lines)
    before = form(own)
    both = with_others(own, {"nadja": read(own).snapshot}, {"a": MINE}, (), hashed)
    assert form(both) == before
    assert not [known for known in both.accounts["a"].windows.values() if known.stamp.member]


@given(LINES, st.integers(0, 9), st.randoms())
def test_neither_number_nor_order_of_the_members_changes_what_is_known(lines: Lines, at: int, chance: Random) -> None:
    lines = [line | {"id": f"nonce-{number}"} for number, line in enumerate(lines)]
    own = fold(Snapshot(), lines[:at])
    parts: list[Lines] = [[], [], []]
    for line in lines[at:]:
        parts[chance.randrange(3)].append(line)
    known = [part for part in parts if part]
    again = merged(own, *chance.sample(known, len(known)))
    if known or at:
        assert form(again) == form(merged(own, lines[at:])) == form(fold(Snapshot(), lines))


@given(LINES, st.data())
def test_no_publication_however_damaged_stops_a_choice(lines: Lines, data: st.DataObject) -> None:
    value = published(fold(Snapshot(), lines), (RunningSessions("a", 2, NOW),))
    spoil(value, data)
    try:
        publication = decode(parse(json.dumps(value).encode()) or {}, "nadja", None, NOW)
    except ValueError:
        return
    shared = with_others(Snapshot(), {"nadja": publication.snapshot}, {"a": MINE}, ("b",), hashed)
    for name, account in shared.accounts.items():
        assess(name, account, Policy(chain=(name,)), NOW)


ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, -1, 2**70, 1e308, "", "9999-12-31T23:59:59Z", [], {}, [[]], {"ts": 5}, True, "\u202e\x1b"]
)


def spoil(value: Any, data: st.DataObject) -> None:
    """Put something odd in the place of anything."""
    while isinstance(value, (dict, list)) and value:
        key = data.draw(st.sampled_from([*value] if isinstance(value, dict) else range(len(value))))
        if not isinstance(value[key], (dict, list)) or data.draw(st.integers(0, 5)) == 0:
            value[key] = data.draw(ODD)
            return
        value = value[key]


def line(**fields: Any) -> Line:
    windows = [
        {"name": "5h", "utilization": 0.3, "resets_at": "2026-11-22T09:00:00Z"},
        {"name": "7d", "utilization": 0.4, "resets_at": "2026-11-24T09:00:00Z"},
    ]
    ts = {"ts": rfc3339(NOW - 60), "id": "nonce-1", "provider": "a", "source": "piggyback"}
    return {**ts, "status": "allowed", "type": "teams-direct", "windows": windows, **fields}


@pytest.mark.parametrize(
    ("mine", "theirs", "same"),
    [
        ({"credential": "key-1"}, {"credential": "key-1", "windows": []}, True),
        ({"credential": "key-1", "windows": []}, {"credential": "key-2"}, False),
        ({"account": "org"}, {"account": "org"}, True),
        ({"account": "org"}, {"account": "org", "windows": []}, None),
        ({"account": "org"}, {"account": "other"}, False),
        ({"account": "org", "credential": "key-1"}, {"account": "other", "credential": "key-1"}, False),
        ({"account": "org", "credential": "key-1"}, {"account": "org", "credential": "key-2"}, True),
        ({}, {}, True),
        ({"windows": []}, {}, None),
    ],
    ids=["one key", "two keys", "windows to the second", "organisation alone", "two organisations",
         "one key in two organisations", "a renewed key with the same windows", "windows alone", "nothing known"],
)  # fmt: skip
def test_two_accounts_of_one_name_are_merged_only_where_they_are_one(
    mine: Line,
    theirs: Line,
    same: bool | None,  # noqa: FBT001 - a parameter of the test
) -> None:
    doubts: list[Doubt] = []
    own = fold(Snapshot(), [line(**{"id": "nonce-0", "ts": rfc3339(NOW - 600), **mine})])
    shared = with_others(own, {"nadja": read(fold(Snapshot(), [line(**theirs)])).snapshot}, {}, (), hashed, doubts)
    newest = shared.accounts["a"].last
    assert newest is not None
    assert (newest.stamp.member == "nadja") is (same is True)
    assert doubts == ([Doubt("a", "nadja")] if same is None else [])


def test_in_doubt_an_alias_merges() -> None:
    own = fold(Snapshot(), [line(windows=[], account="org")])
    shared = merged(own, [line(account="org", id="nonce-2", ts=rfc3339(NOW - 5))], aliases=("a",))
    assert shared.accounts["a"].windows["7d"].window.utilization == 0.4
    shared = merged(own, [line(account="other", id="nonce-2", ts=rfc3339(NOW - 5))], aliases=("a",))
    assert not shared.accounts["a"].windows, "another organisation is another account, whatever the owner says"


def test_the_refused_login_of_another_member_says_nothing_about_ones_own() -> None:
    own = fold(Snapshot(), [line(account="org")])
    refused = line(account="org", status="invalid_key", windows=[], id="nonce-2", ts=rfc3339(NOW - 5))
    shared = merged(own, [line(account="org", id="nonce-1"), refused])
    last = shared.accounts["a"].last
    assert last is not None
    assert last.status == "allowed"
    assert not shared.accounts["a"].history.key_refusals


def test_a_refused_key_is_refused_for_all_which_have_it() -> None:
    refused = line(account="org", credential="key-1", status="invalid_key", windows=[])
    assert merged(Snapshot(), [refused]).accounts["a"].history.key_refusals


@pytest.mark.parametrize("ahead", [AHEAD_S - 5, AHEAD_S + 5])
def test_an_instant_from_the_future_is_not_believed(ahead: float) -> None:
    publication = read(fold(Snapshot(), [line(ts=rfc3339(NOW + ahead))]))
    assert bool(publication.snapshot.providers) is (ahead < AHEAD_S)
    assert publication.problems == (() if ahead < AHEAD_S else ("`a`: an instant from the future",))


def test_nothing_private_is_published() -> None:
    secrets = {"account": "org-secret", "model": "sk-ant-api03-" + "x" * 40, "session": "session-1", "mission": "m-1"}
    text = encode(published(fold(Snapshot(), [line(**secrets, error="text-1", id="/home/nadja/file")]))).decode()
    assert not [secret for secret in ("org-secret", "sk-ant", "session-1", "m-1", "text-1", "/home") if secret in text]


def test_of_many_accounts_those_with_the_newest_evidence_are_published() -> None:
    lines = [line(provider=f"account-{n}", id=f"nonce-{n}", ts=rfc3339(NOW - 5000 + n)) for n in range(1000)]
    value = published(fold(Snapshot(), lines))
    assert len(encode(value)) < FILES["evidence"]
    assert next(iter(value["accounts"])) == "account-999"
    assert 50 < len(value["accounts"]) < 1000
