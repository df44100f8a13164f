"""Root takes tokmon away from every member of a host."""

from typing import Final

import pytest

from tests.install.member import Entry
from tests.install.roots.debian import PATIENCE_S
from tests.install.roots.host import CLOSED, DAN, FOREIGN_HOOK, HOOK_DIR, INSTALL, MEMBERS, OFFLINE, VERSIONS, Host
from tests.install.roots.throwaway import WATCHED, contents
from tests.sidecar.running import wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(PATIENCE_S)]

LOGS: Final = ".logs/token-monitor"
STATE: Final = ".local/state/tokmon"


def everything(host: Host) -> dict[str, Entry]:
    """What is there, but for the versions that were put there before, as if root had built them."""
    found: dict[str, Entry] = {}
    for top in filter(lambda top: host.root.path(top).exists(), WATCHED):
        found |= {f"/{top}/{name}": entry for name, entry in contents(host.root.path(top)).items()}
    return {name: entry for name, entry in found.items() if not name.startswith("/opt/tokmon")}


def sessions(host: Host) -> None:
    """Have a sidecar run for two members, as after a session, and write what it writes."""
    for name in ("ann", "cat"):
        host.root.sh("~/.local/bin/tokmon sidecar --detach; ~/.local/bin/tokmon status >/dev/null", user=name)


def sidecars(host: Host) -> list[str]:
    script = "for each in /proc/[0-9]*; do tr '\\0' ' ' <$each/cmdline || true; echo; done 2>/dev/null"
    return [line for line in host.root.sh(script).splitlines() if "tokmon sidecar" in line]


def test_an_uninstall_leaves_nothing_but_what_was_recorded(host: Host) -> None:
    before = everything(host)
    host.installed("--all", "--hook-dir", HOOK_DIR)
    host.installed("--member", DAN)
    sessions(host)
    assert len(sidecars(host)) == 2
    done = host.root.run("tokmon", "uninstall")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sidecars(host) == []
    left = everything(host)
    recorded = {name for name in left if any(place in name for place in (LOGS, STATE))}
    assert {name.split("/")[2] for name in recorded} == {"ann", "cat"}
    above = {f"/home/{name}/{folder}" for name in ("ann", "cat") for folder in (".logs", ".local", ".local/state")}
    assert {name: entry for name, entry in left.items() if name not in recorded | above} == before
    assert not host.root.path("/opt/tokmon/current").is_symlink()
    assert not host.root.path(VERSIONS).exists()
    assert (host.home("eve") / "wake" / "budget-select").read_text() == FOREIGN_HOOK


def test_a_purge_leaves_nothing_at_all(host: Host) -> None:
    before = everything(host)
    host.installed("--all", "--hook-dir", HOOK_DIR)
    sessions(host)
    done = host.root.run("tokmon", "uninstall", "--purge")
    assert (done.returncode, "--yes" in done.stderr) == (2, True)
    done = host.root.run("tokmon", "uninstall", "--purge", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sidecars(host) == []
    assert everything(host) == before


def test_a_dry_run_of_a_purge_removes_nothing(host: Host) -> None:
    host.installed("--all")
    sessions(host)
    # Or else they would write on.
    host.root.sh("kill $(cat /home/*/.local/state/tokmon/sidecar.lock)")
    wait_until(lambda: not sidecars(host), "the end of the sidecars")
    before = host.root.watched()
    said = host.root.sh("tokmon uninstall --purge --dry-run")
    assert f"/home/ann/{LOGS}" in said
    assert host.root.watched() == before


def test_a_member_who_changed_a_file_keeps_it_and_is_told(host: Host) -> None:
    host.installed("--all")
    host.root.sh("echo '# mine' >>~/.local/share/tokmon/hooks/budget-select", user="ben")
    said = host.root.sh("tokmon uninstall")
    assert "ben: /home/ben/.local/share/tokmon/hooks/budget-select was changed" in said
    assert (host.home("ben") / ".local/share/tokmon/hooks/budget-select").read_text().endswith("# mine\n")
    assert not (host.home("ann") / ".pi/agent/extensions").exists()


def test_one_of_two_identities_of_an_account_is_not_taken_from_under_the_other(host: Host) -> None:
    host.installed("--member", "dan", "--member", DAN)
    before = everything(host)
    for one, other in (("dan", DAN), (DAN, "dan")):
        done = host.root.run("tokmon", "uninstall", "--member", one)
        assert done.returncode == 2
        assert f"`{one}` shares its account with `{other}`" in done.stderr
    assert everything(host) == before
    host.root.sh(f"tokmon uninstall --member dan --member {DAN}")
    assert not (host.home("dan") / ".local").exists()


def test_an_account_that_has_gone_is_in_nobodys_way(host: Host) -> None:
    host.installed("--all")
    host.root.sh("userdel --remove ben 2>/dev/null")
    assert "ben" in host.root.sh("tokmon uninstall")
    assert not host.root.path(VERSIONS).exists()
    for name in set(MEMBERS) - {"ben"}:
        assert not (host.home(name) / ".local").exists()


def test_a_program_that_a_member_had_installed_alone_goes_with_their_part(host: Host) -> None:
    script = "git clone --quiet /srv/tokmon/tokmon.bundle ~/tokmon; ~/tokmon/bootstrap/install.sh"
    host.root.sh(script, user="ann", **OFFLINE)
    assert (host.home("ann") / ".local/share/tokmon/versions").is_dir()
    host.installed("--all")
    assert host.root.sh("readlink ~/.local/bin/tokmon", user="ann").strip() == "/opt/tokmon/current/bin/tokmon"
    host.root.sh("tokmon uninstall")
    assert not (host.home("ann") / ".local").exists()


def test_an_uninstall_waits_for_an_install_before_it_touches_anybody(host: Host) -> None:
    host.installed("--member", "ann")
    said = f"{CLOSED}/said"
    script = f"""tokmon uninstall >{said} & until grep -q 'another install is running' {said}; do sleep 0.1; done
        readlink /home/ann/.local/bin/tokmon; kill $!"""
    host.root.path(f"{CLOSED}/script").write_text(script)
    told = host.root.sh(f"flock /opt/tokmon/install.lock timeout 60 sh -eu {CLOSED}/script")
    assert told.strip() == "/opt/tokmon/current/bin/tokmon"


def test_root_can_uninstall_from_the_checkout_where_the_program_does_not_run_any_more(host: Host) -> None:
    before = everything(host)
    host.installed("--all")
    host.root.sh("rm /opt/tokmon/versions/*/bin/python")
    host.root.sh(f"{INSTALL} uninstall")
    assert everything(host) == before
    assert not host.root.path(VERSIONS).exists()
