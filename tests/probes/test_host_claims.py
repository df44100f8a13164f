"""One member's probes hold back those of the others: for 20 minutes, and for no longer if one of them lies."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.patience import PATIENCE_S
from tests.pool.members import KEY, Member, member
from tests.pool.test_sharing import line
from tokmon.decision import sharing
from tokmon.decision.probing import limiter
from tokmon.pool.key import hash_of
from tokmon.pool.settings import PoolSettings
from tokmon.probes.limiter_state import LONGEST_S
from tokmon.probes.rate_limit import BACK_OFF_S, BUDGET, INTERVAL_S, ProbeLimiter, ProbeOutcome, Slot
from tokmon.store import state_file
from tokmon.store.lock import folder_lock
from tokmon.wire.instants import rfc3339

SHARE = PoolSettings()
ANSWERED = ProbeOutcome(answered=True)
REFUSED = ProbeOutcome(answered=True, wait_s=0.0)
LATEST_S = 1.1 * INTERVAL_S + 1
"""When any interval is over."""

SEAT = "sk-ant-oat01-aaaaaaaaaaaa"


def now() -> float:
    return time.time()


def one(folder: Path, name: str, **accounts: str) -> Member:
    made = member(folder, name)
    made.configure(accounts or {"team-a": SEAT})
    return made


def limit(who: Member, settings_: PoolSettings = SHARE) -> ProbeLimiter:
    return limiter(who.paths, who.env, settings_, state_file.current(who.paths).snapshot, ["team-a"])


def claim(who: Member, at: float, name: str = "team-a", **more: Any) -> Slot:
    return limit(who).claim([name], at, **more)[name]


def slot(who: Member, at: float, settings_: PoolSettings = SHARE) -> Slot:
    return limit(who, settings_).slots(["team-a"], at)["team-a"]


def answer(who: Member, at: float, **more: object) -> None:
    """Evidence from a probe at that instant, published."""
    who.log(line("team-a", "allowed", 0.3, SEAT, ts=rfc3339(at), source="probe", **more), name="probe.jsonl")
    sharing.publish(who.paths, who.env, PoolSettings(), state_file.current(who.paths))


def published(who: Member) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((who.published / "probes.json").read_text("utf-8"))
    return value


def lie(who: Member, **entry: object) -> None:
    """What a hostile member publishes of the account."""
    who.published.mkdir(parents=True, exist_ok=True, mode=0o755)
    fields = {"refusals": 0, "in_progress": True, "credential": hash_of(KEY, SEAT), **entry}
    target = who.published / "probes.json"
    target.with_suffix(".new").write_text(json.dumps({"version": 1, "accounts": {"team-a": fields}}), "utf-8")
    target.with_suffix(".new").replace(target)


def test_account_is_probed_once_in_twenty_minutes_by_all_members(tmp_path: Path) -> None:
    nadja, ludo = one(tmp_path, "nadja"), one(tmp_path, "ludo")
    at = now()
    assert claim(nadja, at - 5).granted
    answer(nadja, at - 4)
    held = claim(ludo, at)
    assert (held.granted, held.probed_at, held.member) == (False, at - 5, "nadja")
    assert not claim(ludo, at + INTERVAL_S - 6).granted
    assert claim(ludo, at + LATEST_S).granted
    assert not claim(nadja, at + LATEST_S + 1).granted, "and the other way round"


def test_claim_is_published_before_the_probe_and_its_end_after_it(tmp_path: Path) -> None:
    nadja, ludo = one(tmp_path, "nadja"), one(tmp_path, "ludo")
    at = now()
    claim(nadja, at)
    assert published(nadja)["accounts"]["team-a"]["in_progress"]
    assert slot(ludo, at).is_in_progress(at)
    limit(nadja).release({"team-a": ANSWERED}, at + 1)
    entry = published(nadja)["accounts"]["team-a"]
    assert (entry["in_progress"], entry["probed_at"], entry["recent"]) == (False, at, [at])
    assert not slot(ludo, at + 1).is_in_progress(at + 1)
    text = (nadja.published / "probes.json").read_text("utf-8")
    assert SEAT not in text
    assert str(tmp_path) not in text


def test_claim_without_an_answer_holds_back_once(tmp_path: Path) -> None:
    nadja, ludo = one(tmp_path, "nadja"), one(tmp_path, "ludo")
    at = now() - 30
    claim(nadja, at, force=True)
    assert not slot(ludo, at + 1).granted
    claim(nadja, at + 5, force=True)
    assert slot(ludo, at + 6).granted, "the second claim without an answer holds nobody back"
    claim(nadja, at + 10, force=True)
    answer(nadja, at + 11)
    assert claim(ludo, at + 12).member == "nadja", "an answer makes a member credible again"
    claim(nadja, at + 15, force=True)
    assert not slot(ludo, at + 16).granted


def test_answer_counts_also_if_nobody_looked_before_the_next_claim(tmp_path: Path) -> None:
    nadja, ludo = one(tmp_path, "nadja"), one(tmp_path, "ludo")
    at = now() - 30
    claim(nadja, at, force=True)
    assert not slot(ludo, at + 1).granted
    answer(nadja, at + 2)
    claim(nadja, at + 5, force=True)
    assert not slot(ludo, at + 6).granted
    claim(nadja, at + 10, force=True)
    assert slot(ludo, at + 11).granted, "the claim before it was never answered"


def test_refusal_backs_off_for_the_host_and_the_next_one_doubles_it(tmp_path: Path) -> None:
    nadja, ludo, buio = (one(tmp_path, name) for name in ("nadja", "ludo", "buio"))
    at = now()
    claim(nadja, at)
    limit(nadja).release({"team-a": REFUSED}, at)
    assert not claim(ludo, at + BACK_OFF_S - 1).granted
    at += BACK_OFF_S + LATEST_S
    assert claim(ludo, at).granted
    limit(ludo).release({"team-a": REFUSED}, at)
    assert not claim(buio, at + 2 * BACK_OFF_S - 1).granted
    assert claim(buio, at + 2 * BACK_OFF_S + LATEST_S).granted


def test_accounts_of_other_keys_are_not_held_back_unless_an_alias_says_so(tmp_path: Path) -> None:
    nadja, ludo = one(tmp_path, "nadja"), one(tmp_path, "ludo", **{"team-a": "sk-ant-oat01-another"})
    at = now()
    claim(nadja, at)
    assert slot(ludo, at).granted
    assert not slot(ludo, at, PoolSettings(alias=("team-a",))).granted
    assert slot(ludo, at, PoolSettings(alias=("team-a",), ignore=("nadja",))).granted


def test_other_keys_of_one_account_are_known_by_their_windows(tmp_path: Path) -> None:
    other = "sk-ant-oat01-another"
    nadja, ludo = one(tmp_path, "nadja"), one(tmp_path, "ludo", **{"team-a": other})
    at = now()
    nadja.log(line("team-a", "allowed", 0.2, SEAT))
    sharing.publish(nadja.paths, nadja.env, PoolSettings(), state_file.current(nadja.paths))
    ludo.log(line("team-a", "allowed", 0.2, other))
    claim(nadja, at)
    assert not slot(ludo, at).granted


def test_member_that_does_not_share_neither_reads_nor_publishes(tmp_path: Path) -> None:
    nadja, ludo = one(tmp_path, "nadja"), one(tmp_path, "ludo")
    at, alone = now(), PoolSettings(share=False)
    claim(nadja, at)
    assert limit(ludo, alone).claim(["team-a"], at)["team-a"].granted
    assert not ludo.published.exists()


LIES: dict[str, Callable[[float], dict[str, object]]] = {
    "that goes on for a year": lambda at: {"probed_at": at, "next_at": at + 3e7},
    "from the future": lambda at: {"probed_at": at + 3600, "next_at": at + 7200},
    "a minute ahead": lambda at: {"probed_at": at + 59, "next_at": at + 3e7},
    "before all time": lambda at: {"probed_at": -1, "next_at": at + 3e7},
    "of words": lambda at: {"probed_at": "x", "next_at": [at]},
    "without a limit": lambda at: {"probed_at": at, "next_at": 1e400},
    "with a huge number": lambda at: {"probed_at": at, "next_at": 10**400},
    "with odd refusals": lambda at: {"probed_at": at, "next_at": at + 3e7, "refusals": -(10**30)},
    "with many instants": lambda at: {"probed_at": at, "next_at": at, "recent": [at] * 5000},
    "with odd instants": lambda at: {"probed_at": at, "next_at": at, "recent": [{}, "x", None, True]},
    "with odd hashes": lambda at: {"probed_at": at, "next_at": at + 3e7, "credential": ["x"], "organisation": 7},
}


@pytest.mark.parametrize("name", LIES)
def test_hostile_claims_delay_a_probe_by_one_interval_at_most(tmp_path: Path, name: str) -> None:
    liar, ludo = one(tmp_path, "liar"), one(tmp_path, "ludo")
    at = now()
    lie(liar, **LIES[name](at))
    slot(ludo, at)
    for minute in range(1, 22):
        lie(liar, **LIES[name](at + minute * 60))
        slot(ludo, at + minute * 60)
    assert claim(ludo, at + LATEST_S + 60).granted


def test_nobody_waits_for_a_probe_that_has_not_begun(tmp_path: Path) -> None:
    liar, ludo = one(tmp_path, "liar"), one(tmp_path, "ludo")
    at = now()
    lie(liar, probed_at=at + 50, next_at=at + 1200)
    assert not slot(ludo, at).is_in_progress(at)
    lie(liar, probed_at=at - 5, next_at=at + 1200)
    assert not slot(ludo, at).is_in_progress(at)


def test_hostile_refusals_delay_a_probe_once_and_for_a_day_at_most(tmp_path: Path) -> None:
    liar, ludo = one(tmp_path, "liar"), one(tmp_path, "ludo")
    at = now()
    lie(liar, probed_at=at, next_at=at + 3e7, refusals=9)
    assert not slot(ludo, at).granted
    later = at + LONGEST_S + LATEST_S
    assert claim(ludo, later).granted
    lie(liar, probed_at=later + 60, next_at=at + 3e7, refusals=9)
    assert claim(ludo, later + LATEST_S).granted


@pytest.mark.parametrize("place", ["link", "pipe", "folder", "large", "writable", "deep"])
def test_file_that_is_not_believed_holds_nobody_back(tmp_path: Path, place: str) -> None:
    liar, ludo = one(tmp_path, "liar"), one(tmp_path, "ludo")
    at = now()
    lie(liar, probed_at=at, next_at=at + 1200)
    target = liar.published / "probes.json"
    assert not limit(ludo).slots(["team-a"], at)["team-a"].granted
    text = target.read_bytes()
    if place == "writable":
        target.chmod(0o666)
    else:
        target.unlink()
    if place == "link":
        (tmp_path / "elsewhere").write_bytes(text)
        target.symlink_to(tmp_path / "elsewhere")
    elif place == "pipe":
        os.mkfifo(target)
    elif place == "folder":
        target.mkdir()
    elif place == "large":
        target.write_bytes(text + b" " * (65 << 10))
    elif place == "deep":
        target.write_bytes(b'{"version":1,"accounts":' * 2000 + b"{}" + b"}" * 2000)
    assert slot(ludo, at).granted


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.sampled_from(["probed_at", "next_at", "refusals", "in_progress", "recent", "credential", "organisation"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(FIELDS, JSON), JSON)
def test_any_claim_of_another_member_is_read_without_a_fault(
    tmp_path: Path, fields: dict[str, object], other: object
) -> None:
    if not (tmp_path / "ludo").exists():
        one(tmp_path, "ludo")
        one(tmp_path, "liar")
    liar = (tmp_path / "pool") / "liar"
    liar.mkdir(parents=True, exist_ok=True)
    entry = {"probed_at": time.time(), "next_at": time.time() + 60, "refusals": 0, **fields}
    value = {"version": 1, "accounts": {"team-a": entry, "team-b": other, "x y": entry}}
    (liar / "probes.json").write_text(json.dumps(value), "utf-8")
    ludo = Member("ludo", {**os.environ, "HOME": str(tmp_path / "ludo"), "TOKMON_POOL_DIR": str(tmp_path / "pool")})
    assert slot(ludo, time.time()).next_at is None or slot(ludo, time.time() + LATEST_S + 60).granted


def test_budget_of_an_organisation_counts_for_all_its_seats_and_members(tmp_path: Path) -> None:
    seats = {f"seat-{number}": f"sk-ant-oat01-key-{number:02}" for number in range(30)}
    nadja, ludo = one(tmp_path, "nadja", **seats), one(tmp_path, "ludo", **seats)
    at = now()
    for who in (nadja, ludo):
        who.log(*(line(name, "allowed", 0.2, key) for name, key in seats.items()))
    first = limit(nadja).claim([*seats][:20], at)
    assert all(each.granted for each in first.values())
    second = limit(ludo).claim([*seats][20:], at + 1, force=True)
    assert sum(each.granted for each in second.values()) == BUDGET - 20
    assert not any(each.granted for each in limit(nadja).claim([*seats], at + 2, force=True).values())
    third = limit(nadja).claim([*seats], at + 3602)
    assert sum(each.granted for each in third.values()) == BUDGET


def test_claims_of_others_leave_a_member_three_probes_an_hour(tmp_path: Path) -> None:
    liar, ludo = one(tmp_path, "liar"), one(tmp_path, "ludo")
    ludo.log(line("team-a", "allowed", 0.2, SEAT))
    at = now()
    spent = {"organisation": hash_of(KEY, "account:org-1"), "recent": [at - 1] * 32}
    lie(liar, probed_at=at - 1, next_at=at - 1, **spent)
    granted = [claim(ludo, at + second, force=True).granted for second in range(4)]
    assert granted == [True, True, True, False]


def test_of_five_members_that_claim_at_once_one_is_granted(tmp_path: Path) -> None:
    members = [one(tmp_path, name) for name in ("nadja", "ludo", "buio", "molto", "vigilio")]
    code = (
        "import os, sys, time; from tokmon import paths; from tokmon.decision.probing import limiter;"
        "from tokmon.pool.settings import PoolSettings; from tokmon.evidence.snapshot import Snapshot;"
        "own = limiter(paths.find(), os.environ, PoolSettings(), Snapshot(), ['team-a']); sys.stdin.read(1);"
        "print(own.claim(['team-a'], time.time(), patience_s=60)['team-a'].granted)"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(who.env))
        for who in members
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"x")
        process.stdin.flush()
    printed = [process.communicate(timeout=PATIENCE_S)[0].strip() for process in processes]
    assert sorted(printed) == [b"False"] * 4 + [b"True"]


def test_member_that_keeps_the_lock_of_the_pool_stops_no_probe(tmp_path: Path) -> None:
    ludo = one(tmp_path, "ludo")
    ludo.paths.pool.mkdir(mode=0o700)
    with folder_lock(ludo.paths.pool, 0) as is_held:
        assert is_held
        assert claim(ludo, now(), patience_s=0.05).granted
