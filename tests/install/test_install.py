"""One member's install, by every shell there is."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.extension.driver import EXTENSION, OLDER
from tests.install.conftest import few_programs, give_pi, seed
from tests.install.member import Member, end_sidecar, names, tree
from tests.installed_pi import npm_pi
from tests.pi import install as pis
from tests.pi.listener import PiListener
from tests.pi.provider import Provider
from tests.pi.runner import Home
from tests.pi.seats import Seat


def test_an_install_needs_no_program_but_a_shell_and_python_and_heeds_no_variable_of_another(member: Member) -> None:
    source, elsewhere = tree(member.checkout), str(member.home / "nowhere")
    done = member.install(
        PATH=str(few_programs(member)),
        PYTHONPATH=elsewhere,
        PYTHONHOME=elsewhere,
        PIP_USER="1",
        PIP_REQUIRE_VIRTUALENV="1",
        PIP_TARGET=elsewhere,
        PIP_PREFIX=elsewhere,
    )
    assert done.returncode == 0, done.stderr
    assert tree(member.checkout) == source
    assert member.run("--version", PYTHONPATH=elsewhere).stdout.startswith("tokmon ")
    assert not (member.home / "nowhere").exists()
    assert not (member.data / "current").resolve().stat().st_mode & 0o077


def test_every_shell_installs_and_a_second_install_changes_nothing(seeded: Member, shell: tuple[str, ...]) -> None:
    done = seeded.install(by=shell)
    assert done.returncode == 0, done.stderr
    assert seeded.extension.readlink() == seeded.data / "current" / "extensions" / "tokmon"
    assert names(seeded.extension) >= {"index.ts", "schema.ts"}
    assert seeded.run("extension", "--check").returncode == 0
    before = tree(seeded.home)
    done = seeded.install(by=shell)
    assert done.returncode == 0, done.stderr
    assert "nothing changed" in done.stdout
    assert tree(seeded.home) == before


def test_nothing_is_readable_by_others(seeded: Member) -> None:
    assert seeded.install().returncode == 0
    made = (seeded.home / ".local", seeded.home / ".pi", seeded.extension.parent, seeded.data / "versions")
    assert not [path for path in made if path.stat().st_mode & 0o077]


@pytest.mark.pi
def test_a_real_pi_loads_the_extension_through_the_installed_link(seeded: Member, tmp_path: Path) -> None:
    assert seeded.install().returncode == 0
    for version in ("0.66.1", "0.87.1", "1.6.0"):
        with Provider() as provider, PiListener(tmp_path, seeded.home) as listener:
            home = Home.make(pis.pi(version), seeded.home, provider, [Seat("team-a"), Seat("team-b")])
            home.env |= {"TOKMON_SOCKET": str(tmp_path / "sock"), "TOKMON_NO_SPAWN": "1"}
            run = home.run("hello", home.seats[1])
            (capture,) = listener.of("capture")
        assert (run.exit_code, run.stderr) == (0, "")
        assert (capture["pi"], capture["provider"], capture["attribution"]) == (version, "team-b", "wrapper")


def test_without_pi_the_extension_is_there_for_the_pi_that_comes_later(seeded: Member) -> None:
    shutil.rmtree(seeded.home / "bin")
    assert seeded.install().returncode == 0
    assert (seeded.extension / "index.ts").is_file()
    give_pi(seeded.home, "1.5.2")
    before = tree(seeded.home)
    assert "nothing changed" in seeded.install().stdout
    assert tree(seeded.home) == before


@pytest.mark.parametrize(
    ("version", "words"),
    [("0.60.0", "pi 0.60.0 is older than supported"), ("9.0.0", "pi 9.0.0 is newer than tested"), ("1.6.0", None)],
)
def test_a_pi_that_is_not_supported_is_named(seeded: Member, version: str, words: str | None) -> None:
    shutil.rmtree(seeded.home / "bin")
    npm_pi(seeded.home, version)
    done = seeded.install()
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("pi ") and " is " in line]
    assert lines == ([] if words is None else [words])


def test_an_extension_of_another_is_kept_and_so_is_the_one_kept_before(seeded: Member) -> None:
    seeded.extension.parent.mkdir(parents=True)
    for text in ("// first\n", "// second\n"):
        seeded.extension.unlink(missing_ok=True)
        seeded.extension.write_text(text)
        assert seeded.install().returncode == 0
    backup = sorted(seeded.extension.parent.glob("tokmon.before-tokmon*"))
    assert [path.read_text() for path in backup] == ["// first\n", "// second\n"]
    assert (seeded.extension / "index.ts").is_file()


def test_a_foreign_file_where_an_older_tokmon_had_its_own_is_left_and_named(seeded: Member) -> None:
    seeded.extension.parent.mkdir(parents=True)
    seeded.old_extension.write_text("// another's\n")
    done = seeded.install()
    assert f"{seeded.old_extension} is not tokmon's: it is left" in done.stdout
    assert seeded.old_extension.read_text() == "// another's\n"
    assert seeded.uninstall().returncode == 0
    assert seeded.old_extension.read_text() == "// another's\n"


@pytest.mark.parametrize("way", ["the file", "a link to a copy", "a copied folder", "a link to a copied folder"])
def test_what_a_dotfiles_manager_keeps_of_ours_is_replaced_and_never_comes_back(
    seeded: Member, tmp_path: Path, way: str
) -> None:
    """Were it taken for another's, an uninstall would put it back, and pi would load it again."""
    dotfiles = tmp_path / "dotfiles"
    dotfiles.mkdir()
    shutil.copy(OLDER, dotfiles / "tokmon.ts")
    shutil.copytree(EXTENSION, dotfiles / "tokmon")
    seeded.extension.parent.mkdir(parents=True)

    def put_back() -> None:
        match way:
            case "the file":
                shutil.copy(OLDER, seeded.old_extension)
            case "a link to a copy":
                seeded.old_extension.symlink_to(dotfiles / "tokmon.ts")
            case "a copied folder":
                shutil.copytree(EXTENSION, seeded.extension)
            case _:
                seeded.extension.symlink_to(dotfiles / "tokmon")

    put_back()
    done = seeded.install()
    assert done.returncode == 0, done.stderr
    assert names(seeded.extension.parent) == {".", f"tokmon -> {seeded.data / 'current' / 'extensions' / 'tokmon'}"}
    if way.startswith("a link"):
        (seeded.extension if way.endswith("folder") else seeded.old_extension).unlink(missing_ok=True)
        put_back()
    assert seeded.uninstall().returncode == 0
    assert not os.path.lexists(seeded.extension)
    assert not os.path.lexists(seeded.old_extension)
    assert names(dotfiles) == {".", "tokmon.ts", "tokmon", *(f"tokmon/{path.name}" for path in EXTENSION.iterdir())}


