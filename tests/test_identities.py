"""Another organisation, ChatGPT account or seat under one provider name is another account."""

import itertools
import json
import math
from datetime import UTC
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.commands.logbook import DAY, HOUR, NOW, line, shown, snapshot, window
from tokmon.evidence.snapshot import Snapshot
from tokmon.report.status import status_text
from tokmon.report.status_json import to_json
from tokmon.report.words import Style
from tokmon.selection.assessment import Assessment, Fitness, assess
from tokmon.selection.policy import Policy

Record = dict[str, Any]


def turn(used: float, age: float, organisation: str | None = "org-a", **fields: Any) -> Record:
    """A served turn `age` seconds before NOW."""
    windows = (window("5h", used, 3 * HOUR), window("7d", used, 3 * DAY))
    return line("seat", "allowed", *windows, age=age, account_hint=organisation, type="teams-direct") | fields


def refusal(age: float, organisation: str | None = "org-a", **fields: Any) -> Record:
    """A turn refused for its weekly limit, for three days."""
    refused = line(
        "seat", "rejected", window("7d", 1.0, 3 * DAY), age=age, account_hint=organisation, type="teams-direct"
    )
    return refused | {"http_status": 429, "blocked_until": "2026-11-25T07:00:00Z"} | fields


def verdict(*lines: Record) -> Assessment:
    """The assessment, which no order of the lines changes."""
    known = [snapshot(*order) for order in itertools.permutations(lines)] if len(lines) < 6 else [snapshot(*lines)]
    assert len({json.dumps(state.to_json()) for state in known}) == 1
    return assess("seat", known[0].accounts["seat"], Policy(), NOW)


def labels(*lines: Record) -> list[str]:
    return [identity.label for identity in snapshot(*lines).identities("seat")]


def test_the_newest_turn_names_the_account_in_use() -> None:
    lines = (refusal(2 * HOUR), turn(0.2, HOUR, "org-b"))
    assert verdict(*lines).fitness is Fitness.USABLE
    assert verdict(*lines).utilization("7d") == 0.2
    assert labels(*lines) == ["org-b", "org-a"]


def test_a_late_refusal_of_the_old_login_says_nothing_about_the_new_one() -> None:
    lines = (turn(0.9, 3 * HOUR), turn(0.2, 2 * HOUR, "org-b"), refusal(HOUR))
    assert verdict(*lines).fitness is Fitness.USABLE
    assert labels(*lines) == ["org-b", "org-a"]
    error: Record = {"kind": "usage", "account": "org-a", "account_hint": None, "windows": []}
    assert verdict(*lines, refusal(HOUR - 1, **error)).fitness is Fitness.USABLE


def test_a_new_login_that_is_refused_at_once_is_in_use() -> None:
    lines = (turn(0.2, 2 * HOUR), refusal(HOUR, "org-b"))
    assert verdict(*lines).fitness is Fitness.EXCLUDED
    assert labels(*lines) == ["org-b", "org-a"]


def test_a_login_that_comes_back_has_its_evidence_again() -> None:
    lines = (turn(0.7, 3 * HOUR), turn(0.2, 2 * HOUR, "org-b"), refusal(HOUR, "org-b"), turn(0.71, 60))
    assert verdict(*lines).utilization("7d") == 0.71
    assert labels(*lines) == ["org-a", "org-b"]


def test_without_any_turn_the_newest_evidence_names_the_account() -> None:
    lines = (turn(0.7, 600, source="probe"), turn(0.2, 60, "org-b", source="probe"))
    assert labels(*lines) == ["org-b", "org-a"]
    assert labels(*lines, turn(0.8, HOUR)) == ["org-a", "org-b"], "a turn outranks probes"


@pytest.mark.parametrize("renewed", ["org-a", None])
def test_a_token_that_is_renewed_in_mid_session_makes_no_new_account(renewed: str | None) -> None:
    """A response without the header (from the edge) is of the same account, too."""
    lines = (refusal(2 * HOUR), turn(0.3, HOUR), turn(0.31, 60, renewed))
    assert labels(*lines) == ["org-a"]
    assert verdict(*lines).utilization("7d") == 0.31


