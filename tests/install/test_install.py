"""One member's install, by every shell there is."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.install.conftest import few_programs, give_pi, seed
from tests.install.member import Member, names, tree
from tests.pi import install as pis


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


def test_every_shell_installs_and_a_second_install_changes_nothing(seeded: Member, shell: tuple[str, ...]) -> None:
    done = seeded.install(by=shell)
    assert done.returncode == 0, done.stderr
    assert seeded.run("extension", "--check", "--output", str(seeded.extension)).returncode == 0
    before = tree(seeded.home)
    done = seeded.install(by=shell)
    assert done.returncode == 0, done.stderr
    assert "nothing changed" in done.stdout
    assert tree(seeded.home) == before


def test_nothing_is_readable_by_others(seeded: Member) -> None:
    assert seeded.install().returncode == 0
    made = (seeded.home / ".local", seeded.home / ".pi", seeded.extension, seeded.data / "current" / "bin")
    assert not [path for path in made if path.stat().st_mode & 0o077]


@pytest.mark.pi
@pytest.mark.parametrize("version", ["0.66.1", "1.5.2"])
def test_the_extension_is_rendered_for_the_pi_that_answers(seeded: Member, version: str) -> None:
    real = shlex.join(pis.pi(version).command)
    assert seeded.install(TOKMON_PI=real).returncode == 0
    done = seeded.run("extension", "--check", "--pi-version", version, "--output", str(seeded.extension))
    assert done.returncode == 0, done.stderr


def test_without_pi_all_but_the_extension_is_installed_and_it_says_how_to_go_on(seeded: Member) -> None:
    shutil.rmtree(seeded.home / "bin")
    done = seeded.install()
    assert done.returncode == 0, done.stderr
    assert "the pi extension was left out" in done.stdout
    assert f"tokmon extension --output '{seeded.extension}'" in done.stdout
    assert not (seeded.home / ".pi").exists()
    before = tree(seeded.home)
    assert seeded.install().returncode == 0
    assert tree(seeded.home) == before


def test_once_pi_is_there_the_next_install_adds_the_extension(seeded: Member) -> None:
    shutil.rmtree(seeded.home / "bin")
    assert seeded.install().returncode == 0
    give_pi(seeded.home, "1.5.2")
    done = seeded.install()
    assert f"write {seeded.extension}" in done.stdout
    assert seeded.extension.is_file()


def test_a_newer_pi_gets_its_own_extension(seeded: Member) -> None:
    give_pi(seeded.home, "0.66.1")
    assert seeded.install().returncode == 0
    give_pi(seeded.home, "1.5.2")
    assert seeded.install().returncode == 0
    done = seeded.run("extension", "--check", "--pi-version", "1.5.2", "--output", str(seeded.extension))
    assert done.returncode == 0, done.stderr
    assert not list(seeded.extension.parent.glob("*.before-tokmon*"))


def test_an_extension_of_somebody_else_is_kept_and_so_is_the_one_kept_before(seeded: Member) -> None:
    seeded.extension.parent.mkdir(parents=True)
    for text in ("// first\n", "// second\n"):
        seeded.extension.unlink(missing_ok=True)
        seeded.extension.write_text(text)
        assert seeded.install().returncode == 0
    kept = sorted(seeded.extension.parent.glob("tokmon.ts.before-tokmon*"))
    assert [path.read_text() for path in kept] == ["// first\n", "// second\n"]
    assert "Made by `tokmon extension`" in seeded.extension.read_text()


def test_a_program_of_that_name_is_kept(seeded: Member) -> None:
    seeded.program.parent.mkdir(parents=True)
    seeded.program.write_text("#!/bin/sh\necho mine\n")
    assert seeded.install().returncode == 0
    assert seeded.program.with_name("tokmon.before-tokmon").read_text() == "#!/bin/sh\necho mine\n"
    assert seeded.run("--version").returncode == 0


def test_pis_folder_may_be_elsewhere(seeded: Member) -> None:
    agent = seeded.home / "pi of mine"
    assert seeded.install(PI_CODING_AGENT_DIR=str(agent)).returncode == 0
    assert (agent / "extensions" / "tokmon.ts").is_file()
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
        lock = member.home / ".local" / "state" / "tokmon" / "sidecar.lock"
        subprocess.run(["kill", lock.read_text().strip()], check=True)


def test_a_truncated_copy_runs_nothing(seeded: Member, tmp_path: Path, shell: tuple[str, ...]) -> None:
    lines = seeded.script.read_text().splitlines(keepends=True)
    (tmp_path / "bootstrap").mkdir()
    before = names(seeded.home)
    for end in range(0, len(lines), 5):
        (tmp_path / "bootstrap" / "install.sh").write_text("".join(lines[:end]))
        Member(seeded.home, tmp_path, seeded.environment).install(by=shell)
        assert names(seeded.home) == before
