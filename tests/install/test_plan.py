"""What a dry run says, and what an install does of it."""

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.install.member import Member, kill_at, names, tree

FOREIGN = "#!/bin/sh\necho foreign\n"


def steps(text: str) -> list[str]:
    """The steps in what an installer printed, as instructions."""
    begin = (
        "remove ",
        "make ",
        "install ",
        "try ",
        "link ",
        "write ",
        "keep ",
        "record ",
        "start ",
        "put back ",
        "end ",
    )
    return [line for line in (each.removeprefix("would ") for each in text.splitlines()) if line.startswith(begin)]


def test_a_dry_run_says_every_step_and_changes_nothing(member: Member) -> None:
    before = tree(member.home)
    done = member.install("--dry-run")
    assert done.returncode == 0, done.stderr
    assert tree(member.home) == before
    planned = steps(done.stdout)
    for name in ("versions/", ".local/bin/tokmon", "hooks/budget-select", "config.toml", "extensions/tokmon "):
        assert any(name in line for line in planned), name
    assert f"{len(planned)} steps would be taken; nothing was changed" in done.stdout
    assert all(line.startswith("would ") for line in done.stdout.splitlines() if line.removeprefix("would ") in planned)


def test_an_install_takes_the_steps_that_were_planned(seeded: Member) -> None:
    first = seeded.install()
    assert first.returncode == 0, first.stderr
    seeded.extension.unlink()
    seeded.extension.write_text("// somebody else's\n")
    (seeded.data / "hooks" / "budget-select").unlink()
    planned = seeded.install("--dry-run")
    before = tree(seeded.home)
    assert planned.returncode == 0
    assert tree(seeded.home) == before
    done = seeded.install()
    assert steps(done.stdout) == steps(planned.stdout) != []
    assert len(steps(done.stdout)) == 3


def test_a_dry_run_of_a_finished_install_plans_nothing(seeded: Member) -> None:
    assert seeded.install().returncode == 0
    before = tree(seeded.home)
    done = seeded.install("--dry-run")
    assert "nothing would be changed" in done.stdout
    assert not steps(done.stdout)
    assert tree(seeded.home) == before


def test_a_dry_run_is_not_held_off_by_a_lock_or_by_a_folder_that_is_not_there(member: Member) -> None:
    shutil.rmtree(member.home / "bin")
    done = member.install("--dry-run")
    assert done.returncode == 0, done.stderr
    assert names(member.home) == {"."}


def test_a_configuration_that_is_there_is_never_touched(seeded: Member) -> None:
    config = seeded.home / ".config" / "tokmon" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("mine\n")
    assert seeded.install().returncode == 0
    assert config.read_text() == "mine\n"
    config.unlink()
    config.symlink_to("nowhere")
    assert seeded.install().returncode == 0
    assert config.is_symlink()


def test_the_chain_is_proposed_out_of_the_accounts_of_pi(seeded: Member) -> None:
    models = seeded.home / ".pi" / "agent" / "models.json"
    models.parent.mkdir(parents=True)
    models.write_text(
        '{"providers":{"team-vigilio":{"baseUrl":"https://api.anthropic.com","api":"anthropic-messages",'
        '"apiKey":"x","models":[{"id":"claude-sonnet-4-6"}]}}}'
    )
    assert seeded.install().returncode == 0
    assert '"team-vigilio"' in (seeded.home / ".config" / "tokmon" / "config.toml").read_text()


@pytest.mark.parametrize("where", ["absolute", "in the home"])
def test_the_hook_and_the_scripts_beside_it_are_where_wakes_look_for_them(seeded: Member, where: str) -> None:
    folder = seeded.home / "wake scripts"
    (folder).mkdir()
    (folder / "budget-select").write_text(FOREIGN)
    done = seeded.install("--hook-dir", str(folder) if where == "absolute" else "~/wake scripts")
    assert done.returncode == 0, done.stderr
    hooks, bootstrap = seeded.checkout / "hooks", seeded.checkout / "bootstrap"
    beside = {name: bootstrap / name for name in ("beat.sh", "token-status")} | {
        "budget-select": hooks / "budget-select"
    }
    assert {path.name for path in (seeded.data / "hooks").iterdir()} == set(beside)
    placed = {seeded.data / "hooks" / name: source for name, source in beside.items()}
    for path, source in (placed | {folder / "budget-select": hooks / "budget-select"}).items():
        assert os.access(path, os.X_OK)
        assert path.read_bytes() == source.read_bytes()
    assert (folder / "budget-select.before-tokmon").read_text() == FOREIGN


PLANTED = (
    ".local/bin/tokmon",
    ".local/bin/.tokmon.tokmon-new",
    ".local/share/tokmon/current",
    ".local/share/tokmon/.current.tokmon-new",
    ".local/share/tokmon/receipt.json",
    ".local/share/tokmon/.receipt.json.tokmon-new",
    ".local/share/tokmon/hooks/budget-select",
    ".local/share/tokmon/hooks/.budget-select.tokmon-new",
    ".config/tokmon/.config.toml.tokmon-new",
    ".pi/agent/extensions/tokmon",
    ".pi/agent/extensions/tokmon.ts",
    ".pi/agent/extensions/.tokmon.tokmon-new",
)


def test_nothing_is_written_through_a_link_planted_at_any_path_that_is_written(seeded: Member, tmp_path: Path) -> None:
    victims = tmp_path / "victims"
    victims.mkdir()
    for number, name in enumerate(PLANTED):
        victim = victims / str(number)
        victim.write_text("precious\n")
        path = seeded.home / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.symlink_to(victim)
    before = tree(victims)
    done = seeded.install()
    assert done.returncode == 0, done.stderr
    assert tree(victims) == before
    assert seeded.run("--version").returncode == 0
    assert not (seeded.data / "receipt.json").is_symlink()


@pytest.mark.parametrize("name", ["install.lock", "versions"])
def test_a_link_in_the_place_of_the_lock_or_of_the_versions_is_not_followed(
    member: Member, tmp_path: Path, name: str
) -> None:
    victim = tmp_path / "victim"
    victim.mkdir() if name == "versions" else victim.write_text("precious\n")
    if name == "versions":
        os.chown(victim, 65534, 65534) if os.geteuid() == 0 else pytest.skip("not root")
    member.data.mkdir(parents=True, mode=0o700)
    (member.data / name).symlink_to(victim)
    if name == "versions":
        os.chown(member.data / name, 65534, 65534, follow_symlinks=False)
    before = tree(tmp_path)
    done = member.install()
    assert done.returncode == 1
    assert name in done.stderr
    assert tree(tmp_path) == before


def test_a_link_in_the_place_of_the_version_is_removed_and_not_followed(member: Member, tmp_path: Path) -> None:
    planned = member.install("--dry-run").stdout
    name = re.search(r"would make (\S+) the current version", planned)
    assert name
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "precious").write_text("kept\n")
    before = tree(victim)
    (member.data / "versions").mkdir(parents=True, mode=0o700)
    (member.data / "versions" / name[1]).symlink_to(victim)
    kill_at(member.start(), "install tokmon ")
    assert tree(victim) == before
    assert not (member.data / "versions" / name[1]).is_symlink()
