"""The program is root's: other versions of it, for all, and what a member may do beside that."""

from pathlib import Path
from typing import Final

import pytest

from tests.install.roots.debian import PATIENCE_S
from tests.install.roots.host import CHECKOUT, INSTALL, OFFLINE, VERSIONS, Host

pytestmark = [pytest.mark.long, pytest.mark.timeout(PATIENCE_S)]

EXTENSION: Final = ".pi/agent/extensions/tokmon"
HOOK: Final = ".local/share/tokmon/hooks/budget-select"


def current(host: Host) -> str:
    return host.root.sh("readlink /opt/tokmon/current").strip()


def test_a_member_completes_their_own_part_and_takes_it_away(host: Host) -> None:
    host.installed("--member", "ann", "--member", "ben")
    assert "nothing changed" in host.root.sh("tokmon install", user="ann")
    host.root.sh(f"rm ~/{EXTENSION}", user="ann")
    assert f"link /home/ann/{EXTENSION} to /opt/tokmon/current/extensions/tokmon" in host.root.sh(
        "tokmon install", user="ann"
    )
    assert (host.home("ann") / EXTENSION).is_symlink()
    host.root.sh("tokmon uninstall", user="ann")
    assert not (host.home("ann") / ".local").exists()
    assert (host.home("ben") / EXTENSION).is_symlink()
    assert host.root.sh("tokmon --version", user="ann").startswith("tokmon ")
    refused = host.root.run("tokmon", "install", "--rollback", user="ann")
    assert (refused.returncode, "no version to go back to" in refused.stderr) == (1, True)


def test_root_goes_back_for_all_and_uninstalls_one(host: Host) -> None:
    host.installed("--member", "ann", "--member", "ben")
    first, hook = current(host), (host.home("ann") / HOOK).read_bytes()
    host.root.sh(f"echo '# newer' >>{CHECKOUT}/hooks/budget-select")
    host.installed("--member", "ann", "--member", "ben")
    newer = (host.home("ann") / HOOK).read_bytes()
    assert newer == hook + b"# newer\n"
    assert current(host) != first
    host.root.sh("tokmon install --rollback --member ann --member ben")
    assert current(host) == first
    assert {(host.home(name) / HOOK).read_bytes() for name in ("ann", "ben")} == {hook}
    host.root.sh("tokmon uninstall --member ben")
    assert not (host.home("ben") / ".local").exists()
    assert (host.home("ann") / HOOK).is_file()
    assert host.root.sh("tokmon --version").startswith("tokmon ")


def test_the_program_starts_python_isolated(host: Host) -> None:
    host.installed("--member", "ann")
    first, *_ = host.root.sh("cat /usr/local/bin/tokmon").splitlines()
    assert first == f"#!/opt/tokmon/{current(host)}/bin/python -I"
    assert "configuration" in host.root.sh("PYTHONPATH=/nowhere PYTHONHOME=/nowhere tokmon config", user="ann")


def test_wheels_with_their_hashes_are_enough_for_all(host: Host) -> None:
    host.root.sh(
        "umask 022; rm -r /opt/tokmon; cp -R /srv/wheels /root/house; python3 -m venv /root/venv; cd /root/house;"
        f"/root/venv/bin/pip wheel --quiet --no-deps --wheel-dir . {CHECKOUT}; sha256sum *.whl >SHA256SUMS",
        **OFFLINE,
    )
    host.root.sh(f"{INSTALL} --wheelhouse /root/house --member ann", PIP_NO_INDEX="1")
    before = host.root.watched()
    host.root.sh(f"{INSTALL} --wheelhouse /root/house --member ann", PIP_NO_INDEX="1")
    assert host.root.watched() == before
    assert (host.home("ann") / EXTENSION).lstat().st_uid == host.uid("ann")
    host.root.sh("for each in /root/house/msgspec-*.whl; do echo >>$each; done")
    done = host.root.run(INSTALL, "--wheelhouse", "/root/house", PIP_NO_INDEX="1")
    assert done.returncode == 1
    assert "is not what `SHA256SUMS` says" in done.stderr


def test_a_program_for_all_is_not_put_where_a_member_could_exchange_it_nor_run_from_there(host: Host) -> None:
    version = host.root.sh("ls /opt/tokmon/versions").strip()
    planted = f"~/everyone/share/tokmon/versions/{version}"
    script = f"""mkdir -p {planted}/bin; cd {planted}; touch .complete
        printf '#!/bin/sh\\ntouch /home/ann/ran-as-$(id -un)\\n' >bin/tokmon; chmod 755 bin/tokmon"""
    host.root.sh(script, user="ann")
    done = host.install("--prefix", "/home/ann/everyone", "--member", "ben")
    assert done.returncode == 1
    assert "`/home/ann` belongs to another user" in done.stderr
    program = f"{VERSIONS}/{version}/bin/tokmon"
    undone = host.root.run(program, "uninstall", "--prefix", "/home/ann/everyone")
    assert undone.returncode == 1
    assert "`/home/ann` belongs to another user" in undone.stderr
    assert not (host.home("ann") / "ran-as-root").exists()
    host.root.sh(f"{planted}/bin/tokmon", user="ann")
    assert (host.home("ann") / "ran-as-ann").exists()


def test_a_python_that_members_cannot_run_is_refused_for_all(host: Host) -> None:
    host.root.sh("rm -r /opt/tokmon; chmod 700 /root; mkdir /root/bin; cp /usr/bin/python3 /root/bin/python3")
    words = (INSTALL, "--member", "ann")
    done = host.root.run(*words, TOKMON_PYTHON="/root/bin/python3", PIP_NO_INDEX="1")
    assert done.returncode == 1
    assert "cannot be run by others: `/root` is closed to them" in done.stderr
    assert not host.root.path("/opt/tokmon").exists()


def test_a_version_that_a_members_sidecar_runs_stays_until_the_install_that_replaces_it(host: Host) -> None:
    host.installed("--all")
    first = current(host)
    host.root.sh("~/.local/bin/tokmon sidecar --detach", user="cat")
    for _ in range(2):
        host.root.sh(f"echo '# newer' >>{CHECKOUT}/hooks/budget-select")
        host.installed("--member", "ann")
    assert Path(first).name in host.root.sh(f"ls {VERSIONS}").split()
    assert "cat: start the sidecar again" in host.installed("--all")
    assert Path(first).name not in host.root.sh(f"ls {VERSIONS}").split()
    host.root.sh("kill $(cat /home/cat/.local/state/tokmon/sidecar.lock)")


def test_the_hook_of_a_member_finds_roots_program_as_cron_starts_it(host: Host) -> None:
    host.installed("--member", "ann")
    done = host.root.run("env", "-i", "HOME=/home/ann", "PATH=/usr/bin:/bin", f"/home/ann/{HOOK}", user="ann")
    assert done.returncode == 0
    assert "there is no tokmon" not in done.stderr
