"""What another member knows is shown and judged like a member's own evidence, and every screen says whose it is."""

import json
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from tests.commands import hostile
from tests.commands.logbook import HOUR, NOW, Record, line, window, write
from tests.commands.screens import providers, run, screens_of
from tests.commands.test_one_verdict import EXIT_CODES, MINUTE, WORKS, at, valid_key, week
from tests.configuration import write_config
from tests.pool.publishing import SEATS, as_published, be_member, publish, publish_value, with_credential
from tokmon.evidence.shared import with_others
from tokmon.evidence.snapshot import Snapshot
from tokmon.report.status import status_text
from tokmon.report.status_json import to_json
from tokmon.report.view import View, view
from tokmon.report.wake_block import wake_text
from tokmon.report.words import Style, visible
from tokmon.selection.policy import Policy
from tokmon.store.codec import parse

SELECT = '[select]\nchain = ["team-a", "team-b"]\npolicy = "threshold"\nmodel = "claude-sonnet-4-6"\n'


@pytest.fixture(autouse=True)
def _ludo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This test's home is that of `ludo`, a member of the pool with the accounts of `SEATS`."""
    be_member("ludo", tmp_path, monkeypatch, SEATS)
    write_config(SELECT)


def used_up() -> Record:
    """A 429 of some hours ago: neither age nor reset is about to become another number."""
    return at(3.25 * HOUR, "team-a", "rejected", windows=[week(1.0, 23.25 * HOUR, status="rejected")], http_status=429)


def model_used_up() -> Record:
    sonnet = week(1.0, name="7d_sonnet", scope="model", status="rejected")
    return at(MINUTE, "team-a", "rejected", windows=[sonnet], scope="model", model="claude-sonnet-4-6")


@pytest.mark.parametrize(
    ("record", "fitness", "reason"),
    [
        (used_up, "excluded", "7d used up"),
        (
            lambda: at(MINUTE, "team-a", "overloaded", scope="provider", http_status=529),
            "unknown",
            "no current data; provider overloaded",
        ),
        (lambda: at(20 * MINUTE, "team-a", "allowed", windows=[week(0.3)]), "usable", "works"),
        (lambda: at(MINUTE, "team-a", "no_credit"), "excluded", "no credit"),
        (lambda: valid_key(MINUTE, "team-a"), "unknown", "key valid"),
        (model_used_up, "excluded", "claude-sonnet-4-6 refused (rejected)"),
    ],
    ids=["429", "529", "windows", "no credit", "key valid", "model window"],
)
def test_all_screens_agree_on_evidence_of_another_member(
    record: Callable[[], Record], fitness: str, reason: str
) -> None:
    publish("nadja", record(), WORKS)
    shown = screens_of("team-a")
    assert (shown.status[0], shown.select[0], shown.guard) == (fitness, fitness, EXIT_CODES[fitness])
    assert shown.status[1].startswith(reason)
    assert shown.select[1].startswith(shown.status[1])
    assert fitness in shown.title.lower()
    assert shown.wake[0] in {"usable": "✓!", "excluded": "✗", "unknown": "?"}[fitness]
    assert fitness != "excluded" or shown.decided_for == "team-b"


def test_every_screen_says_whose_evidence_it_is() -> None:
    publish("nadja", used_up(), WORKS)
    shown = screens_of("team-a")
    assert "3h ago (pi, by nadja)" in shown.block
    assert shown.wake == "✗ 7d used up (3h ago, by nadja), resets in 23h"
    assert "rejected (pi, by nadja, 3h ago)" in shown.select[1]
    assert "7d 100% used 3h ago (by nadja), resets in 23h" in shown.select[1]
    known = providers()["team-a"]
    assert (known["status"]["member"], known["windows"][0]["member"]) == ("nadja", "nadja")
    (decided,) = [
        one for one in json.loads(run("select", "--json").stdout)["alternatives"] if one["status"] == "rejected"
    ]
    assert (decided["provider"], decided["source"], decided["member"]) == ("team-a", "piggyback", "nadja")


def test_newer_evidence_of_the_member_itself_counts_and_names_nobody() -> None:
    publish("nadja", used_up())
    write("piggyback.jsonl", with_credential(at(MINUTE, "team-a", "allowed", windows=[week(0.1)])))
    assert providers()["team-a"]["fitness"] == "usable"
    for words in (("status",), ("status", "--json"), ("status", "--format", "wake"), ("select", "--explain")):
        assert "nadja" not in run(*words).stdout


def test_older_own_evidence_gives_way_to_newer_evidence_of_another_member_window_by_window() -> None:
    own = at(6 * HOUR, "team-a", "allowed", windows=[week(0.1), {**week(0.4), "name": "7d_sonnet", "scope": "model"}])
    write("piggyback.jsonl", with_credential(own))
    publish("nadja", used_up())
    windows = {gauge["name"]: gauge.get("member") for gauge in providers()["team-a"]["windows"]}
    assert windows == {"7d": "nadja", "7d_sonnet": None}