def test_evidence_that_names_no_account_counts_if_it_is_newer_than_that_of_the_others() -> None:
    policy: Record = {"status": "policy_rejected", "scope": "account", "windows": [], "account_hint": None}
    first, second = turn(0.7, 3 * HOUR), turn(0.2, HOUR, "org-b")
    assert verdict(first, second, turn(0, 4 * HOUR) | policy).fitness is Fitness.USABLE
    assert verdict(first, second, turn(0, 60) | policy).fitness is Fitness.EXCLUDED


def test_a_chatgpt_account_is_an_account() -> None:
    lines = [
        turn(used, age, None, account=account, type="openai-codex")
        for used, age, account in ((0.9, HOUR, "chatgpt-1"), (0.1, 60, "chatgpt-2"))
    ]
    assert labels(*lines) == ["chatgpt-2", "chatgpt-1"]
    assert verdict(*lines).utilization("7d") == 0.1


def test_the_organisation_behind_a_gateway_is_not_that_of_its_account() -> None:
    assert labels(turn(0.1, 60, "org-a", type="gateway"), turn(0.2, 90, "org-b", type="gateway")) == [""]


def seat(used: float, age: float, resets_in: float, **fields: Any) -> Record:
    """A turn of a seat of org-a whose 7d window ends so many seconds after NOW."""
    return turn(used, age) | {"windows": [window("5h", used, HOUR), window("7d", used, resets_in)], **fields}


def test_two_seats_of_one_organisation_that_take_turns_are_two_accounts() -> None:
    first, second = 3 * DAY, 4 * DAY + HOUR
    lines = (
        seat(0.5, 4 * HOUR, first),
        seat(0.1, 3 * HOUR, second),
        seat(1.0, 2 * HOUR, first, status="rejected", blocked_until="2026-11-25T07:00:00Z"),
        seat(0.11, HOUR, second),
        seat(1.0, 60, first, status="rejected", blocked_until="2026-11-25T07:00:00Z"),
    )
    assert verdict(*lines).fitness is Fitness.USABLE
    assert verdict(*lines).utilization("7d") == 0.11
    assert labels(*lines) == ["org-a, 7d resets Thu 08:00 UTC", "org-a, 7d resets Wed 07:00 UTC"]


def moment(used: float, at: float, five: float, seven: float, **fields: Any) -> Record:
    """A turn of org-a `at` seconds after NOW, with its windows, which end so many seconds after NOW."""
    return turn(used, -at) | {"windows": [window("5h", used, five), window("7d", used, seven)], **fields}


def test_another_seat_of_the_organisation_is_another_account_at_its_first_turn() -> None:
    """Its 5h window began before the last turn of the other seat, whose own was open: no reset does that."""
    first = moment(0.9, -HOUR, 2 * HOUR, 2 * DAY)
    second = moment(0.2, -60, HOUR, 5 * DAY + HOUR)
    assert labels(first, second) == ["org-a, 7d resets Fri 08:00 UTC", "org-a, 7d resets Tue 07:00 UTC"]
    refused: Record = {"status": "rejected", "http_status": 429, "blocked_until": "2026-11-24T07:00:00Z"}
    late = moment(1.0, -30, 2 * HOUR, 2 * DAY, **refused)
    of_the_week_alone = late | {"windows": [window("7d", 1.0, 2 * DAY)]}
    for refusal_of_first in (late, of_the_week_alone):
        assert verdict(first, second, refusal_of_first).fitness is Fitness.USABLE
        assert verdict(first, second, refusal_of_first).utilization("7d") == 0.2


@pytest.mark.parametrize("five", [5 * HOUR, 4.9 * HOUR, 3 * HOUR])
def test_a_reset_of_both_windows_is_of_the_same_account(five: float) -> None:
    """The new 5h window begins at the reset, or ten minutes before; or the old one stays."""
    lines = (moment(0.9, -60, 3 * HOUR, DAY), moment(0.0, 60, five, 7 * DAY), moment(0.01, 600, five, 7 * DAY))
    assert len(labels(*lines)) == 1
    assert verdict(*lines).utilization("7d") == 0.01


EVENTS = st.sampled_from(["", "", "", "5h", "7d", "both", "anchor"])


