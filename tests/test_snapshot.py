import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tokmon.headers import parse_rfc3339
from tokmon.model import Status
from tokmon.snapshot import Snapshot, fold

_WINDOW = st.builds(
    lambda name, used, reset: {"name": name, "utilization": used, "resets_at": reset},
    st.sampled_from(["5h", "7d", "7d_oi"]),
    st.sampled_from([None, 0.1, 0.9, 1.2]),
    st.sampled_from([None, "2026-11-22T08:00:00Z"]),
)
_LINE = st.builds(
    lambda second, number, provider, status, windows, overage, kind: {
        "ts": f"2026-11-22T06:00:{second:02}Z",
        "id": f"event-{number:04}-{second}",
        "provider": provider,
        "type": kind,
        "source": "piggyback",
        "status": status,
        "windows": windows,
        "overage": overage,
    },
    st.integers(0, 5),
    st.integers(0, 50),
    st.sampled_from(["a", "b", "", None]),
    st.sampled_from([*map(str, Status), "gossip", None]),
    st.lists(_WINDOW, max_size=3, unique_by=lambda window: str(window["name"])),
    st.sampled_from([None, {"status": "allowed", "in_use": True}]),
    st.sampled_from([None, "teams-direct", "xai"]),
)


def _bytes(lines: list[dict[str, Any]]) -> str:
    return json.dumps(fold(Snapshot(), lines).to_json())


@given(st.lists(_LINE, max_size=12, unique_by=lambda line: str(line["id"])), st.randoms())
def test_any_order_and_any_repetition_give_the_same_bytes(lines: list[dict[str, Any]], random: Any) -> None:
    again = lines + [line for line in lines if random.random() < 0.5]
    random.shuffle(again)
    assert _bytes(again) == _bytes(lines)


@given(st.lists(_LINE, max_size=12))
def test_what_is_saved_loads_as_itself(lines: list[dict[str, Any]]) -> None:
    snapshot = fold(Snapshot(), lines)
    saved = json.loads(json.dumps(snapshot.to_json()))
    assert Snapshot.from_json(saved).to_json() == snapshot.to_json()


@given(st.lists(_LINE, max_size=8), st.lists(_LINE, max_size=8))
def test_going_on_from_a_saved_one_is_the_same_as_reading_it_all(
    first: list[dict[str, Any]], second: list[dict[str, Any]]
) -> None:
    half = Snapshot.from_json(json.loads(json.dumps(fold(Snapshot(), first).to_json())))
    assert json.dumps(fold(half, second).to_json()) == _bytes(first + second)


def _line(second: int, **fields: Any) -> dict[str, Any]:
    return {"ts": f"2026-11-22T06:00:{second:02}Z", "id": f"event-{second:04}", "provider": "a"} | fields


def test_an_error_erases_no_window() -> None:
    windows = [{"name": "5h", "utilization": 0.4}]
    account = fold(
        Snapshot(), [_line(1, status="allowed", windows=windows), _line(2, status="invalid_key", windows=[])]
    ).accounts["a"]
    assert account.last is not None
    assert account.last.status is Status.INVALID_KEY
    assert account.windows["5h"].window.utilization == 0.4


def test_a_decrease_in_the_middle_of_a_window_is_legal() -> None:
    lines = [_line(second, windows=[{"name": "7d", "utilization": used}]) for second, used in ((1, 0.6), (2, 0.02))]
    assert fold(Snapshot(), lines).accounts["a"].windows["7d"].window.utilization == 0.02


def test_a_throttled_request_says_nothing_about_the_account() -> None:
    lines = [_line(1, status="allowed"), _line(2, status="rejected", scope="request")]
    account = fold(Snapshot(), lines).accounts["a"]
    assert account.last is not None
    assert account.last.status is Status.ALLOWED


def test_a_line_of_the_older_format_is_read_as_a_probe() -> None:
    line = {
        "ts": "2026-04-06T14:23:01Z",
        "provider": "team-vigilio",
        "type": "teams-direct",
        "status": "allowed",
        "utilization_5h": 0.42,
        "utilization_7d": 0.61,
        "reset_in_seconds": 14400,
    }
    account = fold(Snapshot(), [line]).accounts["team-vigilio"]
    assert account.windows["5h"].stamp.source == "probe"
    assert account.windows["5h"].window.resets_at == parse_rfc3339("2026-04-06T18:23:01Z")
    assert (account.windows["7d"].window.utilization, account.windows["7d"].window.resets_at) == (0.61, None)
