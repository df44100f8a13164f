"""A batch of lines is stored exactly like each of its lines."""

import json
import random
import tracemalloc

import pytest

from tests.bench import events
from tests.sidecar.running import capture, usage
from tokmon.errors import WireError
from tokmon.evidence.snapshot import Snapshot, fold
from tokmon.pi.models_json import ConfiguredAccount
from tokmon.sidecar.dedup import RecentIds
from tokmon.sidecar.group_commit import Pending
from tokmon.sidecar.ingest import Ingest

Refusals = list[tuple[int, str]]


def stored(pending: dict[str, Pending]) -> dict[str, list[bytes]]:
    """The lines of each log, sorted, since their order does not matter."""
    return {kind: sorted(map(bytes.strip, b"".join(log.blocks).split(b"\n"))) for kind, log in pending.items()}


def one_by_one(lines: list[bytes]) -> tuple[dict[str, list[bytes]], Refusals]:
    """The log lines if nothing is cached from one line to the next."""
    pending = {"capture": Pending(), "usage": Pending()}
    recent, refused = RecentIds(), Refusals()
    for place, line in enumerate(lines):
        ingest = Ingest({}, recent, pending)

        def refuse(_place: int, _line: bytes, error: WireError, *, place: int = place) -> None:
            refused.append((place, error.field))

        ingest.add_lines(line + b"\n", refuse)
    return stored(pending), refused


def at_once(lines: list[bytes], size: int) -> tuple[dict[str, list[bytes]], Refusals]:
    """The log lines if one `Ingest` gets chunks of that many lines."""
    pending = {"capture": Pending(), "usage": Pending()}
    ingest, refused = Ingest({}, RecentIds(), pending), Refusals()
    for begin in range(0, len(lines), size):

        def refuse(place: int, _line: bytes, error: WireError, *, begin: int = begin) -> None:
            refused.append((begin + place, error.field))

        chunk = lines[begin : begin + size]
        data = b"".join(line + b"\n" for line in chunk)
        assert ingest.add_lines(data + b'{"kind":', refuse) == (len(chunk), len(data)), "an open line is left"
    for log in pending.values():
        assert log.lines == b"".join(log.blocks).count(b"\n")
        assert log.size == sum(map(len, log.blocks))
    return stored(pending), sorted(refused)


def spoilt(line: bytes, rng: random.Random) -> bytes:
    """The line with a fault in its changing fields."""
    return rng.choice(
        (
            line[:40],
            line.replace(b'"ts":"2026', b'"ts":"1926', 1),
            line.replace(b'"ts":"2026', b'"ts":"2026-99', 1),
            line.replace(b'"id":"', b'"id":7,"no":"', 1),
            line.replace(b'"id":"', b'"beyond":1,"id":"', 1),
            line.replace(b',"provider":', b'}{"id":"x","provider":', 1),
            line.replace(b',"provider":', b'","provider":', 1),
            line.replace(b'{"kind":"usage"', b'{"kind":"capture"').replace(b'{"kind":"capture"', b'{"kind":"usage"'),
            line.replace(b'"id":"', b'"id":"\x01', 1),
            b" " + line,
            b"[]",
            b"\xff\xfe",
        )
    )


