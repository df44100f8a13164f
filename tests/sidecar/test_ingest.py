"""Reading a run of lines at once gives what reading each line by itself gives."""

import json
import random
import tracemalloc

import pytest

from tests.bench import events
from tests.sidecar.running import capture
from tokmon.errors import WireError
from tokmon.pi.models_json import ConfiguredAccount
from tokmon.sidecar.dedup import RecentIds
from tokmon.sidecar.group_commit import Pending
from tokmon.sidecar.ingest import Ingest

Refusals = list[tuple[int, str]]


def stored(pending: dict[str, Pending]) -> dict[str, list[bytes]]:
    """The lines for each log, in any order: their instants say which was first."""
    return {kind: sorted(map(bytes.strip, b"".join(found.blocks).split(b"\n"))) for kind, found in pending.items()}


def one_by_one(lines: list[bytes]) -> tuple[dict[str, list[bytes]], Refusals]:
    """What the logs get if nothing is remembered from one line to the next."""
    pending = {"capture": Pending(), "usage": Pending()}
    recent, refused = RecentIds(), Refusals()
    for place, line in enumerate(lines):
        taken = Ingest({}, recent, pending)

        def refuse(_place: int, _line: bytes, error: WireError, *, place: int = place) -> None:
            refused.append((place, error.field))

        taken.add_lines(line + b"\n", refuse)
    return stored(pending), refused


def at_once(lines: list[bytes], size: int) -> tuple[dict[str, list[bytes]], Refusals]:
    """The same in chunks of so many lines, by one reader."""
    pending = {"capture": Pending(), "usage": Pending()}
    taken, refused = Ingest({}, RecentIds(), pending), Refusals()
    for begin in range(0, len(lines), size):

        def refuse(place: int, _line: bytes, error: WireError, *, begin: int = begin) -> None:
            refused.append((begin + place, error.field))

        chunk = lines[begin : begin + size]
        data = b"".join(line + b"\n" for line in chunk)
        assert taken.add_lines(data + b'{"kind":', refuse) == (len(chunk), len(data)), "an open line is left"
    for found in pending.values():
        assert found.lines == b"".join(found.blocks).count(b"\n")
        assert found.size == sum(map(len, found.blocks))
    return stored(pending), sorted(refused)


def spoilt(line: bytes, rng: random.Random) -> bytes:
    """The line with something wrong in the part that changes, which recurs for no other line."""
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


@pytest.mark.parametrize("seed", range(12))
def test_a_run_of_lines_reads_as_each_of_its_lines_does(seed: int) -> None:
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


def test_two_wrong_lines_do_not_make_up_for_each_other() -> None:
    """One line that would give two events, beside one that would give none: neither is taken for the other's."""
    good = [line[:-1] for line in events.turns(0, 8, "m")]
    usage = good[3]
    double = usage.replace(
        b',"provider":', b'\n{"kind":"usage","id":"smuggled","ts":"2026-11-22T06:00:00Z","provider":', 1
    )
    pieces = [*good, *double.split(b"\n"), good[5]]
    expected, refused = one_by_one(pieces)
    assert at_once(pieces, len(pieces)) == (expected, refused)
    assert refused, "the first half is no whole event"


def test_a_provider_of_models_json_keeps_its_name_even_if_it_looks_like_a_key() -> None:
    pending = {"capture": Pending(), "usage": Pending()}
    taken = Ingest({"xai-production": ConfiguredAccount()}, RecentIds(), pending)
    names = ("xai-production", "xai-0123456789abcdef")
    data = b"".join(json.dumps(capture(number, provider=name)).encode() + b"\n" for number, name in enumerate(names))
    taken.add_lines(data, lambda *_: pytest.fail("refused"))
    found = [json.loads(line)["provider"] for line in b"".join(pending["capture"].blocks).splitlines()]
    assert found == ["xai-production", "[secret]"]


def test_sessions_that_share_a_reading_keep_their_own_provider_and_type() -> None:
    """The headers of two accounts may be the same to the letter; what kind of account it is is not in them."""
    pending = {"capture": Pending(), "usage": Pending()}
    taken = Ingest({"mine": ConfiguredAccount(), "api": ConfiguredAccount(key_shape="ant-api")}, RecentIds(), pending)
    said = [("mine", "ant-oat"), ("api", "ant-api"), ("mine", "ant-oat"), ("other", None)]
    events = [
        capture(number, provider=name, key_shape=shape, session=f"s{number}")
        for number, (name, shape) in enumerate(said)
    ]
    data = b"".join(json.dumps(event).encode() + b"\n" for event in events)
    taken.add_lines(data, lambda *_: pytest.fail("refused"))
    found = [json.loads(line) for line in b"".join(pending["capture"].blocks).splitlines()]
    alone, _ = one_by_one([json.dumps(events[0]).encode()])
    assert [line["provider"] for line in found] == [name for name, _ in said]
    assert found[0]["type"] == found[2]["type"] != found[1]["type"]
    assert json.loads(alone["capture"][-1])["utilization_5h"] == found[0]["utilization_5h"] is not None


def test_long_lines_are_not_remembered() -> None:
    """A client that says something else each time, at length, does not fill the memory."""
    pending = {"capture": Pending(), "usage": Pending()}
    taken = Ingest({}, RecentIds(), pending)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(700):
        headers = {f"anthropic-ratelimit-unified-{number}-{each}": "x" * 4000 for each in range(8)}
        taken.add_lines(
            json.dumps(capture(number, headers=headers), separators=(",", ":")).encode() + b"\n",
            lambda *_: pytest.fail("refused"),
        )
        taken.drain_evidence()
        for found in pending.values():
            found.retain(b"")
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 20 << 20
