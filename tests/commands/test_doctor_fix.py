"""`tokmon doctor --fix` fixes what belongs to this user; without the option it only names what it would fix."""

import json
import os
import shutil
import socket
import stat
from contextlib import closing
from pathlib import Path

import pytest

from tests.commands.clinic import foreign_extension, listening, our_socket, pi_of, program, subject
from tests.commands.screens import run
from tests.extension.driver import EXTENSION, OLDER
from tokmon import paths
from tokmon.doctor_checks import TABLE, examine
from tokmon.doctor_checks.repairs import possible
from tokmon.errors import StoreError
from tokmon.pi import extension
from tokmon.report.findings import Level, Named


def fixed(name: str, **env: str) -> Named:
    return examine(name, subject(None, **env), fix=True)


def fixable(name: str, **env: str) -> tuple[str, ...]:
    """What it would fix; asking twice gives the same, since nothing was fixed."""
    first = examine(name, subject(None, **env)).fixable
    assert examine(name, subject(None, **env)).fixable == first
    return first


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def made(path: Path, bits: int, content: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if content is None:
        path.mkdir(exist_ok=True)
    else:
        path.write_text(content)
    path.chmod(bits)
    return path


def test_own_folders_are_made_private() -> None:
    locations = paths.find()
    loose = [made(folder, 0o755) for folder in (locations.logs, locations.state, locations.spool)]
    wanted = tuple(f"mode 700 for `{path}`" for path in loose)
    assert fixable("folders") == wanted
    assert [mode(path) for path in loose] == [0o755] * 3
    named = fixed("folders")
    assert (named.finding.level, named.fixed, named.unfixed) == (Level.OK, wanted, ())
    assert [mode(path) for path in loose] == [0o700] * 3


def test_a_folder_closed_to_its_owner_is_opened() -> None:
    logs = made(paths.find().logs, 0o000)
    finding = examine("folders", subject()).finding
    assert (finding.level, finding.text) == (Level.FAIL, f"`{logs}`: closed to this user")
    assert fixed("folders").finding.level is Level.OK
    assert mode(logs) == 0o700


def test_own_files_are_made_private() -> None:
    locations = paths.find()
    log, state = made(locations.piggyback, 0o644, "line\n"), made(locations.snapshot, 0o660, "{}")
    assert len(fixable("files")) == 2
    assert fixed("files").finding.level is Level.OK
    assert (mode(log), mode(state)) == (0o600, 0o600)
    assert log.read_text() == "line\n"


def test_links_and_pipes_are_not_touched_nor_followed(tmp_path: Path) -> None:
    locations = paths.find()
    target, folder = made(tmp_path / "target", 0o644, ""), made(tmp_path / "folder", 0o755)
    locations.logs.mkdir(parents=True, mode=0o700)
    (locations.logs / "piggyback.jsonl").symlink_to(target)
    os.mkfifo(locations.logs / "usage.jsonl", 0o622)
    (locations.logs / "archive").symlink_to(folder)
    for name in ("files", "folders"):
        assert fixable(name) == ()
        assert fixed(name).finding.level is Level.FAIL
    assert (mode(target), mode(folder)) == (0o644, 0o755)


def test_a_file_that_becomes_a_link_before_the_repair_is_not_followed(tmp_path: Path) -> None:
    target, log = made(tmp_path / "target", 0o644, ""), made(paths.find().piggyback, 0o644, "")
    (repair,) = possible("files", subject())
    log.unlink()
    log.symlink_to(target)
    with pytest.raises(StoreError, match="is a symbolic link now"):
        repair.do()
    assert mode(target) == 0o644


def test_the_socket_is_made_private_in_a_private_folder() -> None:
    with listening(our_socket(), 0o666):
        assert fixable("socket") == (f"mode 600 for `{our_socket()}`",)
        assert fixed("socket").finding.level is Level.OK
        assert mode(our_socket()) == 0o600


def test_a_socket_in_an_open_folder_is_not_touched() -> None:
    with listening(our_socket(), 0o666):
        our_socket().parent.chmod(0o777)
        named = fixed("socket")
        assert named.unfixed
        assert mode(our_socket()) == 0o666


def test_a_socket_behind_a_link_is_not_touched(tmp_path: Path) -> None:
    real = tmp_path / "real"
    with closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(str(real))
        real.chmod(0o666)
        our_socket().parent.mkdir(parents=True, mode=0o700)
        our_socket().symlink_to(real)
        assert fixable("socket") == ()
        assert fixed("socket").finding.level is Level.FAIL
        assert mode(real) == 0o666


@pytest.mark.parametrize("before", ["missing", "an older file", "a copy", "a link that leads nowhere"])
def test_the_extension_is_linked(tmp_path: Path, before: str) -> None:
    link, old = paths.find().extension, paths.find().old_extension
    link.parent.mkdir(parents=True)
    match before:
        case "an older file":
            shutil.copy(OLDER, old)
        case "a copy":
            shutil.copytree(EXTENSION, link)
        case "a link that leads nowhere":
            link.symlink_to(tmp_path / "current" / "extensions" / "tokmon")
    assert fixable("extension") == (f"the link `{link}` to tokmon's extension",)
    named = fixed("extension")
    assert (named.finding.level, len(named.fixed)) == (Level.OK, 1)
    assert link.readlink() == extension.source()
    assert list(link.parent.iterdir()) == [link]
    assert fixed("extension").fixed == ()


@pytest.mark.parametrize("reason", ["foreign", "foreign link", "off"])
def test_an_extension_of_another_is_left(tmp_path: Path, reason: str) -> None:
    path = foreign_extension()
    if reason == "foreign link":
        path.rename(tmp_path / "own.ts")
        path.symlink_to(tmp_path / "own.ts")
    if reason == "off":
        path.unlink()
    before = sorted(path.parent.iterdir())
    env = {"TOKMON_DISABLE": "1"} if reason == "off" else {}
    assert fixable("extension", **env) == ()
    assert fixed("extension", **env).fixed == ()
    assert sorted(path.parent.iterdir()) == before
    assert path.is_symlink() == (reason == "foreign link")


def test_a_repair_that_fails_is_named_and_the_others_are_made(tmp_path: Path) -> None:
    pi = pi_of("1.5.2", tmp_path)
    log = made(paths.find().piggyback, 0o644, "")
    made(paths.find().agent, 0o700)
    (paths.find().agent / "extensions").write_text("in the way")
    done = run("doctor", "--fix", TOKMON_PI=pi)
    assert done.returncode == 1
    assert "not fixed: the link" in done.stdout
    assert f"fixed: mode 600 for `{log}`" in done.stdout
    assert mode(log) == 0o600


def test_the_whole_doctor_says_what_it_would_do_then_does_it_and_then_has_nothing_to_do(tmp_path: Path) -> None:
    pi = program(tmp_path / "pi", "echo 0.87.1")
    made(paths.find().piggyback, 0o640, "")
    made(paths.find().logs, 0o750)
    path = paths.find().old_extension
    path.parent.mkdir(parents=True)
    shutil.copy(OLDER, path)
    shown = run("doctor", TOKMON_PI=pi).stdout
    assert shown.count("doctor --fix: ") == 3
    assert path.exists()
    checks = {check["name"]: check for check in json.loads(run("doctor", "--json", TOKMON_PI=pi).stdout)["checks"]}
    assert list(checks) == list(TABLE)
    assert [name for name in checks if checks[name]["fixable"]] == ["folders", "files", "extension"]
    assert run("doctor", "--fix", TOKMON_PI=pi).stdout.count(" fixed: ") == 3
    assert not path.exists()
    assert paths.find().extension.readlink() == extension.source()
    again = run("doctor", "--fix", TOKMON_PI=pi).stdout
    assert "fixed:" not in again
    assert "--fix:" not in again
