import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.sidecar.running import WAIT_S, Client, Sidecar, capture, ids, lines_of, sidecar, usage, wait_until
from tokmon import paths
from tokmon.sidecar import client

_TOKMON = [sys.executable, "-m", "tokmon"]


def test_capture_line_has_the_fields_of_the_older_format() -> None:
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(1), usage(1))
        talk.acknowledged(2)
        (line,) = lines_of(running.paths.piggyback)
        (billed,) = lines_of(running.paths.usage)
    assert line["ts"] == "2026-11-22T06:00:00.250Z"
    assert (line["source"], line["provider"], line["type"]) == ("piggyback", "team-vigilio", "teams-direct")
    assert (line["status"], line["utilization_5h"], line["utilization_7d"]) == ("allowed", 0.42, 0.61)
    assert line["reset_in_seconds"] == 1795334400 - 1795327200 - 1
    assert line["headers"]["anthropic-ratelimit-unified-5h-utilization"] == "0.42"
    assert line["windows"][0] == {
        "name": "5h",
        "utilization": 0.42,
        "resets_at": "2026-11-22T08:00:00Z",
        "status": "allowed",
    }
    assert (billed["cost_usd"], billed["tokens"]["input"]) == (0.25, 12)


def test_files_and_folders_are_private() -> None:
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(1))
        talk.acknowledged(1)
        running.stop()
        made = [
            running.paths.piggyback,
            running.paths.piggyback.with_name("piggyback.jsonl.lock"),
            running.paths.snapshot,
            running.paths.lock,
        ]
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in made}
        assert set(modes.values()) == {0o600}, modes
        assert {stat.S_IMODE(path.parent.stat().st_mode) for path in made} == {0o700}


def test_socket_is_private_and_removed_at_the_end() -> None:
    with sidecar() as running:
        assert stat.S_IMODE(running.socket.stat().st_mode) == 0o600
        assert stat.S_IMODE(running.socket.parent.stat().st_mode) == 0o700
        assert running.stop() == 0
        assert not running.socket.exists()


def test_second_start_reports_the_running_sidecar_and_exits_0() -> None:
    with sidecar() as running:
        second = subprocess.run([*_TOKMON, "sidecar"], capture_output=True, text=True, timeout=WAIT_S, check=False)
        assert second.returncode == 0
        assert f"running already (pid {running.daemon.pid})" in second.stderr
        assert running.daemon.poll() is None


@pytest.mark.parametrize("words", [["--fsync", "sometimes"], ["--fsync"], ["--detatch"], ["--fsync=x"]])
def test_unknown_option_or_value_is_a_usage_error(words: list[str]) -> None:
    done = subprocess.run([*_TOKMON, "sidecar", *words], capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")


@pytest.mark.parametrize("count", [6, pytest.param(30, marks=pytest.mark.long)])
def test_many_detached_starts_at_once_return_0_and_leave_one_sidecar(count: int) -> None:
    starts = [subprocess.Popen([*_TOKMON, "sidecar", "--detach"], stderr=subprocess.DEVNULL) for _ in range(count)]
    assert {start.wait(100) for start in starts} == {0}
    own = paths.find()
    pid = client.request_status(own.sockets)["pid"]
    assert pid == int(own.lock.read_text(encoding="ascii"))
    children = subprocess.run(["pgrep", "-f", "tokmon sidecar --detach"], capture_output=True, text=True, check=False)
    assert [int(word) for word in children.stdout.split() if _home_of(int(word)) == os.environ["HOME"]] == [pid]
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not own.sockets[0].exists(), "the sidecar ends")


def _home_of(pid: int) -> str | None:
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    return next((entry[5:].decode() for entry in environ if entry.startswith(b"HOME=")), None)


def test_socket_of_a_dead_sidecar_is_replaced_and_a_live_one_is_not() -> None:
    own = paths.find()
    own.sockets[0].parent.mkdir(mode=0o700, parents=True)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(own.sockets[0]))
    with sidecar() as running:
        assert client.request_status(own.sockets)["pid"] == running.daemon.pid
        running.stop()
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(str(own.sockets[0]))
        living.listen()
        with sidecar() as elsewhere:
            assert f"listening at {own.sockets[1]}" in elsewhere.log()
        assert own.sockets[0].exists()


def test_missing_runtime_folder_is_not_created(tmp_path: Path) -> None:
    runtime = tmp_path / "never" / "made"
    with sidecar(env={"XDG_RUNTIME_DIR": str(runtime)}) as running:
        assert f"listening at {running.paths.state / 'sock'}" in running.log()
        assert not runtime.parent.exists()
        assert client.request_status(running.paths.sockets)["pid"] == running.daemon.pid


