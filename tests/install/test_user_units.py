"""The units under a real `systemd --user`: activation, crashes, hangs, upgrades."""

import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.install import user_manager
from tests.install.capabilities import public_python, without_user_manager
from tests.install.conftest import ROOT, give_pi, seed_at, wheels_for
from tests.install.member import Entry, tree
from tests.install.user_manager import UserManager
from tests.sidecar.running import capture, lines_of, wait_until

pytestmark = [
    pytest.mark.systemd,
    pytest.mark.skipif(without_user_manager() is not None, reason=without_user_manager() or "-"),
]

UNITS: Final = ("tokmon.socket", "tokmon.service")
LINES: Final = (r"^ExecStart=.*$", r"^OnCalendar=.*$")
CLIENT: Final = """
import json, os, socket, sys
client = socket.socket(socket.AF_UNIX)
client.settimeout(30)
client.connect(os.environ["XDG_RUNTIME_DIR"] + "/tokmon/sock")
client.sendall(b'{"kind":"hello","protocol":1}\\n' + sys.stdin.read().encode() + b"\\n")
for line in client.makefile():
    if json.loads(line).get("ack"):
        sys.exit(0)
sys.exit("the sidecar hung up")
"""


class Seat:
    """A user with units installed; `send` is a session that has one capture to tell."""

    def __init__(self, manager: UserManager, checkout: Path, wheels: Path) -> None:
        self.manager = manager
        self.checkout = checkout
        self.wheels = wheels
        self.sent = 0
        python = public_python()
        assert python is not None
        self.python = python

    @property
    def log(self) -> Path:
        return self.manager.home / ".logs" / "token-monitor" / "piggyback.jsonl"

    @property
    def units(self) -> Path:
        return self.manager.home / ".config" / "systemd" / "user"

    @property
    def pid(self) -> int:
        """The sidecar's, as those inside know it; 0 if there is none."""
        return int(self.manager.systemctl("show", "--property", "MainPID", "--value", "tokmon.service"))

    def install(self, *options: str, **more: str) -> str:
        done = self.manager.run(
            "/bin/sh",
            self.checkout / "bootstrap" / "install.sh",
            "--user",
            *options,
            PATH=f"{self.manager.home}/bin:/usr/bin:/bin",
            TOKMON_PYTHON=str(self.python),
            PIP_NO_INDEX="1",
            PIP_FIND_LINKS=self.wheels.as_uri(),
            **more,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def build(self, image: Path) -> None:
        """Have the version of the checkout built, which spares the slow part."""
        planned = re.search(r"would make (\S+) the current version", self.install("--dry-run"))
        assert planned is not None
        versions = self.manager.home / ".local" / "share" / "tokmon" / "versions"
        assert self.manager.run("mkdir", "-p", "-m", "700", versions).returncode == 0
        place = seed_at(versions / planned[1], self.checkout, image)
        for name in ("python", "python3", self.python.name):
            (place / "bin" / name).unlink()
            (place / "bin" / name).symlink_to(self.python)
        settings = place / "pyvenv.cfg"
        settings.write_text(
            re.sub("^home = .*$", f"home = {self.python.parent}", settings.read_text(), flags=re.MULTILINE)
        )
        for path in (place, *place.rglob("*")):
            os.chown(path, self.manager.uid, self.manager.uid, follow_symlinks=False)

    def send(self) -> None:
        """Send a capture, and see that it is in the log once it was acknowledged."""
        self.sent += 1
        done = self.manager.run(self.python, "-c", CLIENT, stdin=json.dumps(capture(self.sent)))
        assert done.returncode == 0, done.stderr
        assert f"capture-{self.sent:08}" in [line["id"] for line in lines_of(self.log)]

    def signal(self, name: str) -> None:
        assert self.manager.run("kill", f"-{name}", str(self.pid)).returncode == 0


def without_decisions(seat: Seat) -> dict[str, Entry]:
    """All of the home but the log that the sidecar touches by itself."""
    return {name: entry for name, entry in tree(seat.manager.home).items() if not name.endswith("decisions.jsonl")}


@pytest.fixture(scope="module")
def seat(open_folder: Path, checkout: Path, request: pytest.FixtureRequest) -> Iterator[Seat]:
    """Install once for the module; every test leaves it installed."""
    python = public_python()
    assert python is not None
    wheels = wheels_for(python.name.removeprefix("python"), open_folder / "wheels of others")
    own = Path(tempfile.mkdtemp(prefix="others ", dir=open_folder))
    own.chmod(0o755)
    shutil.copytree(checkout, own, dirs_exist_ok=True)
    with user_manager.started(open_folder) as manager:
        assert manager.run("mkdir", manager.home / "bin").returncode == 0
        give_pi(manager.home, "1.5.2")
        found = Seat(manager, own, wheels)
        if python.name == f"python3.{sys.version_info.minor}":
            found.build(request.getfixturevalue("image"))
        found.install()
        yield found


@pytest.fixture(autouse=True)
def stopped(seat: Seat) -> None:
    """Every test starts with a socket that listens and a service that does not run."""
    seat.manager.systemctl("stop", "tokmon.service")


def test_the_first_connection_starts_the_sidecar(seat: Seat) -> None:
    assert seat.manager.systemctl("is-active", *UNITS).split() == ["active", "inactive"]
    seat.send()
    assert seat.manager.systemctl("is-active", *UNITS).split() == ["active", "active"]


def test_status_is_answered_by_the_installed_program(seat: Seat) -> None:
    seat.send()
    done = seat.manager.run(seat.manager.home / ".local" / "bin" / "tokmon", "status")
    assert done.returncode == 0, done.stderr
    assert "team-vigilio" in done.stdout


def test_after_a_kill_a_client_is_served_again(seat: Seat) -> None:
    seat.send()
    before = seat.pid
    seat.signal("KILL")
    seat.send()
    assert seat.pid not in {0, before}


def test_a_sidecar_that_hangs_is_replaced(seat: Seat) -> None:
    drop_in = seat.units / "tokmon.service.d" / "watchdog.conf"
    assert seat.manager.run("mkdir", "-p", drop_in.parent).returncode == 0
    drop_in.write_text("[Service]\nWatchdogSec=1\nRestartSec=100ms\n")
    seat.manager.systemctl("daemon-reload")
    try:
        seat.send()
        before = seat.pid
        seat.signal("STOP")
        seat.send()
        assert seat.pid not in {0, before}
    finally:
        shutil.rmtree(drop_in.parent)
        seat.manager.systemctl("daemon-reload")


def test_a_stopped_service_starts_again_with_the_next_session(seat: Seat) -> None:
    seat.send()
    seat.manager.systemctl("stop", "tokmon.service")
    assert seat.pid == 0
    seat.send()
    assert seat.pid != 0


def test_the_socket_is_private(seat: Seat) -> None:
    done = seat.manager.run("stat", "-c", "%a", f"/run/user/{seat.manager.uid}/tokmon/sock")
    assert done.stdout == "600\n"
    done = seat.manager.run("stat", "-c", "%a", f"/run/user/{seat.manager.uid}/tokmon")
    assert done.stdout == "700\n"


def test_a_second_install_changes_nothing_and_interrupts_nobody(seat: Seat) -> None:
    seat.send()
    state = seat.manager.home / ".local" / "state" / "tokmon" / "state.json"
    written = seat.log.stat().st_mtime_ns
    wait_until(lambda: state.exists() and state.stat().st_mtime_ns > written, "the snapshot of what was sent")
    wait_until((seat.log.parent / "decisions.jsonl").exists, "the log that the sidecar touches by itself")
    before, pid = without_decisions(seat), seat.pid
    assert "nothing changed" in seat.install()
    assert without_decisions(seat) == before
    assert seat.pid == pid


def printed_units() -> Iterator[tuple[str, str]]:
    """The units that docs/wake.md prints, each with its file name."""
    page = (ROOT / "docs" / "wake.md").read_text()
    service, timer = re.findall(r"^```systemd\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    pairs = [("tokmon-check", *(re.findall(pattern, service + timer, re.MULTILINE)[0] for pattern in LINES))]
    pairs += re.findall(r"^\| `(\S+)` \| `(ExecStart=.*?)` \| `(OnCalendar=.*?)` \|$", page, re.MULTILINE)
    for name, command, calendar in pairs:
        yield f"{name}.service", re.sub(LINES[0], command, service, flags=re.MULTILINE)
        yield f"{name}.timer", re.sub(LINES[1], calendar, timer, flags=re.MULTILINE)


def test_the_printed_units_are_verified_and_their_services_start(seat: Seat) -> None:
    home, names = seat.manager.home, []
    (home / "bin" / "pi").write_text('#!/bin/sh\n[ "$1" = --provider ] && echo "$@" >"$HOME/arguments"\nexit 1\n')
    try:
        for name, text in printed_units():
            (seat.units / name).write_text(text.replace("/home/vigilio", str(home)))
            names.append(name)
        assert len(names) == 6
        words = ("systemd-analyze", "--user", "--recursive-errors=no", "--man=no", "verify")
        done = seat.manager.run(*words, *(seat.units / name for name in names))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        seat.manager.systemctl("daemon-reload")
        for name in names[::2]:
            seat.manager.systemctl("start", name)
            # The fake pi fails, and no account is configured: what counts is that the program was run.
            assert seat.manager.systemctl("show", "--property", "ExecMainStatus", "--value", name) in {"0", "1"}, name
        assert (home / "arguments").read_text().endswith("-p Read prompt.md and go on.\n")
    finally:
        seat.manager.systemctl("stop", *names)
        for name in names:
            (seat.units / name).unlink()
        seat.manager.systemctl("daemon-reload")
        give_pi(home, "1.5.2")


def test_the_installed_units_are_verified_without_a_word(seat: Seat) -> None:
    done = seat.manager.run(
        "systemd-analyze",
        "--user",
        "--recursive-errors=no",
        "--man=no",
        "verify",
        *(seat.units / each for each in UNITS),
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_upgrade_replaces_the_sidecar_that_runs(seat: Seat, image: Path) -> None:
    seat.send()
    before = seat.pid
    readme = seat.checkout / "README.md"
    readme.write_text(readme.read_text() + "\n")
    if seat.python.name == f"python3.{sys.version_info.minor}":
        seat.build(image)
    assert "with the new version" in seat.install()
    seat.send()
    assert seat.pid != before
    current = (seat.manager.home / ".local/share/tokmon/current").readlink().name
    command = seat.manager.run("cat", f"/proc/{seat.pid}/cmdline").stdout
    assert f"/versions/{current}/" in command


def test_a_sidecar_that_an_extension_started_is_replaced_by_the_unit(seat: Seat) -> None:
    seat.manager.systemctl("disable", "--now", "tokmon.socket")
    program = seat.manager.home / ".local" / "bin" / "tokmon"
    assert seat.manager.run(program, "sidecar", "--detach").returncode == 0
    seat.send()
    assert seat.pid == 0
    assert "have systemd listen" in seat.install()
    seat.send()
    assert seat.pid != 0


def test_units_of_somebody_else_are_kept(seat: Seat) -> None:
    service = seat.units / "tokmon.service"
    service.write_text("[Service]\nExecStart=/bin/true\n")
    seat.install()
    kept = service.with_name("tokmon.service.before-tokmon")
    assert kept.read_text() == "[Service]\nExecStart=/bin/true\n"
    kept.unlink()
    seat.send()


def test_what_the_members_environment_says_is_in_the_unit(seat: Seat) -> None:
    logs = seat.manager.home / "other 100% logs"
    seat.install(TOKMON_LOG_DIR=str(logs))
    try:
        seat.manager.run(seat.python, "-c", CLIENT, stdin=json.dumps(capture(90)))
        wait_until(lambda: lines_of(logs / "piggyback.jsonl"), "a line in the other folder")
    finally:
        seat.install()
        seat.manager.run("rm", "-r", logs)


@pytest.mark.parametrize("step", ["write */tokmon.socket", "write */tokmon.service", "have systemd listen*"])
def test_an_install_killed_amid_its_units_is_finished_by_the_next(seat: Seat, step: str) -> None:
    seat.manager.systemctl("disable", "--now", *UNITS)
    seat.manager.run("rm", *(seat.units / name for name in UNITS))
    seat.manager.systemctl("daemon-reload")
    script = """
        : >"$HOME/said"; "$0" --user >>"$HOME/said" & pid=$!
        tail -n +1 -f --pid="$pid" "$HOME/said" | while read -r line; do
          case $line in $1) kill -9 "$pid" && echo killed; break ;; esac
        done
        rm "$HOME/said"
    """
    variables = {"PATH": f"{seat.manager.home}/bin:/usr/bin:/bin", "TOKMON_PYTHON": str(seat.python)}
    killed = seat.manager.run("sh", "-c", script, seat.checkout / "bootstrap" / "install.sh", step, **variables)
    assert killed.stdout == "killed\n", killed.stderr
    seat.install()
    assert seat.manager.systemctl("is-enabled", UNITS[0]) == "enabled"
    assert "nothing changed" in seat.install()
    seat.send()
    assert seat.pid != 0


def test_without_systemd_no_unit_is_written(seat: Seat) -> None:
    home = seat.manager.home / "second home"
    assert seat.manager.run("mkdir", home).returncode == 0
    planned = seat.install("--dry-run", HOME=str(home), TOKMON_NO_SYSTEMD="1")
    assert "the extension starts the sidecar" in planned
    assert "/.config/tokmon/" in planned
    assert "/.config/systemd/" not in planned
    assert seat.manager.run("rm", "-r", home).returncode == 0
