"""Root installs on a host that systemd has booted, with logind: units of members who are not there, and lingering."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.install.capabilities import without_boots
from tests.install.roots.conftest import seeded
from tests.install.roots.debian import PATIENCE_S
from tests.install.roots.host import INSTALL, MEMBERS, OFFLINE, Host
from tests.install.roots.throwaway import descendants, entered, is_installer
from tests.install.test_user_units import CLIENT
from tests.sidecar.running import capture, lines_of, wait_until

pytestmark = [
    pytest.mark.long,
    pytest.mark.systemd,
    pytest.mark.timeout(PATIENCE_S),
    pytest.mark.skipif(without_boots() is not None, reason=without_boots() or "-"),
]

UNITS: Final = ("tokmon.socket", "tokmon.service")
LOG: Final = ".logs/token-monitor/piggyback.jsonl"
NO_DELAY: Final = """
mkdir /etc/systemd/logind.conf.d
printf '[Login]\\nUserStopDelaySec=0\\n' >/etc/systemd/logind.conf.d/no-delay.conf
systemctl restart systemd-logind
"""
"""Without it the manager of a user who logged out waits ten seconds for them to come back."""

LINGER: Final = "/var/lib/systemd/linger"


@pytest.fixture
def booted(debian: Path, shared: tuple[Path, ...], built: Path) -> Iterator[Host]:
    """A booted host with members, of whom ann lingers and eve is logged in."""
    with entered(debian, *shared, built, boot=True) as root:
        host = seeded(root)
        root.sh(f"{NO_DELAY}loginctl enable-linger ann")
        log_in(host, "eve")
        yield host


def log_in(host: Host, name: str) -> None:
    """Have a member logged in, by a session that stays."""
    unit = f"session-of-{name}"
    options = f"--unit {unit} --uid {name} --property PAMName=login"
    host.root.sh(f"systemd-run --quiet {options} sleep infinity")
    wait_until(lambda: manager(host, name) == "active", f"the user manager of {name}")


def log_out(host: Host, name: str) -> None:
    host.root.sh(f"systemctl stop session-of-{name}")
    wait_until(lambda: manager(host, name) == "inactive", f"the end of the user manager of {name}", seconds=60)


def manager(host: Host, name: str) -> str:
    return host.root.run("systemctl", "is-active", f"user@{host.uid(name)}").stdout.strip()


def states(host: Host, name: str) -> list[str]:
    """What a member's manager says of the units."""
    runtime = f"/run/user/{host.uid(name)}"
    words = ("systemctl", "--user", "is-active", *UNITS)
    return host.root.run(*words, user=name, XDG_RUNTIME_DIR=runtime).stdout.split()


def lingering(host: Host) -> set[str]:
    return {path.name for path in host.root.path(LINGER).iterdir()}


def send(host: Host, name: str, number: int) -> None:
    """Send a capture by the socket, and see that it is in the log once it was acknowledged."""
    runtime, stdin = f"/run/user/{host.uid(name)}", json.dumps(capture(number))
    done = host.root.run("python3", "-c", CLIENT, user=name, stdin=stdin, XDG_RUNTIME_DIR=runtime)
    assert done.returncode == 0, done.stderr
    assert f"capture-{number:08}" in [line["id"] for line in lines_of(host.home(name) / LOG)]


def test_every_member_is_listened_for_and_lingers_only_where_that_is_needed(booted: Host) -> None:
    assert lingering(booted) == {"ann"}  # and not eve, who is logged in
    booted.installed("--all")
    assert lingering(booted) == {"ann", "ben", "cat"}
    for number, name in enumerate(MEMBERS):
        assert states(booted, name) == ["active", "inactive"]
        send(booted, name, number)
        assert states(booted, name) == ["active", "active"]
    assert "nothing changed" in booted.installed("--all")
    assert [states(booted, name) for name in MEMBERS] == [["active", "active"]] * len(MEMBERS)
    log_out(booted, "eve")
    log_in(booted, "eve")
    assert states(booted, "eve") == ["active", "inactive"]
    send(booted, "eve", len(MEMBERS))
    assert booted.root.run("tokmon", "uninstall").returncode == 0
    assert lingering(booted) == {"ann"}
    for name in ("ann", "eve"):
        assert states(booted, name) == ["inactive", "inactive"]
        assert not list((booted.home(name) / ".config").rglob("tokmon.*"))


def test_a_kill_where_lingering_is_turned_on_is_mended_by_the_next_install_and_undone_by_an_uninstall(
    booted: Host,
) -> None:
    words = booted.root.command(INSTALL, "--all", without=(), **OFFLINE)
    with subprocess.Popen(words, cwd="/", stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert any("have systemd run for ben without a login" in line for line in running.stdout)
        for pid in filter(is_installer, descendants(running.pid)):
            os.kill(pid, signal.SIGKILL)
    booted.installed("--all")
    assert lingering(booted) == {"ann", "ben", "cat"}
    assert "nothing changed" in booted.installed("--all")
    assert booted.root.run("tokmon", "uninstall").returncode == 0
    assert lingering(booted) == {"ann"}


def groups_of_sidecar(host: Host, name: str) -> list[str]:
    pid = (host.home(name) / ".local/state/tokmon/sidecar.lock").read_text().strip()
    return host.root.sh(f"sed -n 's/^Groups://p' /proc/{pid}/status").split()


def test_a_group_of_the_pool_reaches_the_sidecar_unless_its_manager_runs_other_things(booted: Host) -> None:
    booted.installed("--all")
    for number, name in enumerate(MEMBERS):
        send(booted, name, number)
    booted.root.sh("groupadd quota; for name in ann ben eve; do usermod -aG quota $name; done")
    gid = booted.root.sh("getent group quota").split(":")[2]
    printed = booted.installed("--all", "--pool-group", "quota")
    again = booted.installed("--all")
    assert "nothing changed" in again, again
    for name in ("ann", "ben"):
        assert f"start user@{booted.uid(name)}.service of {name} again" in printed
        send(booted, name, 10)
        assert gid in groups_of_sidecar(booted, name)
    for text in (printed, again):
        assert f"eve: user@{booted.uid('eve')}.service has not yet the group of the pool" in text
    assert gid not in groups_of_sidecar(booted, "eve")
    booted.root.sh(f"systemctl restart user@{booted.uid('eve')}.service")
    wait_until(lambda: states(booted, "eve")[:1] == ["active"], "the socket of eve")
    send(booted, "eve", 11)
    assert gid in groups_of_sidecar(booted, "eve")
    assert states(booted, "cat")[:1] == ["active"]


def test_a_sidecar_is_started_again_where_its_manager_has_the_group_already(booted: Host) -> None:
    booted.root.sh("groupadd quota; usermod -aG quota ann; systemctl restart user@$(id -u ann).service")
    booted.installed("--member", "ann")
    send(booted, "ann", 1)
    printed = booted.installed("--member", "ann", "--pool-group", "quota")
    assert "again" not in printed  # the sidecar has the group from its manager
    assert "nothing changed" in booted.installed("--member", "ann")
