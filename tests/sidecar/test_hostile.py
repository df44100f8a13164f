import json
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sidecar.running import Client, capture, ids, lines_of, sidecar, usage, wait_until
from tokmon.wire import messages

SECRETS = ("sk-ant-oat01-PLANTED-secret_0123456789", "eyJhbGciOiJQTEFOVEVE.eyJPLANTED.sig", "xai-PLANTED0123456789")


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ({"kind": "capture", "ts": "2026-11-22T06:00:00Z"}, "id"),
        (capture(1, http_status="429"), "http_status"),
        (capture(1, headers={"retry-after": 5}), "headers.retry-after"),
        (capture(1, ts="yesterday at noon, roughly"), "ts"),
        (usage(1, tokens={"input": -1}), "tokens.input"),
        (usage(1, cost_usd="a lot"), "cost_usd"),
        ({"kind": "gossip"}, "kind"),
    ],
)
def test_a_bad_event_gets_an_error_that_names_the_field_and_the_connection_goes_on(
    event: dict[str, Any], field: str
) -> None:
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(7), event, capture(8))
        (refusal,) = talk.acknowledged(3)
        assert (refusal["field"], refusal["line"]) == (field, 2)
        assert list(ids(running.paths.piggyback)) == ["capture-00000007", "capture-00000008"]


@pytest.mark.parametrize(
    "line", [b"{", b"[]", b"null", b"\xff\xfe", b'{"kind":"capture","id":"' + b"x" * 70_000, b"[" * 60_000, b"\0"]
)
def test_what_is_not_an_event_at_all_is_refused_and_the_connection_goes_on(line: bytes) -> None:
    with sidecar() as running:
        talk = running.client()
        talk.send_bytes(line + b"\n")
        talk.send(capture(1))
        (refusal,) = talk.acknowledged(2)
        assert refusal["line"] == 1
        assert len(ids(running.paths.piggyback)) == 1


def test_a_line_without_an_end_costs_bounded_memory() -> None:
    with sidecar() as running:
        talk = running.client()
        for _ in range(200):
            talk.send_bytes(b"x" * 65_536)
        talk.send_bytes(b"\n")
        talk.send(capture(1))
        (refusal,) = talk.acknowledged(2)
        assert f"at most {messages.MAX_LINE} bytes" in refusal["error"]
        status = Path(f"/proc/{running.process.pid}/status").read_text(encoding="ascii")
        assert int(status.partition("VmHWM:")[2].split()[0]) < 64_000


def test_fields_beyond_the_schema_are_kept_out_of_the_log() -> None:
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(1, prompt="the user's words"), usage(1, tokens={"input": 1, "karma": 2}, reply="hello"))
        assert talk.acknowledged(2) == []
        stored = running.paths.piggyback.read_text("utf-8") + running.paths.usage.read_text("utf-8")
        assert "words" not in stored
        assert "karma" not in stored
        assert "reply" not in stored


def test_what_says_something_counts_wherever_it_stands_in_the_line() -> None:
    with sidecar() as running:
        talk = running.client()
        recurring = {name: value for name, value in capture(1).items() if name not in {"kind", "id", "ts"}}
        told: list[dict[str, Any]] = [{}, {"http_status": 429}, {"error": "ECONNREFUSED"}, {"http_status": 401}]
        for number, early in enumerate(told):
            first: dict[str, Any] = {"kind": "capture", "id": f"capture-{number:08}", "ts": "2026-11-22T06:00:00.250Z"}
            rest = {name: value for name, value in recurring.items() if name not in {"http_status", "headers"}}
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


def test_another_user_is_turned_away() -> None:
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
            timeout=20,
            check=False,
        )
        assert b"not this user's socket" in stranger.stdout
        assert lines_of(running.paths.piggyback) == []


def test_random_bytes_half_lines_and_deep_nesting_leave_it_serving() -> None:
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
        assert running.process.poll() is None
        assert "Traceback" not in running.said()
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


