import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sidecar.running import WAIT_S, Client, capture, ids, lines_of, sidecar, usage, wait_until
from tokmon.sidecar import client
from tokmon.wire import messages

SECRETS = ("sk-ant-oat01-PLANTED-secret_0123456789", "eyJhbGciOiJQTEFOVEVE.eyJPLANTED.sig", "xai-PLANTED0123456789")


_BAD_EVENTS: list[tuple[dict[str, Any], str]] = [
    ({"kind": "capture", "ts": "2026-11-22T06:00:00Z"}, "id"),
    (capture(1, http_status="429"), "http_status"),
    (capture(1, headers={"retry-after": 5}), "headers.retry-after"),
    (capture(1, ts="yesterday at noon, roughly"), "ts"),
    (capture(1, ts="0001-01-01T00:00:00+14:00"), "ts"),
    (capture(1, ts="9999-12-31T23:59:59-14:00"), "ts"),
    (capture(1, ts="1970-01-01T00:00:00Z"), "ts"),
    (usage(1, tokens={"input": -1}), "tokens.input"),
    (usage(1, cost_usd="a lot"), "cost_usd"),
    ({"kind": "gossip"}, "kind"),
]
_NOT_EVENTS = [b"{", b"[]", b"null", b"\xff\xfe", b'{"kind":"capture","id":"' + b"x" * 70_000, b"[" * 60_000, b"\0"]


def test_invalid_event_gets_an_error_that_names_the_field_and_the_connection_stays_open() -> None:
    with sidecar() as running:
        talk = running.client()
        for number, (event, _) in enumerate(_BAD_EVENTS):
            talk.send(event, capture(100 + number))
        refusals = talk.acknowledged(2 * len(_BAD_EVENTS))
        expected = [(field, 1 + 2 * number) for number, (_, field) in enumerate(_BAD_EVENTS)]
        assert [(refusal["field"], refusal["line"]) for refusal in refusals] == expected
        assert len(ids(running.paths.piggyback)) == len(_BAD_EVENTS), "the valid events are stored"
        assert running.stop() == 0
        assert "team-vigilio" in running.paths.snapshot.read_text("utf-8")


def test_line_that_is_not_an_event_is_refused_and_the_connection_stays_open() -> None:
    with sidecar() as running:
        talk = running.client()
        for number, line in enumerate(_NOT_EVENTS):
            talk.send_bytes(line + b"\n")
            talk.send(capture(100 + number))
        refusals = talk.acknowledged(2 * len(_NOT_EVENTS))
        assert [refusal["line"] for refusal in refusals] == [1 + 2 * number for number in range(len(_NOT_EVENTS))]
        assert len(ids(running.paths.piggyback)) == len(_NOT_EVENTS)


def test_line_without_a_newline_uses_bounded_memory() -> None:
    with sidecar() as running:
        talk = running.client()
        for _ in range(200):
            talk.send_bytes(b"x" * 65_536)
        talk.send_bytes(b"\n")
        talk.send(capture(1))
        (refusal,) = talk.acknowledged(2)
        assert f"at most {messages.MAX_LINE} bytes" in refusal["error"]
        status = Path(f"/proc/{running.daemon.pid}/status").read_text(encoding="ascii")
        assert int(status.partition("VmHWM:")[2].split()[0]) < 64_000


def test_fields_beyond_the_schema_are_not_stored() -> None:
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(1, prompt="the user's words"), usage(1, tokens={"input": 1, "karma": 2}, reply="hello"))
        assert talk.acknowledged(2) == []
        stored = running.paths.piggyback.read_text("utf-8") + running.paths.usage.read_text("utf-8")
        assert "words" not in stored
        assert "karma" not in stored
        assert "reply" not in stored


def test_field_counts_wherever_it_stands_in_the_line() -> None:
    with sidecar() as running:
        talk = running.client()
        repeating = {name: value for name, value in capture(1).items() if name not in {"kind", "id", "ts"}}
        early_fields: list[dict[str, Any]] = [
            {},
            {"http_status": 429},
            {"error": "ECONNREFUSED"},
            {"http_status": 401},
        ]
        for number, early in enumerate(early_fields):
            first: dict[str, Any] = {"kind": "capture", "id": f"capture-{number:08}", "ts": "2026-11-22T06:00:00.250Z"}
            rest = {name: value for name, value in repeating.items() if name not in {"http_status", "headers"}}
            talk.send(first | early | rest)
        talk.acknowledged(4)
        statuses = [line["status"] for line in lines_of(running.paths.piggyback)]
        assert statuses == ["unknown", "rejected", "network_error", "invalid_key"]


