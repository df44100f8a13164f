"""One member's install, by every shell there is."""

from pathlib import Path

from tests.install.member import Member, tree


def test_an_install_gives_a_program_that_runs_and_an_extension(member: Member, shell: tuple[str, ...]) -> None:
    done = member.install(shell=shell)
    assert done.returncode == 0, done.stderr
    assert member.run("--version").stdout.startswith("tokmon ")
    assert "tokmon" in member.extension.read_text()
    assert not list(member.extension.parent.glob("*.before-tokmon*"))


def test_a_second_install_changes_nothing(member: Member, shell: tuple[str, ...]) -> None:
    assert member.install(shell=shell).returncode == 0
    before = tree(member.home)
    done = member.install(shell=shell)
    assert done.returncode == 0, done.stderr
    assert "nothing changed" in done.stdout
    assert tree(member.home) == before


def test_the_checkout_stays_as_it_is(member: Member, checkout: Path) -> None:
    before = tree(checkout)
    assert member.install().returncode == 0
    assert tree(checkout) == before