@pytest.mark.parametrize("table", ['[pool]\nignore = ["nadja"]\n', "[pool]\nshare = false\n"])
def test_a_member_that_is_ignored_or_a_pool_that_is_not_shared_changes_nothing(table: str) -> None:
    publish("nadja", used_up())
    assert screens_of("team-a").status == ("excluded", "7d used up")
    write_config(f"{SELECT}{table}")
    shown = screens_of("team-a")
    assert shown.status == ("unknown", "no response recorded yet")
    assert "nadja" not in shown.block + shown.wake + shown.select[1]


def changed(change: Callable[[Any], Any]) -> dict[str, Any]:
    """A publication of one account with each instant, text or number replaced."""
    value = parse(json.dumps(_published()).encode())
    assert value is not None

    def replaced(part: Any) -> Any:
        if isinstance(part, dict):
            return {name: replaced(entry) for name, entry in part.items()}
        return [replaced(entry) for entry in part] if isinstance(part, list) else change(part)

    value["accounts"] = replaced(value["accounts"])
    return value


def _published() -> dict[str, Any]:
    return json.loads(publish("nadja", used_up(), WORKS).read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def _if(kind: type, replacement: Any) -> Callable[[Any], Any]:
    return lambda part: replacement if isinstance(part, kind) and not isinstance(part, bool) else part


def _is_instant(part: Any) -> bool:
    return isinstance(part, str) and part.endswith("Z") and part[:2] == "20"


LIES: dict[str, Callable[[], Any]] = {
    "the future": lambda: changed(lambda part: "2099-01-01T00:00:00Z" if _is_instant(part) else part),
    "the past": lambda: changed(lambda part: "1970-01-01T00:00:00Z" if _is_instant(part) else part),
    "negative numbers": lambda: changed(_if(float, -1.0)),
    "huge numbers": lambda: changed(_if(float, 1e300)),
    "texts for numbers": lambda: changed(_if(float, "\x1b[2J")),
    "control characters": lambda: changed(lambda part: "\x1b]0;x\x07\n## obey" if part == "rejected" else part),
    "nothing": lambda: changed(lambda _: None),
    "many accounts": lambda: {
        **_published(),
        "accounts": {f"n{number}\x1b[2J": {"identities": []} for number in range(3000)},
    },
    "a list": lambda: [1, 2, 3],
    "no accounts": lambda: {**_published(), "accounts": "many", "sessions": {"team-a": 1}},
    "sessions": lambda: {
        **_published(),
        "sessions": [
            {"provider": "\x1b[2J", "count": 99, "since": "2020-01-01T00:00:00Z"},
            {"provider": "team-a", "count": 10**9, "since": "2020-01-01T00:00:00Z"},
        ],
    },
}


def unbroken(*words: str) -> str:
    """What the command prints on a narrow terminal; never a fault, nor a character that does not print."""
    done = run(*words, COLUMNS="80")
    assert done.returncode in {0, 1}, done
    assert "internal error" not in done.stderr
    assert "the check failed" not in done.stdout
    assert [row for row in done.stdout.splitlines() if not row.isprintable()] == []
    return done.stdout


@pytest.mark.parametrize("lie", LIES)
def test_a_member_that_lies_breaks_no_screen(lie: str) -> None:
    publish_value("nadja", LIES[lie]())
    for words in (("status",), ("status", "--format", "wake"), ("select", "--explain", "--no-probe")):
        unbroken(*words)


def test_members_that_lie_break_no_list_of_members_and_no_check() -> None:
    for number, lie in enumerate(LIES):
        publish_value(f"liar-{number}", LIES[lie]())
    report = unbroken("status", "--all")
    assert [f"Member liar-{number}: " in report for number in range(len(LIES))] == [True for _ in LIES]
    known = json.loads(unbroken("status", "--all", "--json"))
    assert len(known["members"]) == len(LIES) + 2, "with `ludo`, and `nadja`, of which the lies were made"
    unbroken("status", "--member", "liar-1")
    unbroken("guard", "--fail-open")
    unbroken("doctor")


def merged(*lines: Record) -> View:
    """These lines as another member published them, merged into an empty snapshot of the same accounts."""
    theirs = as_published("nadja", *lines)
    return view(with_others(Snapshot(), {"nadja": theirs}, {}, theirs.providers), {}, Policy(), Policy(), NOW)


@given(lines=hostile.LINES.map(lambda record: [record]))
def test_no_published_evidence_can_break_the_report(*, lines: list[dict[str, Any]]) -> None:
    shown = merged(*lines)
    for width in (20, 80):
        for row in status_text(shown, width, Style(zone=UTC)):
            assert visible(row) <= width
            assert row.isprintable()
    for row in wake_text(shown, Style()):
        assert row.isprintable()
        assert len(row) <= 78
    json.dumps(to_json(shown))


def test_at_80_columns_a_row_with_the_name_of_a_member_stays_one_line() -> None:
    rows = status_text(
        merged(line("a", "allowed", window("5h", 1.0, 22.9 * HOUR), window("7d", 0.5, 22.9 * HOUR), age=59 * 60.0)),
        80,
        Style(zone=UTC),
    )
    assert [row.split()[0] for row in rows[2:4]] == ["5h", "7d"]
    assert all("%  resets in 22h 54m, Mon 05:54Z  " in row for row in rows[2:4])
    assert all(row.endswith("  59m ago (pi, by nadja)") for row in rows[2:4])
    assert all(len(row) == 80 for row in rows[2:4])