def test_two_seats_that_take_turns_within_a_minute_are_two_accounts() -> None:
    first, second = moment(0.9, 0, HOUR, DAY), moment(0.2, 5, 2 * HOUR, 5 * DAY)
    assert labels(first, second) == ["org-a, 7d resets Fri 07:00 UTC", "org-a, 7d resets Mon 07:00 UTC"]
    reset = moment(0.0, 5, 5 * HOUR, 5 * DAY)
    assert labels(first, reset, moment(0.9, 30, HOUR, DAY)) == ["org-a"], "responses of one moment, around a reset"


GAPS = st.lists(st.tuples(st.integers(1, 400), EVENTS), min_size=1, max_size=40)


def responses(gaps: list[tuple[int, str]], offset: float = 0.0) -> list[Record]:
    """Turns of one seat, so many minutes apart, with a reset or a moved start of its week before some of them."""
    at, five, seven, lines = offset, -math.inf, 3 * DAY + 17 * offset, []
    for minutes, event in gaps:
        at += minutes * 60
        five = -math.inf if event in {"5h", "both"} else five
        seven = {"7d": at + 7 * DAY, "both": at + 7 * DAY, "anchor": seven + 5 * HOUR}.get(event, seven)
        seven += 7 * DAY * max(0, math.ceil((at - seven + 1) / (7 * DAY)))
        five = (at // 600) * 600 + 5 * HOUR if five <= at else five
        lines.append(moment(0.1, at, five, seven))
    return lines


@given(GAPS, st.randoms(use_true_random=False))
def test_resets_and_moved_windows_of_one_seat_make_no_new_account(gaps: list[tuple[int, str]], chance: Random) -> None:
    lines = responses(gaps)
    chance.shuffle(lines)
    assert labels(*lines) == ["org-a"]


@given(st.lists(st.integers(1, 100), min_size=2, max_size=12), st.integers(20, 200), st.randoms(use_true_random=False))
def test_two_seats_that_are_open_at_once_are_two_accounts(gaps: list[int], later: int, chance: Random) -> None:
    """The second seat was used elsewhere first; here it is used once, after the first seat."""
    # Ends are whole ten minutes of the clock: a seat with the same end may be the same seat.
    first = responses([(minutes, "") for minutes in gaps])
    last = NOW + sum(gaps) * 60
    end = (last - later * 60 + 5 * HOUR) // 600 * 600 - NOW - 300
    second = moment(0.2, last - NOW + 180, end, 6 * DAY + 60)
    lines = [*first, second]
    chance.shuffle(lines)
    assert len(labels(*lines)) == 2


@pytest.mark.parametrize("lower", [0.0, 0.97])
def test_a_window_that_moves_once_is_of_the_same_account(lower: float) -> None:
    """An early reset, a reset of all accounts, or a moved anchor: the old end does not come back."""
    lines = (seat(0.8, 3 * HOUR, DAY), seat(0.95, 2 * HOUR, DAY), seat(lower, HOUR, 6 * DAY), seat(lower, 60, 6 * DAY))
    assert labels(*lines) == ["org-a"]
    assert verdict(*lines).utilization("7d") == lower


def test_responses_of_one_moment_that_arrive_in_another_order_are_of_one_account() -> None:
    lines = (seat(0.8, HOUR, DAY), seat(0.0, 61, 6 * DAY), seat(0.8, 60, DAY), seat(0.01, 30, 6 * DAY))
    assert labels(*lines) == ["org-a"]


def test_a_snapshot_with_many_accounts_under_one_name_stays_small_and_keeps_the_newest() -> None:
    state = snapshot(*(turn(0.1, 100 - number, f"org-{number}") for number in range(100)))
    names = [identity.label for identity in state.identities("seat")]
    assert names[:2] == ["org-99", "org-98"]
    assert len(names) == 16
    assert Snapshot.from_json(json.loads(json.dumps(state.to_json()))).to_json() == state.to_json()


def test_status_shows_the_account_in_use_and_the_others() -> None:
    view = shown(refusal(2 * HOUR), turn(0.2, HOUR, "org-b"))
    text = "\n".join(status_text(view, 96, Style(zone=UTC)))
    assert "account in use: org-b" in text
    assert "not in use: org-a" in text
    assert "7d used up" in text
    (account,) = to_json(view)["providers"]
    (other,) = account["other_accounts"]
    assert (account["account"], other["account"]) == ("org-b", "org-a")
    assert (account["fitness"], other["fitness"]) == ("usable", "excluded")
    assert {*other} == {"account", "fitness", "reason", "until", "age_s", "windows"}
    assert "in use" not in "\n".join(status_text(shown(turn(0.2, HOUR)), 96, Style(zone=UTC)))


def test_status_shows_the_last_few_of_many_other_accounts_and_counts_the_rest() -> None:
    view = shown(*(turn(0.2, HOUR * (number + 1), f"org-{number}") for number in range(7)))
    lines = [line.strip() for line in status_text(view, 96, Style(zone=UTC)) if "in use" in line]
    assert [line.split(";")[0] for line in lines] == [
        "account in use: org-0",
        *(f"not in use: org-{number}" for number in (1, 2, 3)),
        "not in use: 3 more",
    ]
    assert len(to_json(view)["providers"][0]["other_accounts"]) == 6


def test_each_figure_of_an_account_not_in_use_has_its_own_age() -> None:
    refused = {**turn(1.0, HOUR, "org-a", status="no_credit"), "windows": []}
    view = shown(turn(0.3, 2 * HOUR, "org-a"), refused, turn(0.2, 60, "org-b"))
    text = " ".join(" ".join(status_text(view, 96, Style(zone=UTC))).split())
    assert "excluded no credit; 1h ago (pi); 5h at 30%, 2h ago (pi)" in text


def keyed(used: float, age: float, credential: str | None, organisation: str | None = None, **fields: Any) -> Record:
    """A turn with a configured key."""
    return turn(used, age, organisation, credential=credential, **fields)


def test_another_key_is_another_account() -> None:
    lines = (keyed(0.9, 2 * HOUR, "1" * 16), keyed(0.1, HOUR, "2" * 16))
    assert labels(*lines) == ["key 22222222", "key 11111111"]
    assert verdict(*lines).utilization("7d") == 0.1


def test_a_key_without_a_hash_in_older_lines_is_the_same_account() -> None:
    older = turn(0.3, 3 * HOUR, "org-a"), turn(0.2, 4 * HOUR, None)
    lines = (*older, keyed(0.4, HOUR, "1" * 16, "org-a"))
    assert labels(*lines) == ["org-a, key 11111111"]
    assert verdict(*lines).utilization("7d") == 0.4


def test_two_keys_of_one_seat_by_its_windows_are_one_account() -> None:
    """A key may be made anew for each session, by a command."""
    lines = (keyed(0.3, 2 * HOUR, "1" * 16, "org-a"), keyed(0.4, HOUR, "2" * 16, "org-a"))
    assert len(labels(*lines)) == 1
    others = (lines[0], lines[1] | {"windows": [window("5h", 0.4, 3 * HOUR + 1), window("7d", 0.4, 3 * DAY)]})
    assert len(labels(*others)) == 2, "another second is another seat"


def test_a_login_whose_account_is_named_is_that_account_whatever_its_windows() -> None:
    lines = (keyed(0.9, 2 * HOUR, "login-11111111", "org-a"), keyed(0.1, HOUR, "login-22222222", "org-a"))
    assert labels(*lines) == ["org-a, login 22222222", "org-a, login 11111111"]
    moved = lines[1] | {"credential": "login-11111111", "windows": [window("5h", 0, HOUR), window("7d", 0, 6 * DAY)]}
    assert labels(lines[0], moved) == ["org-a, login 11111111"]


def test_a_late_refusal_of_the_old_key_says_nothing_about_the_new_one() -> None:
    lines = (keyed(0.9, 3 * HOUR, "1" * 16), keyed(0.2, 2 * HOUR, "2" * 16))
    refused = refusal(HOUR, None, credential="1" * 16)
    assert verdict(*lines, refused).fitness is Fitness.USABLE
    assert verdict(*lines, refused, refused | {"credential": "2" * 16, "id": "z"}).fitness is Fitness.EXCLUDED
