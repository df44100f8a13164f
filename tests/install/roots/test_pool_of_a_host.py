"""The pool of a host with real members: who reads what, and what is left of a member that leaves."""

import json
from pathlib import Path
from typing import Final

import pytest

from tests.install.roots.debian import PATIENCE_S
from tests.install.roots.host import DAN, MEMBERS, Host

pytestmark = [pytest.mark.long, pytest.mark.timeout(PATIENCE_S)]

PLACE: Final = "/var/lib/tokmon"
POOL: Final = f"{PLACE}/pool"
KEY: Final = ".local/state/tokmon/identity.key"
PUBLISH: Final = f"umask 022; echo '{{}}' >{POOL}/$USER/evidence.json"


def modes(host: Host) -> dict[str, str]:
    """Mode, owner and group of each folder of the pool."""
    lines = host.root.sh(f"cd {POOL}; stat --format '%n %a %U %G' *").splitlines()
    return dict(line.split(maxsplit=1) for line in lines)


def recorded(host: Host) -> set[str]:
    return set(json.loads(host.root.path(f"{PLACE}/members.json").read_text())["members"])


def reads(host: Host, name: str, other: str) -> bool:
    return host.root.run("cat", f"{POOL}/{other}/evidence.json", user=name).returncode == 0


def start_sidecar(host: Host, name: str) -> None:
    host.root.sh("~/.local/bin/tokmon sidecar --detach", user=name)


def sidecar(host: Host, name: str) -> str:
    """The process of the member's sidecar."""
    return host.root.sh(f"cat /home/{name}/.local/state/tokmon/sidecar.lock").strip()


def groups_of(host: Host, pid: str) -> list[str]:
    return host.root.sh(f"sed -n 's/^Groups://p' /proc/{pid}/status").split()


def test_with_a_group_only_its_members_read_and_a_later_install_keeps_it(host: Host) -> None:
    host.root.sh("groupadd quota; usermod -aG quota ann; usermod -aG quota ben")
    printed = host.installed("--all", "--pool-group", "quota")
    assert modes(host) == {name: f"2750 {name} quota" for name in MEMBERS}
    for name in MEMBERS:
        assert (f"{name} is not in the group `quota`" in printed) == (name not in {"ann", "ben"})
        host.root.sh(PUBLISH, user=name)
    assert reads(host, "ann", "eve")
    assert not reads(host, "eve", "ann")
    assert "nothing changed" in host.installed("--all")
    assert modes(host)["ann"] == "2750 ann quota"
    host.installed("--all", "--no-pool-group")
    assert modes(host) == {name: f"755 {name} {name}" for name in MEMBERS}
    assert reads(host, "eve", "ann")
    assert "nothing changed" in host.installed("--all")


def test_a_running_sidecar_is_started_again_with_a_group_that_its_user_joined(host: Host) -> None:
    host.installed("--member", "ann", "--member", "ben")
    start_sidecar(host, "ann")
    start_sidecar(host, "ben")
    before = {name: sidecar(host, name) for name in ("ann", "ben")}
    host.root.sh("groupadd quota; usermod -aG quota ann")
    gid = host.root.sh("getent group quota").split(":")[2]
    printed = host.installed("--member", "ann", "--member", "ben", "--pool-group", "quota")
    assert "ann: start the sidecar again, with the group of the pool" in printed
    assert "ben: start the sidecar again" not in printed
    assert gid in groups_of(host, sidecar(host, "ann"))
    assert (sidecar(host, "ann") == before["ann"], sidecar(host, "ben") == before["ben"]) == (False, True)
    assert "nothing changed" in host.installed("--member", "ann", "--member", "ben")
    host.root.sh("tokmon uninstall")


def test_a_members_own_key_gives_way_to_the_hosts_and_so_does_the_hosts_to_a_new_one(host: Host) -> None:
    host.root.sh("umask 077; cd; mkdir -p .local/state/tokmon; head -c 32 /dev/zero >~/" + KEY, user="ann")
    host.installed("--member", "ann", "--member", "ben")
    key = host.root.path(f"{PLACE}/identity.key")
    first = key.read_bytes()
    assert {(host.home(name) / KEY).read_bytes() for name in ("ann", "ben")} == {first}
    host.root.sh(f"umask 022; head -c 32 /dev/urandom >{PLACE}/identity.key")
    host.installed("--all")
    assert key.read_bytes() != first
    assert {(host.home(name) / KEY).read_bytes() for name in MEMBERS} == {key.read_bytes()}
    assert f"{key.lstat().st_mode:o}" == "100600"


def test_of_an_account_that_has_gone_the_next_install_leaves_nothing(host: Host) -> None:
    host.installed("--all")
    host.root.sh(PUBLISH, user="ben")
    host.root.sh("userdel --remove ben 2>/dev/null")
    assert f"remove {POOL}/ben, whose member has left" in host.installed("--all")
    assert set(modes(host)) == recorded(host) == set(MEMBERS) - {"ben"}
    assert "nothing changed" in host.installed("--all")


