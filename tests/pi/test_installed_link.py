"""A real pi through the link of an install: an upgrade under a session, `/reload`, a rollback, an older file."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from tests.extension.driver import EXTENSION, OLDER
from tests.pi.answers import QUICK, Answer
from tests.pi.install import Pi
from tests.pi.listener import PiListener
from tests.pi.provider import Provider
from tests.pi.runner import Home
from tests.pi.seats import Seat
from tests.pi.test_capture import captured, served_as
from tokmon import paths
from tokmon.pi import extension

pytestmark = pytest.mark.pi

RELOAD: Final = Path(__file__).parent / "reload.ts"
SEATS: Final = [Seat("team-a"), Seat("team-b")]


def version(prefix: Path, number: str) -> Path:
    """A version of the program, which sends its number as the mission of every event."""
    folder = prefix / "versions" / number / "extensions" / "tokmon"
    shutil.copytree(EXTENSION, folder)
    file, mission = folder / "state.ts", "scrub(process.env.TOKMON_MISSION, 200)"
    assert mission in file.read_text()
    file.write_text(file.read_text().replace(mission, f'"{number}"'))
    return prefix / "versions" / number


def use(prefix: Path, target: Path) -> None:
    """Flip `current` as the installer does."""
    (prefix / "fresh").symlink_to(target)
    (prefix / "fresh").replace(prefix / "current")


def home_of(pi: Pi, tmp_path: Path, provider: Provider, *more: Path) -> Home:
    provider.queue(Answer(headers=QUICK))
    home = Home.make(pi, tmp_path / "pi", provider, SEATS, extensions=[RELOAD, *more])
    home.env |= {"TOKMON_SOCKET": str(tmp_path / "sock"), "TOKMON_NO_SPAWN": "1"}
    return home


def test_an_upgrade_under_a_running_session_loses_and_doubles_nothing_and_reload_uses_the_new_version(
    pi: Pi, provider: Provider, tmp_path: Path
) -> None:
    prefix = tmp_path / "share" / "tokmon"
    first = version(prefix, "8.0.1")
    use(prefix, first)
    home = home_of(pi, tmp_path, provider)
    (home.agent / "extensions" / "tokmon").symlink_to(prefix / "current" / "extensions" / "tokmon")
    with PiListener(tmp_path) as listener:
        with home.rpc() as rpc:
            rpc.prompt("one")
            use(prefix, version(prefix, "8.0.2"))
            shutil.rmtree(first)
            rpc.prompt("the version that was loaded is gone")
            rpc.send("new_session")
            rpc.prompt("another session")
            for _ in range(2):
                rpc.drive("/again")
                rpc.send("set_model", provider="team-b", modelId=SEATS[1].model)
                rpc.prompt("reloaded")
            assert rpc.close() == 0
        assert home.run("a process of its own").exit_code == 0
        captures, usages = listener.of("capture"), listener.of("usage")
    assert [captured(event) for event in captures] == [served_as(request) for request in provider.served]
    assert {event["attribution"] for event in captures} == {"wrapper"}
    assert len(captures) == len(usages) == 6
    assert [event["session"] for event in usages] == [event["session"] for event in captures]
    one, gone, *later = [event["session"] for event in captures[:5]]
    assert one == gone
    assert one not in later
    assert len(set(later)) == 1
    missions = [event["mission"] for event in captures]
    assert (missions[:2], missions[3:]) == (["8.0.1"] * 2, ["8.0.2"] * 3)


def test_a_session_that_loaded_the_file_of_an_older_tokmon_is_captured_once_after_reload(
    newest_pi: Pi, provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = home_of(newest_pi, tmp_path, provider)
    found = paths.find(home.env)
    shutil.copy(OLDER, found.old_extension)
    with PiListener(tmp_path) as listener:
        with home.rpc() as rpc:
            rpc.prompt("the older one captures this")
            monkeypatch.setattr(extension, "source", lambda: EXTENSION)
            extension.install(found)
            rpc.prompt("and this, until the session loads the new one")
            rpc.drive("/again")
            rpc.send("set_model", provider="team-b", modelId=SEATS[1].model)
            rpc.prompt("now the new one")
            assert rpc.close() == 0
        captures, usages = listener.of("capture"), listener.of("usage")
    assert not found.old_extension.exists()
    assert [captured(event) for event in captures] == [served_as(request) for request in provider.served]
    assert Counter(event["provider"] for event in usages) == {"team-a": 2, "team-b": 1}
    assert captures[-1]["attribution"] == "wrapper"


def test_a_link_that_leads_nowhere_after_a_rollback_does_not_disturb_pi(
    end_pi: Pi, provider: Provider, tmp_path: Path
) -> None:
    """A version before this one has no `extensions` folder, and puts its single file back."""
    home = home_of(end_pi, tmp_path, provider, OLDER)
    (home.agent / "extensions" / OLDER.name).rename(home.agent / "extensions" / "tokmon.ts")
    (home.agent / "extensions" / "tokmon").symlink_to(tmp_path / "current" / "extensions" / "tokmon")
    with PiListener(tmp_path) as listener:
        run = home.run()
        captures = listener.of("capture")
    assert (run.exit_code, run.stderr) == (0, "")
    assert [captured(event) for event in captures] == [served_as(request) for request in provider.served]