def test_a_client_that_never_reads_is_let_go_and_hurts_no_other() -> None:
    with sidecar() as running:
        deaf = running.client()
        deaf.socket.settimeout(30)
        try:
            for _ in range(40_000):
                deaf.send_bytes(b"{}\n" * 64)
        except (BrokenPipeError, ConnectionResetError):
            pass
        talk = running.client()
        talk.send(capture(1))
        talk.acknowledged(1)
        status = Path(f"/proc/{running.process.pid}/status").read_text(encoding="ascii")
        assert int(status.partition("VmRSS:")[2].split()[0]) < 64_000


def test_more_connections_than_descriptors_are_turned_away_and_it_goes_on() -> None:
    with sidecar(prefix=["prlimit", "--nofile=64:64"]) as running:
        running.clients += [Client(running.socket, hello=False) for _ in range(100)]
        for client in running.clients:
            client.close()
        wait_until(lambda: _served(running.socket), "a new client is served")
        assert "Traceback" not in running.said()


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


def test_a_full_disk_is_said_once_nothing_is_acknowledged_and_nothing_is_lost(small_disk: Path) -> None:
    filler = small_disk / "filler"
    with sidecar(env={"TOKMON_LOG_DIR": str(small_disk / "logs")}) as running:
        talk = running.client()
        talk.send(capture(0))
        talk.acknowledged(1)
        filler.write_bytes(b"x" * (shutil.disk_usage(small_disk).free - 6000))
        talk.send(*(capture(number) for number in range(1, 200)))
        wait_until(lambda: "No space left on device" in running.said(), "it says why")
        since = time.monotonic()
        other = running.client()
        other.send({"kind": "status"})
        assert "No space left" in other.receive()["status"]["trouble"]
        tried = running.cpu_s()
        wait_until(lambda: running.cpu_s() > tried or time.monotonic() > since + 2, "it tries again")
        assert running.said().count("No space left") == 1
        filler.unlink()
        talk.acknowledged(200)
        assert "writing again" in running.said()
        assert set(ids(running.paths.piggyback).values()) == {1}
        assert len(ids(running.paths.piggyback)) == 200


def test_a_file_size_limit_in_the_middle_of_a_batch_tears_no_line_that_a_reader_sees() -> None:
    with sidecar(prefix=["prlimit", "--fsize=20000:unlimited"]) as running:
        talk = running.client()
        talk.send(*(capture(number) for number in range(100)))
        wait_until(lambda: "File too large" in running.said(), "it says why")
        seen = ids(running.paths.piggyback)
        assert set(seen.values()) == {1}
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        talk.acknowledged(100)
        assert set(ids(running.paths.piggyback).values()) == {1}
        assert len(ids(running.paths.piggyback)) == 100


def test_a_log_rotated_by_rename_is_left_and_a_new_one_is_begun() -> None:
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


def test_another_writer_under_the_lock_is_waited_for_and_its_lines_count() -> None:
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(1))
        talk.acknowledged(1)
        theirs = json.dumps(capture(5, provider="other"))
        program = (
            "import fcntl, sys\n"
            f"lock = open({str(running.paths.piggyback) + '.lock'!r}, 'r+')\nfcntl.flock(lock, fcntl.LOCK_EX)\n"
            "print('held', flush=True)\nsys.stdin.readline()\n"
            f"open({str(running.paths.piggyback)!r}, 'a').write({theirs!r} + chr(10))\n"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as holder:
            assert holder.stdin is not None
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            talk.send(capture(2))
            talk.socket.settimeout(0.3)
            with pytest.raises(TimeoutError):
                talk.receive()
            talk.socket.settimeout(10)
            holder.stdin.write("\n")
            holder.stdin.flush()
            talk.acknowledged(2)
        running.stop()
        assert list(ids(running.paths.piggyback)) == ["capture-00000001", "capture-00000005", "capture-00000002"]
        assert "other" in running.paths.snapshot.read_text("utf-8")


def test_a_stopped_sidecar_keeps_its_clients_waiting_and_serves_them_when_it_goes_on() -> None:
    with sidecar() as running:
        running.process.send_signal(signal.SIGSTOP)
        late = Client(running.socket, hello=False)
        late.send(capture(1))
        late.socket.settimeout(0.2)
        with pytest.raises((TimeoutError, socket.timeout)):
            late.receive()
        running.process.send_signal(signal.SIGCONT)
        late.socket.settimeout(10)
        late.acknowledged(1)
        late.close()