def test_a_member_that_is_uninstalled_leaves_the_pool(host: Host) -> None:
    host.installed("--all")
    for name in MEMBERS:
        host.root.sh(PUBLISH, user=name)
    host.root.sh("~/.local/bin/tokmon uninstall", user="ann")
    assert list(host.root.path(f"{POOL}/ann").iterdir()) == []
    planned = host.root.sh("tokmon uninstall --member ben --dry-run")
    assert f"would remove {POOL}/ben, whose member has left" in planned
    host.root.sh("tokmon uninstall --member ben")
    assert set(modes(host)) == recorded(host) == set(MEMBERS) - {"ben"}
    host.root.sh("tokmon uninstall")
    assert not host.root.path(PLACE).exists()
    assert not (host.home("eve") / ".local").exists()


@pytest.mark.parametrize("name", ["", "/pool", "/pool/ann", "/identity.key"])
def test_a_link_in_the_place_of_the_pool_is_reported_and_members_are_set_up(host: Host, name: str) -> None:
    path = f"{PLACE}{name}"
    host.root.sh(f"mkdir -p {Path(path).parent} /srv/elsewhere; chmod 700 /srv/elsewhere; ln -s /srv/elsewhere {path}")
    done = host.install("--member", "ann")
    assert done.returncode == 1
    assert f"error: the pool: `{path}` is in the way" in done.stderr
    assert "hint: move it away" in done.stderr
    elsewhere = host.root.path("/srv/elsewhere")
    assert (f"{elsewhere.lstat().st_mode:o}", list(elsewhere.iterdir())) == ("40700", [])
    assert (host.home("ann") / ".pi/agent/extensions/tokmon").is_symlink()
    host.root.sh(f"rm {path}")
    host.installed("--member", "ann")
    assert modes(host)["ann"] == "755 ann ann"


def test_a_group_that_there_is_not_is_refused_before_anything_is_done(host: Host) -> None:
    before = host.root.watched()
    done = host.install("--all", "--pool-group", "nobody-here")
    assert (done.returncode, "there is no group `nobody-here`" in done.stderr) == (2, True)
    assert host.root.watched() == before


def test_an_upgrade_from_a_tokmon_without_a_pool_makes_it_for_all(host: Host) -> None:
    host.installed("--all")
    host.root.sh(f"rm -r {PLACE}")
    host.installed("--member", "ann")
    assert set(modes(host)) == recorded(host) == set(MEMBERS)


def doctor(host: Host, name: str) -> dict[str, str]:
    """What the doctor of a member says of the pool."""
    done = host.root.run(f"/home/{name}/.local/bin/tokmon", "doctor", "--json", user=name)
    (check,) = (check for check in json.loads(done.stdout)["checks"] if check["name"] == "pool")
    return {field: check[field] for field in ("level", "text", "fix")}


def test_the_doctor_of_a_member_names_what_others_planted_and_blocks_on_nothing(host: Host) -> None:
    host.installed("--all")
    assert doctor(host, "ann")["text"] == f"3 other members in `{POOL}`"
    folder = f"{POOL}/ben"
    script = "mkfifo evidence.json; ln -s /etc/shadow decisions.json; truncate -s 1G probes.json"
    host.root.sh(f"cd {folder}; {script}", user="ben")
    host.root.sh(f"chmod 777 {POOL}/eve", user="eve")
    host.root.sh(f"mkdir {POOL}/stranger")
    found = doctor(host, "ann")
    assert (found["level"], found["text"].split(";")[0]) == ("warn", "2 other members")
    for named in (
        f"`{folder}/evidence.json`: not a file",
        f"`{folder}/decisions.json`: a link, which tokmon does not follow",
        f"`{folder}/probes.json`: more than 65536 bytes",
        f"`{POOL}/eve`: not a folder of user {host.uid('eve')}",
        f"`{POOL}/stranger`: not a member that root's install recorded",
    ):
        assert named in found["text"]
    assert f"{POOL}/eve`: not" not in doctor(host, "eve")["text"]
    assert "this user has no folder of its own" in doctor(host, "eve")["text"]
    host.root.sh(f"head -c 32 /dev/zero >~/{KEY}", user="ann")
    assert f"`/home/ann/{KEY}` is not the key of this host" in doctor(host, "ann")["text"]
    host.installed("--all")
    assert doctor(host, "ann")["text"].startswith("3 other members; ")
    assert "this user has no folder of its own" not in doctor(host, "eve")["text"]


def test_the_doctor_names_the_group_that_a_member_is_not_in(host: Host) -> None:
    host.root.sh("groupadd quota; usermod -aG quota ann")
    host.installed("--all", "--pool-group", "quota")
    assert doctor(host, "ann")["text"] == f"3 other members in `{POOL}`"
    found = doctor(host, "ben")
    assert "for the group `quota`, which this process is not in" in found["text"]
    assert "usermod --append --groups quota" in found["fix"]


def test_the_identities_of_one_account_share_its_folder(host: Host) -> None:
    host.installed("--member", "dan", "--member", DAN, "--member", "ann")
    assert set(modes(host)) == {"ann", "dan"}
    environment = {"PI_CODING_AGENT_DIR": "/srv/agents/dan", "TOKMON_MEMBER": "dan-two"}
    done = host.root.run("/home/dan/.local/bin/tokmon", "doctor", "--json", user="dan", without=(), **environment)
    assert f"1 other member in `{POOL}`" in done.stdout
