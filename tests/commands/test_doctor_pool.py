"""The check `pool`: how many members are read, and what is not believed and why."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands.clinic import finding_of, level
from tests.commands.screens import run
from tokmon import paths
from tokmon.pool import folder
from tokmon.report.findings import Level


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "lib" / "pool"
    monkeypatch.setenv("TOKMON_POOL_DIR", str(place))
    for name in ("ann", "ben", "me"):
        monkeypatch.setenv("TOKMON_MEMBER", name)
        folder.make_own(paths.find(), os.environ)
    return place


def configure(text: str) -> None:
    config = paths.find().config
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(text)


def test_members_are_counted(pool: Path) -> None:
    assert finding_of("pool").text == f"2 other members in `{pool}`"


def test_a_pool_that_is_not_there_has_no_members() -> None:
    finding = finding_of("pool")
    assert finding.level is Level.OK
    assert finding.text.startswith("0 other members in ")


def as_pipe(path: Path) -> None:
    os.mkfifo(path)


def as_link(path: Path) -> None:
    path.symlink_to("/dev/zero")


def as_dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


def as_nonsense(path: Path) -> None:
    path.write_text("[")


def as_gigabyte(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 30)


def as_open_file(path: Path) -> None:
    path.write_text("{}")
    path.chmod(0o666)


LINK = "a link, which tokmon does not follow"


@pytest.mark.parametrize("name", sorted(folder.FILES))
@pytest.mark.parametrize(
    ("put", "why"),
    [
        (as_pipe, "not a file"),
        (Path.mkdir, "not a file"),
        (as_link, LINK),
        (as_dangling_link, LINK),
        (as_nonsense, "not a JSON object"),
        (as_gigabyte, "more than"),
        (as_open_file, "another user may have written it"),
    ],
)
def test_a_file_that_is_not_believed_is_named_with_the_reason(
    pool: Path, name: str, put: Callable[[Path], None], why: str
) -> None:
    path = pool / "ann" / f"{name}.json"
    put(path)
    finding = finding_of("pool")
    assert finding.level is Level.WARN
    assert f"2 other members; not believed: `{path}`: {why}" in finding.text
    assert finding.text.count(str(path)) == 1


def test_an_account_from_the_future_is_named(pool: Path) -> None:
    (pool / "ann" / "evidence.json").write_text(json.dumps({"version": 99}))
    assert f"`{pool}/ann/evidence.json`: of another version of tokmon" in finding_of("pool").text


def test_a_folder_that_is_not_believed_is_named_and_the_others_are_counted(pool: Path) -> None:
    (pool / "ann").chmod(0o777)
    (pool / "odd name").mkdir()
    text = finding_of("pool").text
    assert text.startswith(f"1 other member; not believed: `{pool}/ann`: not a folder of user {os.geteuid()}; ")
    assert f"`{pool}/odd name`: not a member's name" in text


def test_of_many_problems_the_first_are_named(pool: Path) -> None:
    for number in range(20):
        (pool / f"odd name {number}").mkdir()
    text = finding_of("pool").text
    assert text.count("not a member's name") == 5
    assert text.endswith("; and 15 more")


def test_names_of_others_cannot_command_a_terminal(pool: Path) -> None:
    (pool / "\x1b[2Jodd").mkdir()
    (pool / os.fsdecode(b"\xff\xfe")).mkdir()
    for options in ((), ("--json",)):
        done = run("doctor", *options)
        assert "\x1b" not in done.stdout
        assert "odd" in done.stdout
        assert "Traceback" not in done.stderr


def test_who_does_not_share_reads_nobody(pool: Path) -> None:
    as_pipe(pool / "ann" / "evidence.json")
    configure("[pool]\nshare = false\n")
    assert level("pool") == "ok"


def test_a_member_that_is_ignored_is_not_counted_and_not_examined(pool: Path) -> None:
    as_pipe(pool / "ann" / "probes.json")
    configure('[pool]\nignore = ["ann"]\n')
    assert finding_of("pool").text == f"1 other member, 1 ignored in `{pool}`"
