import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokmon.evidence.account import account_from_json, account_json
from tokmon.evidence.model import Credits, Scope, Status
from tokmon.evidence.snapshot import Account, Snapshot, fold
from tokmon.wire.instants import parse_rfc3339

_WINDOW = st.builds(
    lambda name, used, reset, more: {"name": name, "utilization": used, "resets_at": reset, **more},
    st.sampled_from(["5h", "7d", "7d_oi"]),
    st.sampled_from([None, 0.1, 0.9, 1.2]),
    st.sampled_from([None, "2026-11-22T08:00:00Z", "2026-11-24T09:00:00Z"]),
    st.sampled_from([{}, {"status": "rejected"}, {"remaining": 0}, {"scope": "model"}]),
)
_CREDITS = st.builds(
    lambda has, balance: {"has_credits": has, "unlimited": False, "balance": balance},
    st.sampled_from([None, True, False]),
    st.sampled_from([None, "0", "12.5"]),
)
_LINE = st.fixed_dictionaries(
    {
        "ts": st.sampled_from(["2026-11-22T06:00:00Z", "2026-11-22T06:00:00.0004Z", "2026-11-22T06:00:01.000600Z"]),
        "provider": st.sampled_from(["a", "b", "", None]),
        "status": st.sampled_from([*map(str, Status), "ok", "error", "gossip", None]),
    },
    optional={
        "account_status": st.sampled_from([None, "gossip", *map(str, Status)]),
        "reason": st.sampled_from([None, "429 Too many requests. Try again in 5m", "Your credit balance is too low"]),
        "id": st.sampled_from(["event-1", "event-2", "event-3"]),
        "type": st.sampled_from([None, "teams-direct", "xai"]),
        "source": st.sampled_from(["piggyback", "pi-check", "probe"]),
        "scope": st.sampled_from([None, "gossip", *map(str, Scope)]),
        "model": st.sampled_from([None, "opus", "sonnet"]),
        "claim": st.sampled_from([None, "five_hour"]),
        "binding_window": st.sampled_from([None, "5h", "7d"]),
        "blocked_until": st.sampled_from([None, "2026-11-22T08:00:00Z", "2026-11-22T09:00:00.1234Z"]),
        "windows": st.lists(_WINDOW, max_size=3),
        "overage": st.sampled_from([None, {"status": "allowed", "in_use": True}, {"status": "rejected"}]),
        "plan": st.sampled_from([None, "pro", "plus"]),
        "account_hint": st.sampled_from([None, "org-1", "org-2"]),
        "account": st.sampled_from([None, "chatgpt-1"]),
        "credential": st.sampled_from([None, "key-1", "key-2"]),
        "credits": st.one_of(st.none(), _CREDITS),
        "utilization_5h": st.sampled_from([None, 0.2]),
        "reset_in_seconds": st.sampled_from([None, 600]),
    },
)
"""Of few values, so that lines of one instant and one id contradict each other, as those without an id may."""


FULL_LINE = st.builds(
    lambda line, model, windows, status: {**line, "model": model, "windows": windows, "status": status},
    _LINE,
    st.sampled_from(["opus", "sonnet"]),
    st.lists(_WINDOW | st.just({"name": "7d_oi", "utilization": 0.1, "scope": "model"}), min_size=1, max_size=3),
    st.sampled_from(["allowed", "rejected", "overloaded", "invalid_key"]),
)
"""Fills many parts of an account."""


def _saved(snapshot: Snapshot) -> dict[str, Any]:
    saved: dict[str, Any] = json.loads(json.dumps(snapshot.to_json()))
    return saved


def _bytes(lines: list[dict[str, Any]]) -> str:
    return json.dumps(fold(Snapshot(), lines).to_json())


@given(st.lists(_LINE, max_size=12), st.randoms())
def test_any_order_and_repetition_of_lines_gives_the_same_snapshot(lines: list[dict[str, Any]], random: Any) -> None:
    again = lines + [line for line in lines if random.random() < 0.5]
    random.shuffle(again)
    assert _bytes(again) == _bytes(lines)


@given(st.lists(_LINE, max_size=8), st.lists(_LINE, max_size=8), st.randoms())
def test_lines_that_belong_to_no_account_change_nothing(
    lines: list[dict[str, Any]], unattributed: list[dict[str, Any]], random: Any
) -> None:
    """Whatever they name and whichever log they are in. Every verdict and choice rests on the snapshot alone."""
    mixed = [*lines, *({**line, "attribution": "none"} for line in unattributed)]
    random.shuffle(mixed)
    assert _bytes(mixed) == _bytes(lines)