def test_no_secret_reaches_any_file_or_stderr(isolated_home: Path) -> None:
    with sidecar() as running:
        talk = running.client()
        for number, secret in enumerate(SECRETS):
            talk.send(
                capture(
                    number,
                    mission=f"use {secret} now",
                    error=f"401 Incorrect API key provided: {secret}",
                    headers={"set-cookie": secret, "authorization": secret, "x-api-key": secret, "retry-after": "5"},
                ),
                usage(number, error=f'429 {{"error":"Bearer {secret}"}}', apiKey=secret),
                {"kind": secret, "id": secret},
                {"kind": "capture", secret: secret},
            )
        talk.acknowledged(4 * len(SECRETS))
        talk.send_bytes(SECRETS[0].encode() + b"\n")
        talk.acknowledged(4 * len(SECRETS) + 1)
        running.stop()
    written = b"".join(path.read_bytes() for path in isolated_home.rglob("*") if path.is_file())
    assert b"Incorrect API key provided: [secret]" in written
    assert not [secret for secret in SECRETS if secret.encode() in written]


def test_connection_of_another_user_is_refused() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    with sidecar() as running:
        os.chmod(running.socket, 0o666)  # noqa: S103, PTH101 - what the check must hold against
        for folder in running.socket.parents:
            if "pytest-of-" in str(folder):
                folder.chmod(0o755)
        program = (
            "import os, socket, sys\nos.setuid(65534)\ns = socket.socket(socket.AF_UNIX)\n"
            f"s.connect({str(running.socket)!r})\nprint(s.recv(4096).decode())\ns.sendall(sys.stdin.buffer.read())"
        )
        stranger = subprocess.run(
            [sys.executable, "-c", program],
            input=json.dumps(capture(1)).encode() + b"\n",
            capture_output=True,
            timeout=WAIT_S,
            check=False,
        )
        assert b"not this user's socket" in stranger.stdout
        assert lines_of(running.paths.piggyback) == []


def test_random_bytes_half_lines_and_deep_nesting_do_not_stop_the_sidecar() -> None:
    chance = random.Random(20261122)  # noqa: S311 - a repeatable attack
    with sidecar() as running:
        for number in range(60):
            talk = running.client(hello=bool(number % 2))
            for _ in range(20):
                talk.send_bytes(_attack(chance, number))
            talk.close()
        last = running.client()
        last.send(capture(1))
        last.acknowledged(1)
        assert running.daemon.poll() is None
        assert "Traceback" not in running.log()
        assert ids(running.paths.piggyback)["capture-00000001"] == 1


def _attack(chance: random.Random, number: int) -> bytes:
    good = json.dumps(capture(1000 + number)).encode()
    return chance.choice(
        [
            chance.randbytes(chance.randrange(1, 3000)),
            good[: chance.randrange(len(good))],
            good[: chance.randrange(len(good))] + b"\n",
            bytes(chance.choice(good) for _ in range(500)) + b"\n",
            b'{"kind":' * 5000 + b"\n",
            b"\n\n\n",
            json.dumps(capture(1, headers=[chance.random()] * 50)).encode() + b"\n",
            json.dumps({key: chance.choice([None, 5, [], {}, "x"]) for key in capture(1)}).encode() + b"\n",
        ]
    )


def test_client_that_never_reads_is_disconnected_and_others_are_served() -> None:
    with sidecar() as running:
        deaf = running.client()
        try:
            for _ in range(40_000):
                deaf.send_bytes(b"{}\n" * 64)
        except (BrokenPipeError, ConnectionResetError):
            pass
        talk = running.client()
        talk.send(capture(1))
        talk.acknowledged(1)
        status = Path(f"/proc/{running.daemon.pid}/status").read_text(encoding="ascii")
        assert int(status.partition("VmRSS:")[2].split()[0]) < 64_000


def test_more_connections_than_descriptors_are_refused_and_later_ones_served() -> None:
    with sidecar(prefix=["prlimit", "--nofile=64:64"]) as running:
        running.clients += [Client(running.socket, hello=False) for _ in range(100)]
        for client in running.clients:
            client.close()
        wait_until(lambda: _served(running.socket), "a new client is served")
        assert "Traceback" not in running.log()