@pytest.mark.parametrize("seed", range(8))
def test_batch_of_lines_is_stored_like_each_of_its_lines(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - a test's choices, the same every time
    lines = [line[:-1] for client in range(3) for line in events.turns(client, 300, f"s{seed}")]
    for _ in range(rng.randrange(60)):
        place = rng.randrange(len(lines))
        lines.insert(place, spoilt(lines[place], rng))
    for _ in range(rng.randrange(20)):
        lines.insert(rng.randrange(len(lines)), rng.choice(lines))
    expected, refused = one_by_one(lines)
    assert at_once(lines, rng.choice((1, 7, 64, len(lines)))) == (expected, refused)
    assert len(expected["capture"]) > 400


def test_two_invalid_lines_do_not_complete_each_other() -> None:
    """One line that would give two events, and one that would give none."""
    good = [line[:-1] for line in events.turns(0, 8, "m")]
    usage = good[3]
    double = usage.replace(
        b',"provider":', b'\n{"kind":"usage","id":"smuggled","ts":"2026-11-22T06:00:00Z","provider":', 1
    )
    pieces = [*good, *double.split(b"\n"), good[5]]
    expected, refused = one_by_one(pieces)
    assert at_once(pieces, len(pieces)) == (expected, refused)
    assert refused, "the first half is not a whole event"


def test_provider_of_models_json_keeps_its_name_even_if_it_looks_like_a_key() -> None:
    pending = {"capture": Pending(), "usage": Pending()}
    ingest = Ingest({"xai-production": ConfiguredAccount()}, RecentIds(), pending)
    names = ("xai-production", "xai-0123456789abcdef")
    data = b"".join(json.dumps(capture(number, provider=name)).encode() + b"\n" for number, name in enumerate(names))
    ingest.add_lines(data, lambda *_: pytest.fail("refused"))
    stored_names = [json.loads(line)["provider"] for line in b"".join(pending["capture"].blocks).splitlines()]
    assert stored_names == ["xai-production", "[secret]"]


def test_an_error_has_the_type_of_its_account_or_none() -> None:
    """An error text has no headers and no key: it cannot tell a seat from a paid key."""
    pending = {"capture": Pending(), "usage": Pending()}
    known = {"seat": ConfiguredAccount(key_shape="ant-oat", api="anthropic-messages")}
    ingest = Ingest(known, RecentIds(), pending)
    error = {"stop": "error", "error": "401 invalid x-api-key", "api": "anthropic-messages"}
    names = ("seat", "by-command", "anthropic", "xai")
    events = [capture(number, provider=name, key_shape="ant-oat") for number, name in enumerate(names)]
    events += [usage(len(names) + number, provider=name, **error) for number, name in enumerate(names)]
    ingest.add_lines(
        b"".join(json.dumps(event).encode() + b"\n" for event in events), lambda *_: pytest.fail("refused")
    )
    lines = [json.loads(line) for log in pending.values() for line in b"".join(log.blocks).splitlines()]
    types = {name: [line.get("type") for line in lines if line["provider"] == name] for name in names}
    assert types == {
        "seat": ["teams-direct", "teams-direct"],
        "by-command": ["teams-direct", None],
        "anthropic": ["teams-direct", None],
        "xai": ["xai", "xai"],
    }


def test_sessions_with_equal_headers_keep_their_own_provider_and_type() -> None:
    """Two accounts may send the same headers, which do not contain the account type."""
    pending = {"capture": Pending(), "usage": Pending()}
    ingest = Ingest({"mine": ConfiguredAccount(), "api": ConfiguredAccount(key_shape="ant-api")}, RecentIds(), pending)
    sessions = [("mine", "ant-oat"), ("api", "ant-api"), ("mine", "ant-oat"), ("other", None)]
    events = [
        capture(number, provider=name, key_shape=shape, session=f"s{number}")
        for number, (name, shape) in enumerate(sessions)
    ]
    data = b"".join(json.dumps(event).encode() + b"\n" for event in events)
    ingest.add_lines(data, lambda *_: pytest.fail("refused"))
    lines = [json.loads(line) for line in b"".join(pending["capture"].blocks).splitlines()]
    alone, _ = one_by_one([json.dumps(events[0]).encode()])
    assert [line["provider"] for line in lines] == [name for name, _ in sessions]
    assert lines[0]["type"] == lines[2]["type"] != lines[1]["type"]
    assert json.loads(alone["capture"][-1])["utilization_5h"] == lines[0]["utilization_5h"] is not None


def test_an_event_that_belongs_to_no_account_is_stored_and_is_no_evidence() -> None:
    """Also if it names an account, and if its line is written anew because it holds a secret."""
    pending = {"capture": Pending(), "usage": Pending()}
    ingest = Ingest({}, RecentIds(), pending)
    secret = "sk-ant-api03-0123456789"  # noqa: S105 - made up
    events = [
        capture(1, attribution="none"),
        capture(2, attribution="none", mission=secret),
        capture(3, attribution="none", provider=None, http_status=401, error="invalid x-api-key"),
    ]
    data = b"".join(json.dumps(event).encode() + b"\n" for event in events)
    ingest.add_lines(data, lambda *_: pytest.fail("refused"))
    lines = [json.loads(line) for line in b"".join(pending["capture"].blocks).splitlines()]
    assert [line["attribution"] for line in lines] == ["none"] * 3
    assert fold(Snapshot(), lines).accounts == {}
    assert ingest.drain_evidence() == []


def test_long_lines_are_not_cached() -> None:
    """A client that sends other long headers each time does not fill the memory."""
    pending = {"capture": Pending(), "usage": Pending()}
    ingest = Ingest({}, RecentIds(), pending)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(700):
        headers = {f"anthropic-ratelimit-unified-{number}-{index}": "x" * 4000 for index in range(8)}
        ingest.add_lines(
            json.dumps(capture(number, headers=headers), separators=(",", ":")).encode() + b"\n",
            lambda *_: pytest.fail("refused"),
        )
        ingest.drain_evidence()
        for log in pending.values():
            log.retain(b"")
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 20 << 20