@given(st.lists(_LINE, max_size=8), st.lists(_LINE, max_size=8), st.randoms())
def test_an_error_whose_text_is_in_its_capture_is_no_second_reading(
    lines: list[dict[str, Any]], errors: list[dict[str, Any]], random: Any
) -> None:
    """Whatever its text alone would say of the account, and wherever its line stands."""
    mixed = [*lines, *({**line, "kind": "usage", "error_captured": True} for line in errors)]
    random.shuffle(mixed)
    assert _bytes(mixed) == _bytes(lines)


@given(st.lists(_LINE, max_size=12))
def test_saved_snapshot_loads_unchanged(lines: list[dict[str, Any]]) -> None:
    snapshot = fold(Snapshot(), lines)
    assert Snapshot.from_json(_saved(snapshot)).to_json() == snapshot.to_json()


@given(st.lists(st.lists(_LINE, max_size=5), max_size=4), st.randoms())
def test_adding_lines_to_a_saved_snapshot_equals_reading_all_lines(
    parts: list[list[dict[str, Any]]], random: Any
) -> None:
    whole = _bytes([line for part in parts for line in part])
    random.shuffle(parts)
    snapshot = Snapshot()
    for part in parts:
        snapshot = Snapshot.from_json(_saved(fold(snapshot, part)))
    assert json.dumps(snapshot.to_json()) == whole


@given(st.lists(FULL_LINE, max_size=8), st.randoms())
def test_evidence_that_names_its_account_and_evidence_that_does_not_are_one_account(
    lines: list[dict[str, Any]], random: Any
) -> None:
    unnamed = [
        {**line, "provider": "a", "type": random.choice([None, "anthropic", "xai"])}
        | dict.fromkeys(("account", "account_hint", "credential"))
        for line in lines
    ]
    named = [{**line, "account_hint": random.choice([None, "org-1"])} for line in unnamed]
    accounts = [_without_names(fold(Snapshot(), each)) for each in (unnamed, named)]
    assert accounts[0] == accounts[1]


def _without_names(snapshot: Snapshot) -> list[Account]:
    """The account in use, as it is saved, which is without the names of accounts."""
    return [account_from_json("a", account_json(account)) for account in snapshot.accounts.values()]


def _line(second: int, **fields: Any) -> dict[str, Any]:
    return {"ts": f"2026-11-22T06:00:{second:02}Z", "id": f"event-{second:04}", "provider": "a"} | fields


def _account(*lines: dict[str, Any]) -> Account:
    return fold(Snapshot(), lines).accounts["a"]


def test_error_does_not_change_the_windows() -> None:
    windows = [{"name": "5h", "utilization": 0.4}]
    account = _account(_line(1, status="allowed", windows=windows), _line(2, status="invalid_key", windows=[]))
    assert account.last is not None
    assert account.last.status is Status.INVALID_KEY
    assert account.windows["5h"].window.utilization == 0.4


def test_utilization_may_decrease_within_a_window() -> None:
    lines = [_line(second, windows=[{"name": "7d", "utilization": used}]) for second, used in ((1, 0.6), (2, 0.02))]
    assert _account(*lines).windows["7d"].window.utilization == 0.02


@pytest.mark.parametrize("order", [1, -1])
def test_type_by_the_api_alone_gives_way_to_any_other(order: int) -> None:
    lines = [_line(1, type="teams-direct"), _line(2, type="anthropic"), _line(0, type="anthropic")]
    assert (_account(*lines[::order]).type or ("", ""))[1] == "teams-direct"


def test_throttled_request_does_not_change_the_status() -> None:
    account = _account(_line(1, status="allowed"), _line(2, status="rejected", scope="request"))
    assert account.last is not None
    assert account.last.status is Status.ALLOWED


def test_refusal_of_one_model_does_not_change_the_status_of_the_account() -> None:
    account = _account(
        _line(1, status="allowed", model="sonnet"),
        _line(2, status="rejected", scope="model", model="opus"),
        _line(3, status="no_credit", scope="model"),
    )
    assert account.last is not None
    assert (account.last.status, account.last.model) == (Status.ALLOWED, "sonnet")
    assert {name: by_source["probe"].status for name, by_source in account.models.items()} == {
        "sonnet": Status.ALLOWED,
        "opus": Status.REJECTED,
        "": Status.NO_CREDIT,
    }


def test_refusal_of_one_model_does_not_end_an_invalid_key() -> None:
    account = _account(_line(1, status="invalid_key"), _line(2, status="rejected", scope="model", model="opus"))
    assert account.last is not None
    assert account.last.status is Status.INVALID_KEY


