"""The file of pi checks: read where anybody may have written it, and merged into where others read it."""

import json
import os
import time
from itertools import permutations, product
from pathlib import Path
from typing import Any

import pytest

from tests.commands.logbook import NOW, line
from tests.commands.pretended import mode
from tests.configuration import select
from tokmon import paths
from tokmon.decision import policy_cache
from tokmon.errors import StoreError
from tokmon.evidence.model import Status
from tokmon.evidence.snapshot import Snapshot, fold
from tokmon.pi import check_file
from tokmon.selection.assessment import assess
from tokmon.selection.current import CHECK_S
from tokmon.selection.policy import Policy
from tokmon.wire.instants import rfc3339

OK: dict[str, Any] = {"status": "ok", "ms": 2700}
POLICY = "400 Third-party apps now draw from your extra usage, not your plan limits."


@pytest.fixture
def file() -> Path:
    path = paths.find().home / "shared" / "checks.json"
    path.parent.mkdir(mode=0o755)
    select(chain=["team-a", "team-b"], check_file=str(path))
    return path


def put(path: Path, results: Any, checked_at: Any = None) -> None:
    path.write_text(json.dumps({"checked_at": checked_at or rfc3339(NOW - 60), "results": results}), encoding="utf-8")


def seen(snapshot: Snapshot | None = None, now: float = NOW) -> Snapshot:
    known = Snapshot() if snapshot is None else snapshot
    return check_file.merge_check_results(
        known, policy_cache.check_file(paths.find(), os.environ), ("team-a", "team-b"), now
    )


def checked(snapshot: Snapshot, now: float = NOW) -> list[str]:
    found = (assess(name, account, Policy(), now) for name, account in sorted(snapshot.accounts.items()))
    return [each.provider for each in found if each.check_passed]


@pytest.mark.parametrize(
    "checked_at",
    [
        rfc3339(NOW - 60),
        "2026-11-22T07:59:00+01:00",
        NOW - 60,
        int(NOW - 60),
        int((NOW - 60) * 1000),
        str(int((NOW - 60) * 1000)),
    ],
)
def test_a_result_counts_from_when_it_was_checked(file: Path, checked_at: Any) -> None:
    put(file, {"team-a": OK}, checked_at)
    found = seen().accounts["team-a"].history.by_source["pi-check"]
    assert (found.status, found.stamp.ts, found.stamp.source) == (Status.ALLOWED, NOW - 60, "pi-check")


def test_an_error_says_of_the_account_what_its_text_says(file: Path) -> None:
    put(
        file,
        {
            "team-a": {"status": "error", "reason": POLICY, "ms": 1},
            "team-b": {"status": "error", "account_status": "no_credit", "scope": "account"},
        },
    )
    accounts = seen().accounts
    assert accounts["team-a"].history.by_source["pi-check"].status is Status.POLICY_REJECTED
    assert accounts["team-b"].history.by_source["pi-check"].status is Status.NO_CREDIT


def test_an_error_without_a_word_says_nothing_of_the_account_and_takes_a_pass_away(file: Path) -> None:
    passed = fold(Snapshot(), [{**line("team-a", "ok", age=600), "source": "pi-check"}])
    assert checked(passed) == ["team-a"]
    put(file, {"team-a": {"status": "error"}})
    both = seen(passed)
    assert checked(both) == []
    assert both.accounts["team-a"].history.by_source["pi-check"].status is Status.ALLOWED
    put(file, {"team-a": {"status": "error"}}, rfc3339(NOW - 900))
    assert checked(seen(passed)) == ["team-a"]


def test_what_is_known_stays_as_it_was(file: Path) -> None:
    known = fold(Snapshot(), [line("team-a", "rejected", age=600), line("team-c")])
    before = known.to_json()
    put(file, {"team-a": OK, "team-b": OK})
    both = seen(known)
    assert known.to_json() == before
    assert sorted(both.accounts) == ["team-a", "team-b", "team-c"]
    assert both.accounts["team-c"] is known.accounts["team-c"]