def test_other_file_at_the_path_of_the_socket_is_left_alone() -> None:
    own = paths.find()
    for path in own.sockets:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text("mine", encoding="ascii")
    with sidecar() as running:
        assert running.daemon.wait(WAIT_S) == 1
        assert "exists and is not a socket" in running.log()
    assert [path.read_text(encoding="ascii") for path in own.sockets] == ["mine", "mine"]


def test_events_sent_before_sigterm_are_stored_and_acknowledged() -> None:
    with sidecar() as running:
        talks = [running.client() for _ in range(4)]
        for number, talk in enumerate(talks):
            talk.send(*(capture(number * 1000 + index) for index in range(500)))
        running.daemon.send_signal(signal.SIGTERM)
        for talk in talks:
            talk.acknowledged(500)
        assert running.daemon.wait(WAIT_S) == 0
        assert len(ids(running.paths.piggyback)) == 2000


def test_snapshot_is_saved_and_rebuilt_from_the_logs_to_the_same_content() -> None:
    with sidecar() as running:
        talk = running.client()
        named = {"anthropic-ratelimit-unified-status": "allowed", "anthropic-organization-id": "org-1"}
        talk.send(capture(1), capture(2, provider="team-ludo", ts="2026-11-22T06:00:05Z"), usage(3))
        talk.send(capture(4, provider="named", headers=named), usage(5, provider="named"))
        talk.acknowledged(5)
        wait_until(running.paths.snapshot.exists, "the snapshot is saved while it runs")
        running.stop()
        saved = running.paths.snapshot.read_bytes()
        running.paths.snapshot.unlink()
    with sidecar() as running:
        running.stop()
        assert json.loads(running.paths.snapshot.read_bytes()) == json.loads(saved)
    accounts = json.loads(saved)["accounts"]
    assert accounts["team-ludo"]["windows"][0]["utilization"] == 0.42


def test_sidecar_serves_while_it_reads_a_long_log() -> None:
    own = paths.find()
    own.logs.mkdir(mode=0o700, parents=True)
    line = json.dumps(capture(1, windows=[{"name": "5h", "utilization": 0.1}]) | {"source": "piggyback"})
    with own.piggyback.open("w", encoding="utf-8") as log:
        log.writelines(line.replace("capture-0", f"old-{number:06}-") + "\n" for number in range(40_000))
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(7, provider="team-new"))
        talk.acknowledged(1)
        assert not running.paths.snapshot.exists(), "it has answered before it has read the log"
        covered = own.piggyback.stat().st_size
        wait_until(lambda: _covered(running.paths.snapshot) == covered, "the whole log is covered")
        accounts = json.loads(running.paths.snapshot.read_bytes())["accounts"]
        assert set(accounts) == {"team-vigilio", "team-new"}


def _covered(snapshot: Path) -> int:
    if not snapshot.exists():
        return 0
    logs = json.loads(snapshot.read_bytes())["logs"]
    return sum(end - start for start, end in logs.get("piggyback.jsonl", {}).get("ranges", ()))


def test_torn_last_line_is_ended_with_a_newline_at_start() -> None:
    own = paths.find()
    own.logs.mkdir(mode=0o700, parents=True)
    own.piggyback.write_bytes(b'{"id":"whole-line-1"}\n{"id":"torn')
    with sidecar() as running:
        assert own.piggyback.read_bytes().endswith(b"torn\n")
        talk = running.client()
        talk.send(capture(1))
        talk.acknowledged(1)
        assert list(ids(own.piggyback)) == ["whole-line-1", "capture-00000001"]


def test_event_stored_before_a_restart_is_not_stored_again() -> None:
    for _ in range(2):
        with sidecar() as running:
            talk = running.client()
            talk.send(capture(1), capture(1), usage(1))
            talk.acknowledged(3)
            running.stop(signal.SIGKILL)
            assert ids(running.paths.piggyback) == {"capture-00000001": 1}
            assert ids(running.paths.usage) == {"usage-00000001": 1}


def test_spool_is_taken_in_at_start_and_after_a_client_disconnects() -> None:
    own = paths.find()
    _spool(own.spool, "a", [capture(1), usage(1)])
    with sidecar() as running:
        wait_until(own.piggyback.exists, "the spooled capture is stored")
        talk = running.client()
        _spool(own.spool, "b", [capture(2), capture(1)])
        talk.close()
        wait_until(lambda: len(ids(own.piggyback)) == 2, "the second file is taken in")
        assert ids(own.piggyback) == {"capture-00000001": 1, "capture-00000002": 1}
        wait_until(lambda: not list((own.spool / "new").iterdir()), "what is stored is removed")
        assert ids(running.paths.usage) == {"usage-00000001": 1}