def test_only_a_later_response_of_the_same_model_ends_its_refusal() -> None:
    refused = _line(1, status="rejected", scope="model", model="opus")
    answered = _line(3, status="allowed_warning", model="opus")
    other = _account(refused, _line(2, status="allowed", model="sonnet"))
    assert other.models["opus"]["probe"].status is Status.REJECTED
    assert _account(answered, refused).models["opus"]["probe"].status is Status.ALLOWED_WARNING


def test_error_of_the_account_is_not_an_error_of_its_model() -> None:
    assert _account(_line(1, status="invalid_key", scope="account", model="opus")).models == {}


def test_error_does_not_change_plan_credits_and_binding_window() -> None:
    credit = {"has_credits": True, "unlimited": False, "balance": "12.5"}
    account = _account(
        _line(1, status="allowed", plan="pro", credits=credit, binding_window="7d", claim="seven_day"),
        _line(2, status="rejected", plan="plus"),
        _line(3, status="overloaded", credits={}),
        _line(4, status="network_error"),
    )
    assert account.plan is not None
    assert (account.plan[0].id, account.plan[1]) == ("event-0002", "plus")
    assert account.credits is not None
    assert (account.credits[0].id, account.credits[1]) == ("event-0003", Credits())
    assert account.binding is not None
    assert (account.binding[0].id, account.binding[1]) == ("event-0001", "7d")


def test_unknown_claim_is_the_binding_window() -> None:
    account = _account(_line(1, claim="five_hour"))
    assert account.binding is not None
    assert account.binding[1] == "five_hour"


def test_response_of_pi_outranks_a_probe_of_the_same_instant() -> None:
    turn = {"ts": "2026-11-22T06:00:00Z", "provider": "a", "source": "piggyback", "status": "policy_rejected"}
    probe = {"ts": "2026-11-22T06:00:00Z", "provider": "a", "status": "allowed"}
    for lines in ((turn, probe), (probe, turn)):
        account = _account(*lines)
        assert account.last is not None
        assert account.last.status is Status.POLICY_REJECTED


def test_line_of_the_older_format_is_read_as_a_probe() -> None:
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


def _older(**fields: Any) -> dict[str, Any]:
    return {"ts": "2026-04-06T14:00:00Z", "provider": "a", "utilization_5h": 0.3, "utilization_7d": 1} | fields


@pytest.mark.parametrize(
    ("seconds", "five_hours", "week"),
    [
        (18_000, "2026-04-06T19:00:00Z", None),
        (82_800, None, "2026-04-07T13:00:00Z"),
        (8 * 86_400, None, None),
        (1e15, None, None),
        (-1e12, None, None),
        (1e299, None, None),
        ("3600", None, None),
    ],
)
def test_reset_of_an_older_line_belongs_to_the_window_of_that_length(
    seconds: object, five_hours: str | None, week: str | None
) -> None:
    windows = fold(Snapshot(), [_older(reset_in_seconds=seconds)]).to_json()["a"]["windows"]
    assert [(window["name"], window["resets_at"]) for window in windows] == [("5h", five_hours), ("7d", week)]


@pytest.mark.parametrize("numbers", [(1, 1.0), (1.0, 1), (0, -0.0), (-0.0, 0), (2**53, 2.0**53), (1e299, int(1e299))])
def test_equal_numbers_are_saved_in_one_form(numbers: tuple[float, float]) -> None:
    first, second = (
        _bytes([_older(utilization_5h=number, overage={"status": "allowed", "used": number})]) for number in numbers
    )
    assert first == second


@pytest.mark.parametrize("part", ["type", "plan", "credits", "binding", "last", "overage"])
@pytest.mark.parametrize("name", ["ts", "id", "source", "value"])
@pytest.mark.parametrize("value", [None, 1, [], {}, True])
def test_damaged_snapshot_is_refused_when_it_is_loaded(part: str, name: str, value: object) -> None:
    line = _line(1, type="xai", plan="pro", credits={"balance": "1"}, claim="five_hour", status="allowed", overage={})
    saved = _saved(fold(Snapshot(), [line]))
    if name in saved["a"][part]:
        saved["a"][part][name] = value
        with pytest.raises((KeyError, TypeError, ValueError)):
            Snapshot.from_json(saved)


@pytest.mark.parametrize("seat", [-2, 7 * 24 * 60, 10**30, "x", None])
def test_seat_that_is_no_minute_of_a_week_is_refused_when_it_is_loaded(seat: object) -> None:
    saved = _saved(fold(Snapshot(), [_line(1, account_hint="org-1")]))
    saved["a"]["identities"][0]["seat"] = seat
    with pytest.raises((TypeError, ValueError)):
        Snapshot.from_json(saved)
