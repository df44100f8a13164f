"""`tokmon status --all` and `--member NAME`: every member of the pool, as each of them knows its accounts."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.commands.logbook import DAY, HOUR, Record, write
from tests.commands.screens import run
from tests.commands.test_one_verdict import MINUTE, at, week
from tests.configuration import write_config
from tests.pool.publishing import SEATS, be_member, folder_of, publish, publish_value
from tokmon import paths
from tokmon.pool.publication import RunningSessions


def used_up() -> Record:
    """A 429 of some hours ago: its age is not about to become another number."""
    return at(3.25 * HOUR, "team-a", "rejected", windows=[week(1.0, status="rejected")], http_status=429)


@pytest.fixture(autouse=True)
def _ludo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This test's home is that of `ludo`, which has used `team-b` itself."""
    be_member("ludo", tmp_path, monkeypatch, SEATS)
    write("piggyback.jsonl", at(1.25 * HOUR, "team-b", "allowed", windows=[week(0.1)]))


def report(*words: str, columns: int = 200) -> str:
    done = run("status", *(words or ("--all",)), COLUMNS=str(columns))
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def headings(text: str) -> list[str]:
    return [row for row in text.splitlines() if row.startswith("Member ")]


def members() -> dict[str, Any]:
    return {one["member"]: one for one in json.loads(report("--all", "--json"))["members"]}


def test_own_accounts_come_first_and_each_member_has_what_it_knows_itself() -> None:
    publish("buio", at(2.25 * HOUR, "xai-1", "allowed"))
    publish(
        "nadja",
        used_up(),
        sessions=[RunningSessions("team-a", 2, time.time() - 60), RunningSessions("x", 1, time.time())],
    )
    text = report()
    assert headings(text) == [
        "Member ludo (this one): newest evidence 1h ago",
        "Member buio: newest evidence 2h ago",
        "Member nadja: newest evidence 3h ago; 3 sessions running",
    ]
    own, of_buio, of_nadja = text.split("Member ")[1:]
    assert "UNKNOWN   team-a  teams-direct  no response recorded yet" in own
    assert "by " not in own
    assert "OK        xai-1  teams-direct  usable" in of_buio
    assert "CRITICAL  team-a  teams-direct  excluded  7d used up, until " in of_nadja
    assert "3h ago (pi, by nadja)" in of_nadja
    assert "  2 sessions running" in of_nadja.splitlines()


def test_sessions_that_were_published_long_ago_have_ended() -> None:
    file = publish("nadja", used_up(), sessions=[RunningSessions("team-a", 2, time.time() - 60)])
    content = json.loads(file.read_text(encoding="utf-8"))
    publish_value("nadja", {**content, "ts": "2026-01-01T00:00:00Z"})
    assert members()["nadja"]["sessions"] == []


def test_why_nothing_is_known_of_a_member_is_written_beside_its_name() -> None:
    folder_of("empty")
    publish("ignored", used_up())
    publish("silent", used_up())
    os.utime(folder_of("silent") / "evidence.json", (time.time() - 20 * DAY,) * 2)
    publish("unused")
    publish_value("wrong", ["nothing"])
    (folder_of("empty").parent / "link").symlink_to(folder_of("ignored"))
    write_config('[pool]\nignore = ["ignored"]\n')
    text = report()
    assert headings(text)[1:] == [
        "Member empty: has published nothing yet",
        "Member ignored: ignored (`[pool] ignore`)",
        "Member silent: has published nothing for 20 days",
        "Member unused: knows of no account",
        "Member wrong: not believed: not a JSON object",
    ]
    pool = paths.find().pool
    _, _, refused = text.partition("Not believed:\n")
    folder, file = (
        f"`{pool}/link`: not a folder of user {os.geteuid()}",
        f"`{pool}/wrong/evidence.json`: not a JSON object",
    )
    assert " ".join(refused.split()) == f"{folder} {file}"
    write_config("[pool]\nshare = false\n")
    assert headings(report())[1] == "Member empty: not read (`[pool] share = false`)"


def test_one_member_is_shown_alone() -> None:
    publish("buio", used_up())
    publish("nadja", used_up())
    assert headings(report("--member", "nadja")) == ["Member nadja: newest evidence 3h ago"]
    assert headings(report("--member=ludo")) == ["Member ludo (this one): newest evidence 1h ago"]
    (only,) = json.loads(report("--member", "nadja", "--json"))["members"]
    assert (only["member"], only["own"], only["overall"]["CRITICAL"]) == ("nadja", False, 1)


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (("--member", "nadya"), "the pool has no member `nadya`", "did you mean `nadja`?"),
        (("--member", ""), "the pool has no member ``", "`tokmon status --all` lists the members"),
        (("--member", "link"), "the pool has no member `link`", "/link` is not believed: not a folder of user"),
        (("--all", "--format", "wake"), "a wake prompt has the accounts", "leave out"),
        (("--all", "--member", "nadja"), "`--member` not allowed with argument `--all`", ""),
    ],
)
def test_what_is_not_a_member_is_wrong_usage(words: tuple[str, ...], error: str, hint: str) -> None:
    publish("nadja", used_up())
    (folder_of("nadja").parent / "link").symlink_to("/etc")
    done = run("status", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {error}")
    assert hint in done.stderr


def test_without_an_account_of_its_own_a_member_such_as_root_sees_all_others() -> None:
    publish("nadja", used_up())
    locations = paths.find()
    locations.models.unlink()
    (locations.logs / "piggyback.jsonl").unlink()
    text = " ".join(report(columns=80).split())
    assert text.startswith("Member ludo (this one): no evidence yet no accounts: pi has none (`")
    assert "Member nadja: newest evidence 3h ago CRITICAL team-a" in text


@pytest.mark.parametrize("columns", [20, 40, 80])
def test_no_row_is_longer_than_the_terminal_but_for_a_path(columns: int) -> None:
    publish("a-member-with-a-name-that-is-longer-than-a-row", used_up())
    publish("nadja", used_up())
    rows = report("--all", columns=columns).splitlines()
    assert [row for row in rows if len(row) > columns] == []


def test_a_member_with_many_accounts_does_not_fill_the_screen() -> None:
    publish("nadja", *(at(MINUTE, f"made-up-{number}", "allowed") for number in range(50)))
    rows = report().splitlines()
    assert len([row for row in rows if row.startswith("OK        made-up-")]) == 40
    assert "10 more: `--json` has all" in rows
    assert len(members()["nadja"]["providers"]) == 50