def test_spool_of_a_client_that_never_found_the_sidecar_is_taken_in_soon_after_the_start() -> None:
    own = paths.find()
    _spool(own.spool, "a", [capture(1)])
    with sidecar():
        wait_until(own.piggyback.exists, "the first scan is over")
        _spool(own.spool, "b", [capture(2)])
        wait_until(lambda: len(ids(own.piggyback)) == 2, "the second file is taken in")


def test_spooled_file_with_a_bad_line_is_moved_to_bad_and_its_good_lines_stored() -> None:
    own = paths.find()
    _spool(own.spool, "a", [capture(1), {"kind": "capture"}, capture(2)])
    with sidecar() as running:
        wait_until((own.spool / "bad" / "a").exists, "the file is put aside")
        assert len(ids(own.piggyback)) == 2
        assert "line 2: id:" in running.log()


def _spool(folder: Path, name: str, events: list[dict[str, object]]) -> None:
    (folder / "tmp").mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / "new").mkdir(exist_ok=True, mode=0o700)
    (folder / "tmp" / name).write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
    (folder / "tmp" / name).rename(folder / "new" / name)


def test_socket_of_systemd_is_used_and_readiness_and_heartbeats_are_sent(tmp_path: Path) -> None:
    address = tmp_path / "notify"
    listening = tmp_path / "passed"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service_manager, socket.socket(socket.AF_UNIX) as listener:
        service_manager.bind(str(address))
        service_manager.settimeout(WAIT_S)
        listener.bind(str(listening))
        listener.listen()
        program = (
            "import os, sys\n"
            f"os.dup2({listener.fileno()}, 3)\n"
            "os.environ['LISTEN_PID'] = str(os.getpid())\n"
            "os.execv(sys.executable, [sys.executable, '-m', 'tokmon', 'sidecar'])\n"
        )
        env = {**os.environ, "LISTEN_FDS": "1", "NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "200000"}
        daemon = subprocess.Popen([sys.executable, "-c", program], env=env, pass_fds=[listener.fileno()])
        try:
            messages = b""
            while b"READY=1" not in messages or messages.count(b"WATCHDOG=1") < 3:
                messages += service_manager.recv(4096) + b"\n"
            talk = Client(listening)
            talk.send(capture(1))
            talk.acknowledged(1)
            talk.close()
            daemon.terminate()
            assert daemon.wait(WAIT_S) == 0
        finally:
            daemon.kill()
            daemon.wait(WAIT_S)
        assert listening.exists(), "the socket belongs to the service_manager"


def test_start_by_systemd_replaces_a_sidecar_that_an_extension_started(tmp_path: Path) -> None:
    with sidecar() as running, socket.socket(socket.AF_UNIX) as listener:
        listening = tmp_path / "passed"
        listener.bind(str(listening))
        listener.listen()
        program = (
            f"import os, sys\nos.dup2({listener.fileno()}, 3)\nos.environ['LISTEN_PID'] = str(os.getpid())\n"
            "os.execv(sys.executable, [sys.executable, '-m', 'tokmon', 'sidecar'])\n"
        )
        env = {**os.environ, "LISTEN_FDS": "1"}
        daemon = subprocess.Popen([sys.executable, "-c", program], env=env, pass_fds=[listener.fileno()])
        try:
            assert running.daemon.wait(WAIT_S) == 0
            talk = Client(listening)
            talk.send(capture(1))
            talk.acknowledged(1)
            talk.close()
        finally:
            daemon.kill()
            daemon.wait(WAIT_S)


def test_socket_that_replaced_the_own_one_is_not_removed_at_the_end() -> None:
    with sidecar() as running, socket.socket(socket.AF_UNIX) as successor:
        running.socket.unlink()
        successor.bind(str(running.socket))
        assert running.stop() == 0
        assert running.socket.exists()


def test_idle_sidecar_is_not_woken_for_a_second() -> None:
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(1))
        talk.acknowledged(1)
        wait_until(running.paths.snapshot.exists, "the snapshot is saved")
        wait_until(lambda: _slept(running, 1.0), "nothing wakes it for a second")


def _slept(running: Sidecar, seconds: float) -> bool:
    before = running.wakeups()
    time.sleep(seconds)
    return running.wakeups() == before