def test_log_and_file_are_one_evidence_in_whatever_order(file: Path) -> None:
    told = ((600, "ok"), (30, "error"), (90, "ok"))
    lines = [{**line("team-a", status, age=age), "source": "pi-check"} for age, status in told]
    results = {"team-a": OK, "team-b": {"status": "error", "reason": POLICY}}
    found = set()
    for order, names in product(permutations(lines), permutations(results)):
        put(file, {name: results[name] for name in names})
        both = seen(fold(Snapshot(), order))
        found.add(json.dumps(both.to_json()))
        assert checked(both) == []
    assert len(found) == 1


@pytest.mark.parametrize("age", [-301.0, CHECK_S + 1])
def test_what_is_too_old_or_of_a_clock_that_runs_ahead_does_not_count(file: Path, age: float) -> None:
    put(file, {"team-a": OK}, rfc3339(NOW - age))
    assert seen().accounts == {}
    put(file, {"team-a": {**OK, "checked_at": rfc3339(NOW)}, "team-b": OK}, rfc3339(NOW - age))
    assert sorted(seen().accounts) == ["team-a"]


def test_nobody_but_the_configured_accounts_is_taken_in(file: Path) -> None:
    put(file, {**{f"team-{number}": OK for number in range(5000)}, "team-a": OK, "team b": OK, "": OK})
    assert sorted(seen().accounts) == ["team-a"]


def test_a_block_in_the_file_ends_with_it(file: Path) -> None:
    said = {"account_status": "rejected", "scope": "account", "blocked_until": "2099-01-01T00:00:00Z"}
    put(file, {"team-a": {"status": "error", **said, "windows": [{"name": "7d", "utilization": 0.1}]}})
    account = seen().accounts["team-a"]
    assert account.last is not None
    assert account.last.blocked_until is None
    assert account.windows == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" \n",
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe",
        b"\0" * 100,
        b'{"results":[]}',
        b'{"results":{"team-a":{"status":"ok"}}}',
        b'{"checked_at":true,"results":{"team-a":{"status":"ok"}}}',
        b'{"checked_at":[],"results":{"team-a":{"status":"ok"}}}',
        b'{"checked_at":1e999,"results":{"team-a":{"status":"ok"}}}',
        b'{"checked_at":' + b"9" * 5000 + b',"results":{"team-a":{"status":"ok"}}}',
        b'{"checked_at":"2026-13-45T00:00:00Z","results":{"team-a":{"status":"ok"}}}',
        b'{"checked_at":"2026-11-22T06:59:00Z","results":{"team-a":"ok"}}',
        b'{"checked_at":"2026-11-22T06:59:00Z","results":{"team-a":{"status":["ok"]}}}',
        b'{"checked_at":"2026-11-22T06:59:00Z","results":{"team-a":{"status":"perhaps"}}}',
        b'{"checked_at":"2026-11-22T06:59:00Z","results":{"team-a":{}}}',
        b'{"results":' + b"[" * 100_000,
        b'{"checked_at":"2026-11-22T06:59:00Z","results":{"team-a":{"status":"ok","x":"' + b"x" * (1 << 20) + b'"}}}',
    ],
)
def test_whatever_the_file_holds_it_says_nothing_and_breaks_nothing(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    assert seen().accounts == {}


@pytest.mark.parametrize(
    "entry",
    [
        {"status": "error", "account_status": 7, "reason": {"a": 1}, "error": ["x"], "scope": [], "ms": "soon"},
        {"status": "error", "account_status": "allowed"},
        {"status": "error", "account_status": "splendid"},
        {"status": "error", "reason": "\x1b[31m" * 1000},
    ],
)
def test_an_entry_of_the_wrong_types_says_nothing_of_the_account(file: Path, entry: dict[str, Any]) -> None:
    put(file, {"team-a": entry})
    assert seen().accounts["team-a"].history.by_source == {}


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "device", "loop", "long", "nul"])
def test_what_is_no_file_is_not_read(file: Path, kind: str) -> None:
    path = file
    if kind == "folder":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    elif kind in {"device", "loop"}:
        file.symlink_to("/dev/zero" if kind == "device" else file)
    elif kind == "long":
        path = file / ("x" * 5000)
    elif kind == "nul":
        path = Path(f"{file}\0")
    assert seen().accounts == {}
    if kind == "missing":
        assert check_file.read(path) == ()
    else:
        with pytest.raises(StoreError):
            check_file.read(path)


