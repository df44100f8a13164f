"""Five real users of one host, with an install by root, real sidecars and a real pi, on five seats that they share."""

import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.install.roots.conftest import seeded
from tests.install.roots.debian import PATIENCE_S
from tests.install.roots.host import Host
from tests.install.roots.throwaway import entered
from tests.pi import install
from tests.sidecar.running import wait_until

pytestmark = [pytest.mark.long, pytest.mark.pi, pytest.mark.timeout(PATIENCE_S)]

USERS: Final = ("ann", "ben", "cat", "dan", "eve")
SEATS: Final = tuple(f"team-{letter}" for letter in "abcde")
HOOK: Final = "~/.local/share/tokmon/hooks/budget-select"
REPOSITORY: Final = Path(__file__).parents[3]
PI: Final = install.NEWEST


@pytest.fixture
def host(debian: Path, shared: tuple[Path, ...], built: Path) -> Iterator[Host]:
    """Five members with the same seats, each with a sidecar."""
    pi = install.pi(PI)
    pi.root.chmod(0o755)  # npm made it for its owner alone
    with entered(debian, *shared, built, REPOSITORY, pi.root, install.node().parent.parent) as root:
        made = seeded(root)
        root.sh("runuser -u dan -- mkdir -p /home/dan/.pi/agent")
        made.installed(*(word for name in USERS for word in ("--member", name)))
        with provider(made) as origin:
            for name in USERS:
                configure(made, name, origin)
                root.sh("~/.local/bin/tokmon select --no-probe; ~/.local/bin/tokmon sidecar --detach", user=name)
            yield made
        root.sh("tokmon uninstall --purge --yes")


class provider:  # noqa: N801 - a context
    """The loopback provider inside the root."""

    def __init__(self, host: Host) -> None:
        words = ("python3", "-m", "tests.install.roots.share", *SEATS)
        command = host.root.command(*words, PYTHONPATH=f"/srv/{REPOSITORY.name}", PYTHONDONTWRITEBYTECODE="1")
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def __exit__(self, *error: object) -> None:
        self._process.communicate()


def configure(host: Host, name: str, origin: str) -> None:
    """Give the member all seats, each with its key in models.json, and the chain of them."""
    models = [{"id": "loopback-1", "contextWindow": 200_000, "maxTokens": 4096}]
    seats = {
        seat: {"baseUrl": origin, "api": "anthropic-messages", "apiKey": f"sk-ant-oat01-fake-{seat}", "models": models}
        for seat in SEATS
    }
    settings = {"retry": {"enabled": False}}
    for path, text in (
        (".pi/agent/models.json", json.dumps({"providers": seats})),
        (".pi/agent/settings.json", json.dumps(settings)),
        (".config/tokmon/config.toml", f"[select]\nchain = {json.dumps(SEATS)}\nmodel = 'loopback-1'\n"),
    ):
        host.root.sh(f"mkdir -p ~/{Path(path).parent}; cat >~/{path}", user=name, stdin=text)


def turn(host: Host, name: str, seat: str, exit_code: int = 0) -> None:
    """One turn of a real pi."""
    pi = install.pi(PI)
    entry = Path(pi.command[1]).relative_to(pi.root)
    node = install.node().parent.parent.name
    words = (f"/srv/{node}/bin/node", f"/srv/{pi.root.name}/{entry}", "--model", f"{seat}/loopback-1", "-p", "hello")
    done = host.root.run(*words, user=name, PI_OFFLINE="1", PI_TELEMETRY="0", NO_COLOR="1", TOKMON_NO_SPAWN="1")
    assert done.returncode == exit_code, done.stdout + done.stderr


def wake(host: Host, name: str) -> str:
    """The account of the member's next session, as its hook prints it."""
    return host.root.sh(HOOK, user=name).split()[0]


def avoids(host: Host, name: str) -> bool:
    return wake(host, name) != "team-a"


def published(host: Host, name: str) -> str:
    return host.root.path(f"/var/lib/tokmon/pool/{name}/evidence.json").read_text(encoding="utf-8")


def test_what_one_member_meets_the_next_wake_of_every_other_knows(host: Host) -> None:
    turn(host, "ann", "team-b")
    turn(host, "ann", "team-a", 1)
    for name in USERS:
        wait_until(partial(avoids, host, name), f"{name} avoids the seat that ann found used up")
    screen = host.root.sh("~/.local/bin/tokmon status", user="ben")
    assert "by ann" in screen
    text = published(host, "ann")
    assert {"team-a", "team-b"} <= {*json.loads(text)["accounts"]}
    assert not [word for word in ("sk-ant", "fake", "hello", "/home") if word in text]
    rooted = host.root.sh("tokmon status --all")
    assert [name for name in USERS if f"Member {name}" not in rooted] == []


def test_twenty_wakes_of_five_members_at_once_spread_over_four_equal_seats(host: Host) -> None:
    for seat in SEATS[1:]:
        turn(host, "ann", seat)
    turn(host, "ann", "team-a", 1)
    for name in USERS:
        wait_until(partial(avoids, host, name), f"{name} knows of all seats what ann knows")
    hooks = [host.root.command("sh", "-c", HOOK, user=name) for name in USERS for _ in range(4)]
    started = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for words in hooks]
    seats = Counter(process.communicate()[0].split()[0] for process in started)
    assert seats.total() == 20
    assert len(seats) >= 3, seats
    assert max(seats.values()) <= 10, seats


def test_a_member_that_lies_stops_nobody(host: Host) -> None:
    folder = "/var/lib/tokmon/pool/eve"
    host.root.sh("kill $(cat ~/.local/state/tokmon/sidecar.lock)", user="eve")
    wait_until(lambda: not host.root.path("/home/eve/.local/state/tokmon/sock").exists(), "her sidecar has ended")
    host.root.sh(f"cd {folder}; rm -f *; ln -s /etc/shadow evidence.json; mkfifo decisions.json", user="eve")
    host.root.sh(f"truncate -s 1G {folder}/probes.json", user="eve")
    assert wake(host, "ben") in SEATS
    found = host.root.run("/home/ben/.local/bin/tokmon", "doctor", user="ben").stdout
    assert "eve/evidence.json" in found
    host.root.sh(f"rm -f {folder}/*.json")
