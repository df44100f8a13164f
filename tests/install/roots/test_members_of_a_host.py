"""Root installs for every member of a host."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.install.roots.conftest import seeded
from tests.install.roots.debian import PATIENCE_S
from tests.install.roots.host import DAN, FOREIGN_HOOK, HOOK_DIR, INSTALL, MEMBERS, OFFLINE, Host
from tests.install.roots.throwaway import contents, descendants, entered, is_installer
from tests.sidecar.running import wait_until

pytestmark = pytest.mark.timeout(PATIENCE_S)

AS_OVER_A_NETWORK: Final = ("dac_override", "dac_read_search", "fowner")
"""Without these root is stopped by modes and owners like anybody else, as where homes come over a network.

It can give a folder away, as the members' folders of the pool, which lies on this host.
"""

PROGRAM: Final = ".local/bin/tokmon"
EXTENSION: Final = ".pi/agent/extensions/tokmon"
HOOK: Final = ".local/share/tokmon/hooks/budget-select"


@pytest.fixture(scope="module")
def installed(debian: Path, shared: tuple[Path, ...], built: Path) -> Iterator[Host]:
    """A host on which root, who can see no home, has installed for all and by name; every test leaves it so."""
    with entered(debian, *shared, built) as root:
        host = seeded(root)
        root.sh("chmod 700 /home/*")
        for options in (("--member", DAN), ("--all", "--hook-dir", HOOK_DIR)):
            done = host.install(*options, without=AS_OVER_A_NETWORK)
            assert done.returncode == 0, done.stdout + done.stderr
        yield host


def test_a_root_of_that_kind_can_see_no_home(installed: Host) -> None:
    done = installed.root.run("ls", "/home/ann", without=AS_OVER_A_NETWORK)
    assert "Permission denied" in done.stderr


@pytest.mark.parametrize("name", MEMBERS)
def test_every_member_has_all_of_it(installed: Host, name: str) -> None:
    root = installed.root
    assert root.sh(f"~/{PROGRAM} --version", user=name).startswith("tokmon ")
    root.sh(f"~/{PROGRAM} extension --check && test -r ~/{EXTENSION}/index.ts", user=name)
    assert len(root.sh(f"~/{HOOK}", user=name).split()) == 2
    root.sh(f"cmp ~/{HOOK} ~/wake/budget-select", user=name)
    assert root.sh("tokmon --version", user=name).startswith("tokmon ")


@pytest.mark.parametrize("name", [*MEMBERS, "dan"])
def test_all_in_a_home_belongs_to_the_member(installed: Host, name: str) -> None:
    found = [path.lstat() for path in installed.home(name).rglob("*")]
    assert len(found) > 10
    assert {each.st_uid for each in found} == {installed.uid(name)}


def test_an_agent_folder_elsewhere_gets_its_extension(installed: Host) -> None:
    agent = installed.root.path("/srv/agents/dan")
    assert (agent / "extensions" / "tokmon").lstat().st_uid == installed.uid("dan")
    assert not (installed.home("dan") / ".pi").exists()


@pytest.mark.parametrize("name", [*MEMBERS, "dan"])
def test_every_account_has_a_folder_of_the_pool_and_a_copy_of_the_hosts_key(installed: Host, name: str) -> None:
    folder = installed.root.path(f"/var/lib/tokmon/pool/{name}").lstat()
    assert (folder.st_uid, f"{folder.st_mode:o}") == (installed.uid(name), "40755")
    key, copy = installed.root.path("/var/lib/tokmon/identity.key"), installed.home(name) / ".local/state/tokmon"
    assert [f"{path.lstat().st_mode:o}" for path in (key, copy / key.name)] == ["100600"] * 2
    assert len(key.read_bytes()) == 32
    assert (copy / key.name).read_bytes() == key.read_bytes()
    assert key.read_bytes().hex() not in installed.installed("--member", "ann", "--dry-run")


def test_a_hook_of_a_members_own_is_kept(installed: Host) -> None:
    assert (installed.home("eve") / "wake" / "budget-select.before-tokmon").read_text() == FOREIGN_HOOK


def test_what_root_installed_is_for_all_to_read_and_for_root_to_write(installed: Host) -> None:
    found = [path.lstat() for path in installed.root.path("/opt/tokmon").rglob("*")]
    assert {each.st_uid for each in found} == {0}
    assert not [each for each in found if each.st_mode & 0o022 and each.st_mode & 0o170000 != 0o120000]


def test_again_there_is_nothing_to_do_and_nothing_is_touched(installed: Host) -> None:
    before = installed.root.watched()
    for options in (("--member", DAN), ("--all", "--hook-dir", HOOK_DIR)):
        assert "nothing changed" in installed.installed(*options)
    assert installed.root.watched() == before


def test_who_was_named_once_is_set_up_with_all(installed: Host) -> None:
    extension = installed.root.path("/srv/agents/dan/extensions/tokmon")
    extension.unlink()
    assert f"{DAN}: link /srv/agents/dan/extensions/tokmon to" in installed.installed("--all", "--hook-dir", HOOK_DIR)
    assert extension.lstat().st_uid == installed.uid("dan")


@pytest.mark.long
@pytest.mark.parametrize("is_built", [True, False])
def test_a_dry_run_says_all_and_changes_nothing(host: Host, *, is_built: bool) -> None:
    """Before the first version is there, members run a copy of the checkout, which they could not read."""
    if not is_built:
        host.root.sh("rm -r /opt/tokmon")
    before = host.root.watched()
    said = host.installed("--all", "--dry-run")
    assert host.root.watched() == before
    for name in MEMBERS:
        assert f"/home/{name}/{EXTENSION}" in said
        assert f"/home/{name}/{HOOK}" in said
        assert f"would make the folder /var/lib/tokmon/pool/{name}\n" in said
        assert f"{name}: would write /home/{name}/.local/state/tokmon/identity.key\n" in said


@pytest.mark.long
def test_a_member_whose_part_fails_keeps_nobody_from_theirs(host: Host) -> None:
    host.root.sh("mv ~/.pi/agent ~/.pi/was; ln -s /etc ~/.pi/agent", user="ann")
    host.root.sh("touch ~/.local", user="cat")
    done = host.install("--all")
    assert done.returncode == 1
    assert "error: ann: " in done.stderr
    assert "error: cat: " in done.stderr
    assert "error: ben" not in done.stderr
    for name in ("ben", "eve"):
        assert (host.home(name) / EXTENSION).is_symlink()
    host.root.sh("rm ~/.pi/agent; mv ~/.pi/was ~/.pi/agent", user="ann")
    host.root.sh("rm ~/.local", user="cat")
    before = contents(host.root.path("/home/ben"))
    host.installed("--all")
    assert contents(host.root.path("/home/ben")) == before
    for name in MEMBERS:
        assert (host.home(name) / EXTENSION).is_symlink()


@pytest.mark.long
def test_an_install_that_was_killed_amid_a_members_part_is_finished_by_the_next(host: Host) -> None:
    # His lock is held until he lets go, so that his part is what is killed.
    lock = ".local/share/tokmon/install.lock"
    held = f"(flock 9; until [ -e ~/go ]; do sleep 0.05; done) 9>~/{lock} >/dev/null 2>&1 &"
    host.root.sh(
        f"mkdir -p -m 700 ~/.local/share/tokmon; {held} until ! flock -n ~/{lock} true; do sleep 0.05; done",
        user="ben",
    )
    words = host.root.command(INSTALL, "--all", without=(), **OFFLINE)
    with subprocess.Popen(words, cwd="/", stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert any(line.startswith("ben: another install is running") for line in running.stdout)
        installers = [pid for pid in descendants(running.pid) if is_installer(pid)]
        os.kill(installers[0], signal.SIGKILL)
    host.root.sh("touch ~/go", user="ben")
    wait_until(lambda: not any(is_installer(pid) for pid in installers), "the end of the member's part")
    assert not (host.home("eve") / EXTENSION).exists()
    host.installed("--all")
    for name in MEMBERS:
        host.root.sh(f"~/{PROGRAM} extension --check && test -r ~/{EXTENSION}/index.ts", user=name)
        assert not [path for path in host.home(name).rglob("*") if path.name.endswith("tokmon-new")]
    assert "nothing changed" in host.installed("--all")


@pytest.mark.long
def test_identities_that_share_an_account_each_have_their_extension(host: Host) -> None:
    before = contents(host.root.path("/srv/agents"))
    both = ("--member", "dan", "--member", DAN)
    host.installed(*both)
    folders = ("/home/dan/.pi/agent", "/srv/agents/dan")
    for folder in folders:
        host.root.sh(f"test -r {folder}/extensions/tokmon/index.ts", user="dan")
    assert "nothing changed" in host.installed(*both)
    host.root.sh("tokmon uninstall")
    assert not (host.home("dan") / ".local").exists()
    assert not (host.home("dan") / ".pi").exists()
    assert contents(host.root.path("/srv/agents")) == before


@pytest.mark.long
def test_without_members_the_program_is_installed_all_the_same(host: Host) -> None:
    host.root.sh("rm -r /home/*/.pi")
    assert "--member" in host.installed("--all")
    assert host.root.sh("tokmon --version").startswith("tokmon ")


@pytest.mark.parametrize("options", [("--member", "nobody-here"), ("--member", "dan=agents/dan")])
def test_a_member_that_cannot_be_is_refused_before_anything_is_done(installed: Host, options: tuple[str, str]) -> None:
    before = installed.root.watched()
    done = installed.install(*options)
    assert done.returncode == 2
    assert installed.root.watched() == before
