"""What is taken away, what is left, and what comes back."""

import json
from pathlib import Path

import pytest

from tests.install.conftest import seed
from tests.install.member import Member, tree
from tests.sidecar.running import Client, capture, wait_until


@pytest.fixture
def before(member: Member, image: Path) -> dict[str, tuple[str, ...]]:
    """The member's home as it was; then a version is built there, which spares the slow part."""
    found = contents(member.home)
    seed(member, image)
    return found


def contents(root: Path) -> dict[str, tuple[str, ...]]:
    """The tree without what any work in a folder changes: times, and inodes of what was there all along."""
    return {name: (entry[0], entry[1], entry[-1]) for name, entry in tree(root).items()}


def without_made(member: Member) -> None:
    """What the fixture made before the installer could record that it did not exist."""
    for folder in (member.data, member.data.parent, member.data.parent.parent):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def uninstall(member: Member, *options: str) -> str:
    done = member.uninstall(*options)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.usefixtures("before")
def test_a_dry_run_removes_nothing(member: Member) -> None:
    assert member.install().returncode == 0
    there = tree(member.home)
    said = uninstall(member, "--dry-run")
    assert f"would remove {member.extension}" in said
    assert tree(member.home) == there


def test_all_that_was_installed_goes_and_nothing_else(member: Member, before: dict[str, tuple[str, ...]]) -> None:
    assert member.install().returncode == 0
    uninstall(member)
    without_made(member)
    assert contents(member.home) == before


def test_the_installed_program_removes_itself(member: Member, before: dict[str, tuple[str, ...]]) -> None:
    assert member.install().returncode == 0
    done = member.run("uninstall", "--user")
    assert done.returncode == 0, done.stderr
    assert "left" not in done.stdout
    without_made(member)
    assert contents(member.home) == before


def test_what_others_had_put_there_comes_back(member: Member, before: dict[str, tuple[str, ...]]) -> None:
    hook = member.home / "wake" / "budget-select"
    for path in (member.program, member.extension, hook):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"foreign: {path.name}\n")
    assert before
    found = {name: entry for name, entry in contents(member.home).items() if "share" not in name}
    assert member.install("--hook-dir", str(hook.parent)).returncode == 0
    assert (member.extension / "index.ts").is_file()
    uninstall(member)
    without_made(member)
    assert {name: entry for name, entry in contents(member.home).items() if "share" not in name} == found


@pytest.mark.usefixtures("before")
def test_what_was_changed_since_is_left_and_said(member: Member) -> None:
    assert member.install().returncode == 0
    config = member.home / ".config" / "tokmon" / "config.toml"
    config.write_text("# mine now\n")
    assert f"{config} was changed since it was installed: it is left" in uninstall(member)
    assert config.read_text() == "# mine now\n"
    assert not member.extension.exists()


@pytest.mark.usefixtures("before")
def test_a_sidecar_that_runs_is_ended_and_logs_and_state_stay(member: Member) -> None:
    assert member.install().returncode == 0
    logs = member.home / ".logs" / "token-monitor"
    socket = Path(member.environment["XDG_RUNTIME_DIR"]) / "tokmon" / "sock"
    assert member.run("sidecar", "--detach").returncode == 0
    client = Client(socket)
    client.send(capture(1))
    client.acknowledged(1)
    client.close()
    pid = int((member.home / ".local/state/tokmon/sidecar.lock").read_text())
    assert f"end the sidecar (pid {pid})" in uninstall(member)
    assert not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text()
    assert [json.loads(line)["id"] for line in (logs / "piggyback.jsonl").read_text().splitlines()]
    assert (member.home / ".local" / "state" / "tokmon").is_dir()


@pytest.mark.usefixtures("before")
def test_purge_takes_logs_and_state_but_not_what_others_wrote_there(member: Member) -> None:
    assert member.install().returncode == 0
    logs = member.home / ".logs" / "token-monitor"
    assert member.run("sidecar", "--detach").returncode == 0
    wait_until((member.home / ".local/state/tokmon/state.json").exists, "the snapshot")
    uninstall(member, "--dry-run", "--purge")
    (logs / "piggyback.jsonl").write_text("")
    (logs / "theirs.jsonl").write_text("kept\n")
    refused = member.uninstall("--purge")
    assert refused.returncode == 2
    assert "no terminal to ask on" in refused.stderr
    said = uninstall(member, "--purge", "--yes")
    assert said.startswith("--purge removes the logs and the state as well")
    assert [path.name for path in logs.iterdir()] == ["theirs.jsonl"]
    assert not (member.home / ".local" / "state").exists()
    assert not (Path(member.environment["XDG_RUNTIME_DIR"]) / "tokmon").exists()


def test_without_an_install_there_is_nothing_to_take_away(member: Member) -> None:
    before = tree(member.home)
    done = member.install("--help")
    assert done.returncode == 0
    from_checkout = member.uninstall()
    assert from_checkout.returncode == 0, from_checkout.stderr
    assert "nothing is installed for this user" in from_checkout.stdout
    assert tree(member.home) == before


def test_what_an_uninstall_left_that_was_killed_at_its_end_goes_with_the_next(member: Member) -> None:
    member.data.mkdir(parents=True)
    (member.data / "install.lock").touch()
    before = tree(member.home)
    assert "1 steps would be taken" in uninstall(member, "--dry-run")
    assert tree(member.home) == before
    uninstall(member)
    assert not member.data.exists()
    member.data.mkdir()
    (member.data / "something").touch()
    assert "nothing was installed" in uninstall(member)


@pytest.mark.usefixtures("before")
def test_the_checkout_can_uninstall_where_the_program_cannot_run_any_more(member: Member) -> None:
    assert member.install().returncode == 0
    (member.data / "current" / "bin" / "python").unlink()
    done = member.uninstall()
    assert done.returncode == 0, done.stderr
    assert not member.program.is_symlink()
    assert not (member.data / "versions").exists()