def test_longest_idle_client_makes_room_for_a_new_one() -> None:
    with sidecar(prefix=["prlimit", "--nofile=64:64"]) as running:
        first = running.client()
        for _ in range(100):
            running.client()
            first.send(capture(1))  # it stays, since it is active
            first.acknowledged(1)
        last = running.client()
        last.send(capture(2))
        last.acknowledged(1)
        assert client.request_status((running.socket,))["connections"] < 64
        with pytest.raises(ConnectionError):
            running.clients[1].receive()


def _served(path: Path) -> bool:
    try:
        talk = Client(path)
    except (AssertionError, KeyError, ConnectionError):
        return False
    talk.close()
    return True


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one mebibyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(folder)], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("needs the capability to mount a tmpfs")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_full_disk_is_reported_once_and_no_event_is_acknowledged_or_lost(small_disk: Path) -> None:
    filler = small_disk / "filler"
    with sidecar(env={"TOKMON_LOG_DIR": str(small_disk / "logs")}) as running:
        talk = running.client()
        talk.send(capture(0))
        talk.acknowledged(1)
        filler.write_bytes(b"x" * (shutil.disk_usage(small_disk).free - 6000))
        talk.send(*(capture(number) for number in range(1, 200)))
        wait_until(lambda: "no space left on device" in running.log(), "it says why")
        other = running.client()
        other.send({"kind": "status"})
        assert "no space left" in other.receive()["status"]["trouble"]
        before = running.wakeups()
        wait_until(lambda: running.wakeups() > before + 2, "it tries again")
        assert running.log().count("no space left") == 1
        filler.unlink()
        talk.acknowledged(200)
        assert "writing again" in running.log()
        assert set(ids(running.paths.piggyback).values()) == {1}
        assert len(ids(running.paths.piggyback)) == 200


def test_file_size_limit_in_the_middle_of_a_batch_damages_no_readable_line() -> None:
    with sidecar(prefix=["prlimit", "--fsize=20000:unlimited"]) as running:
        talk = running.client()
        talk.send(*(capture(number) for number in range(100)))
        wait_until(lambda: "file too large" in running.log(), "it says why")
        assert set(ids(running.paths.piggyback).values()) == {1}
        resource.prlimit(running.daemon.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        talk.acknowledged(100)
        assert set(ids(running.paths.piggyback).values()) == {1}
        assert len(ids(running.paths.piggyback)) == 100


def test_after_a_rotation_by_rename_a_new_log_is_started() -> None:
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(1))
        talk.acknowledged(1)
        old = running.paths.piggyback.with_name("old")
        running.paths.piggyback.rename(old)
        talk.send(capture(2))
        talk.acknowledged(2)
        assert list(ids(old)) == ["capture-00000001"]
        assert list(ids(running.paths.piggyback)) == ["capture-00000002"]


def test_sidecar_waits_for_the_lock_of_another_writer_and_reads_its_lines() -> None:
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(1))
        talk.acknowledged(1)
        other_line = json.dumps(capture(5, provider="other"))
        program = (
            "import fcntl, sys\n"
            f"lock = open({str(running.paths.piggyback) + '.lock'!r}, 'r+')\nfcntl.flock(lock, fcntl.LOCK_EX)\n"
            "print('held', flush=True)\nsys.stdin.readline()\n"
            f"open({str(running.paths.piggyback)!r}, 'a').write({other_line!r} + chr(10))\n"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as holder:
            assert holder.stdin is not None
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            talk.send(capture(2))
            for _ in range(2):
                # The first reply is sent before a commit could acknowledge; the second one would come after it.
                talk.send({"kind": "status"})
                assert "status" in talk.receive(), "it is not acknowledged while another process holds the lock"
            holder.stdin.write("\n")
            holder.stdin.flush()
            talk.acknowledged(2)
        running.stop()
        assert list(ids(running.paths.piggyback)) == ["capture-00000001", "capture-00000005", "capture-00000002"]
        assert "other" in running.paths.snapshot.read_text("utf-8")


def _state(pid: int) -> str:
    """The state of a process: `T` if it is stopped."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]


def test_stopped_sidecar_serves_waiting_clients_when_it_continues() -> None:
    with sidecar() as running:
        running.daemon.send_signal(signal.SIGSTOP)
        late = Client(running.socket, hello=False)
        late.send(capture(1))
        wait_until(lambda: _state(running.daemon.pid) == "T", "the sidecar is stopped")
        late.socket.settimeout(0)
        with pytest.raises(BlockingIOError):
            late.receive()
        late.socket.settimeout(WAIT_S)
        running.daemon.send_signal(signal.SIGCONT)
        late.acknowledged(1)
        late.close()