def test_what_an_older_install_kept_of_ours_is_not_put_back(seeded: Member, tmp_path: Path) -> None:
    """0.1.0 took a link to its own file for another's, and kept it beside."""
    assert seeded.install().returncode == 0
    shutil.copy(OLDER, tmp_path / "copy.ts")
    backup = seeded.old_extension.with_name("tokmon.ts.before-tokmon")
    backup.symlink_to(tmp_path / "copy.ts")
    receipt = seeded.data / "receipt.json"
    content = json.loads(receipt.read_text())
    content["files"][str(seeded.old_extension)] = {"content": "sha256:0", "earlier": None, "kept": [str(backup)]}
    receipt.write_text(json.dumps(content))
    assert seeded.uninstall().returncode == 0
    assert not os.path.lexists(seeded.old_extension)
    assert not os.path.lexists(backup)


def test_a_program_of_that_name_is_kept(seeded: Member) -> None:
    seeded.program.parent.mkdir(parents=True)
    seeded.program.write_text("#!/bin/sh\necho mine\n")
    assert seeded.install().returncode == 0
    assert seeded.program.with_name("tokmon.before-tokmon").read_text() == "#!/bin/sh\necho mine\n"
    assert seeded.run("--version").returncode == 0


def test_pis_folder_may_be_elsewhere(seeded: Member) -> None:
    agent = seeded.home / "pi of mine"
    assert seeded.install(PI_CODING_AGENT_DIR=str(agent)).returncode == 0
    assert (agent / "extensions" / "tokmon" / "index.ts").is_file()
    assert not (seeded.home / ".pi").exists()


@pytest.mark.parametrize("how", ["option", "one word", "variable"])
def test_a_prefix_holds_everything_but_pis_extension(member: Member, image: Path, how: str) -> None:
    prefix = member.home / "opt of mine"
    seed(member, image, prefix / "share" / "tokmon")
    words = {"option": ("--prefix", str(prefix)), "one word": (f"--prefix={prefix}",), "variable": ()}[how]
    assert member.install(*words, TOKMON_PREFIX=str(prefix) if how == "variable" else "").returncode == 0
    assert (prefix / "bin" / "tokmon").readlink() == prefix / "share" / "tokmon" / "current" / "bin" / "tokmon"
    assert not (member.home / ".local" / "bin").exists()


def test_the_data_folder_follows_xdg(member: Member, image: Path) -> None:
    data = member.home / "data"
    seed(member, image, data / "tokmon")
    assert member.install(XDG_DATA_HOME=str(data)).returncode == 0
    assert (data / "tokmon" / "current").is_symlink()
    assert member.run("--version").returncode == 0


def test_an_upgrade_keeps_the_version_before_and_no_more(member: Member, image: Path, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(member.checkout, checkout)
    moving = Member(member.home, checkout, member.environment)
    seen = []
    # No version of this name runs in another test.
    (checkout / "README.md").write_text(f"{tmp_path}\n")
    for _ in range(3):
        seed(moving, image)
        assert moving.install().returncode == 0
        seen.append((member.data / "current").readlink().name)
        readme = checkout / "README.md"
        readme.write_text(readme.read_text() + "more\n")
    assert len(set(seen)) == 3
    assert {path.name for path in (member.data / "versions").iterdir()} == set(seen[1:])


def test_a_version_whose_python_has_gone_is_made_again(seeded: Member) -> None:
    assert seeded.install().returncode == 0
    (version,) = (seeded.data / "versions").iterdir()
    (version / "bin" / "tokmon").unlink()
    planned = seeded.install("--dry-run").stdout
    assert f"would remove the unfinished {version}" in planned
    assert f"would make the environment {version}" in planned


def test_a_sidecar_of_the_old_version_is_replaced(member: Member, image: Path, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(member.checkout, checkout)
    moving = Member(member.home, checkout, member.environment)
    seed(moving, image)
    assert moving.install().returncode == 0
    assert member.run("sidecar", "--detach").returncode == 0
    try:
        (checkout / "README.md").write_text("another\n")
        seed(moving, image)
        assert "with the new version" in moving.install().stdout
        assert "with the new version" not in moving.install().stdout
    finally:
        end_sidecar(member)


def test_a_truncated_copy_runs_nothing(seeded: Member, tmp_path: Path, shell: tuple[str, ...]) -> None:
    lines = seeded.script.read_text().splitlines(keepends=True)
    (tmp_path / "bootstrap").mkdir()
    before = names(seeded.home)
    for end in range(0, len(lines), 5):
        (tmp_path / "bootstrap" / "install.sh").write_text("".join(lines[:end]))
        Member(seeded.home, tmp_path, seeded.environment).install(by=shell)
        assert names(seeded.home) == before