def test_a_file_that_changes_is_read_anew_and_one_that_does_not_is_not(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(file, {"team-a": OK})
    assert sorted(seen().accounts) == ["team-a"]
    with monkeypatch.context() as patched:
        patched.setattr("tokmon.pi.check_file.read_file", None)
        assert sorted(seen().accounts) == ["team-a"]
    put(file, {"team-b": OK, "team-a": {"status": "error"}})
    assert sorted(seen().accounts) == ["team-a", "team-b"]


def entry(age: float = 0.0, **fields: Any) -> dict[str, Any]:
    return {**OK, "checked_at": rfc3339(NOW - age), **fields}


def merged(file: Path, now: float = NOW, **results: dict[str, Any]) -> dict[str, Any]:
    named = {name.replace("_", "-"): each for name, each in results.items()}
    check_file.merge(paths.find(), file, named, now)
    told: dict[str, Any] = json.loads(file.read_bytes())
    return told


def test_a_new_file_has_the_form_and_is_private(file: Path) -> None:
    told = merged(file, team_a=entry())
    assert told == {"checked_at": rfc3339(NOW), "results": {"team-a": entry()}}
    assert mode(file) == 0o600
    assert mode(file.parent) == 0o755
    assert [*file.parent.iterdir()] == [file]


def test_who_was_not_checked_keeps_his_result_and_no_old_one_looks_new(file: Path) -> None:
    put(file, {"team-b": {**OK, "note": "theirs"}, "old": {**OK, "checked_at": rfc3339(NOW - CHECK_S - 1)}})
    told = merged(file, team_a=entry())
    assert told["checked_at"] == rfc3339(NOW - 60)
    assert told["results"] == {"team-a": entry(), "team-b": {**entry(60), "note": "theirs"}}
    assert [each.checked_at for each in check_file.read(file)] == [NOW, NOW - 60]


def test_the_mode_of_the_file_stays(file: Path) -> None:
    put(file, {})
    file.chmod(0o644)
    merged(file, team_a=entry())
    assert mode(file) == 0o644


def test_missing_folders_are_made_private(file: Path) -> None:
    merged(file.parent / "new" / "checks.json", team_a=entry())
    assert mode(file.parent / "new") == 0o700


@pytest.mark.parametrize("content", [b"{", b'{"providers":{}}', b"x" * (1 << 20) + b"x"])
def test_a_file_of_something_else_is_left_as_it_is(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(StoreError, match=str(file)):
        merged(file, team_a=entry())
    assert file.read_bytes() == content


@pytest.mark.parametrize("kind", ["link", "dangling", "pipe", "folder"])
def test_no_link_is_followed_and_nothing_else_replaced(file: Path, kind: str) -> None:
    other = file.with_name("other.json")
    if kind in {"link", "dangling"}:
        file.symlink_to(other)
    elif kind == "pipe":
        os.mkfifo(file)
    else:
        file.mkdir()
    if kind == "link":
        put(other, {})
    before = os.lstat(file)
    with pytest.raises(StoreError):
        merged(file, team_a=entry())
    after = os.lstat(file)
    # Reading a link sets its access time, so that one is not compared.
    assert (after.st_ino, after.st_mode, after.st_mtime_ns) == (before.st_ino, before.st_mode, before.st_mtime_ns)
    assert other.exists() == (kind == "link")
    assert not other.exists() or json.loads(other.read_bytes())["results"] == {}


def test_the_results_of_now_count_at_once(file: Path) -> None:
    merged(file, time.time(), team_a={**OK, "checked_at": rfc3339(time.time())})
    assert checked(seen(now=time.time()), time.time()) == ["team-a"]
