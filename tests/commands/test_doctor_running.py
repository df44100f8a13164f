"""Socket, sidecar, lock and service manager, made to fail by real processes and sockets."""

import signal
import time
from pathlib import Path

import pytest

from tests.commands.clinic import answering, finding_of, level, listening, our_socket, program, status_of
from tests.sidecar.running import sidecar
from tokmon import paths
from tokmon.report.findings import Level


def test_all_checks_of_a_real_sidecar_are_ok() -> None:
    with sidecar() as running:
        for name in ("socket", "sidecar", "lock", "folders", "files", "writable", "spool"):
            finding = finding_of(name)
            assert finding.level is Level.OK, finding
        assert f"pid {running.daemon.pid}" in finding_of("sidecar").text


def test_a_missing_sidecar_is_a_warning() -> None:
    assert [level(name) for name in ("socket", "sidecar", "lock")] == ["warn", "warn", "ok"]


def test_the_socket_of_a_killed_sidecar_is_named_as_left_behind() -> None:
    with sidecar() as running:
        running.stop(signal.SIGKILL)
        assert finding_of("socket").text.startswith("sidecar not running (socket left behind at ")
        assert level("sidecar") == "warn"
        assert f"pid {running.daemon.pid}" in finding_of("lock").text


def test_a_stopped_sidecar_is_hung_and_its_lock_names_its_pid() -> None:
    with sidecar() as running:
        running.daemon.send_signal(signal.SIGSTOP)
        finding, lock = finding_of("sidecar"), finding_of("lock")
        running.daemon.send_signal(signal.SIGCONT)
        assert finding.level is Level.FAIL
        assert "hung" in finding.text
        assert f"kill -9 {running.daemon.pid}" in str(finding.fix)
        assert lock.level is Level.FAIL
        assert f"kill -9 {running.daemon.pid}" in str(lock.fix)


def test_a_server_that_accepts_but_never_answers_is_hung() -> None:
    with listening(our_socket()):
        started = time.monotonic()
        assert "hung" in finding_of("sidecar").text
        assert time.monotonic() - started < 3


def test_a_server_whose_answer_never_ends_is_hung() -> None:
    with answering(our_socket(), b"x", every=0.05):
        assert "hung" in finding_of("sidecar").text


@pytest.mark.parametrize(
    ("answer", "expected", "words"),
    [
        (b"", "fail", "closed the connection"),
        (b"nonsense\n", "fail", "invalid answer"),
        (b"[1]\n", "fail", "closed the connection"),
        (status_of(protocol=99, version="9"), "fail", "protocol 99"),
        (status_of(protocol=1, version="0.0.1"), "warn", "version 0.0.1"),
        (status_of(protocol=1, version="0.0.1", trouble="cannot write `x`: no space"), "fail", "no space"),
    ],
)
def test_a_wrong_answer_of_the_sidecar_is_a_finding(answer: bytes, expected: str, words: str) -> None:
    with answering(our_socket(), answer):
        finding = finding_of("sidecar")
    assert finding.level.value == expected
    assert words in finding.text


def test_a_sidecar_that_cannot_write_reports_why() -> None:
    found_paths = paths.find()
    with sidecar() as running:
        found_paths.piggyback.unlink(missing_ok=True)
        found_paths.piggyback.mkdir()
        client = running.client()
        client.send({"kind": "capture", "id": "capture-1", "ts": "2026-11-22T06:00:00Z", "provider": "a"})
        finding = finding_of("sidecar")
        for _ in range(100):
            if finding.level is Level.FAIL:
                break
            finding = finding_of("sidecar")
        assert "cannot write" in finding.text


def test_a_socket_open_to_others_fails() -> None:
    with listening(our_socket(), 0o666):
        assert level("socket") == "fail"


def test_a_file_in_the_place_of_the_socket_fails() -> None:
    our_socket().parent.mkdir(mode=0o700, parents=True)
    our_socket().touch()
    assert level("socket") == "fail"


def test_a_lock_of_another_state_folder_is_a_finding() -> None:
    paths.find().state.mkdir(parents=True)
    paths.find().lock.write_text("1\n", encoding="ascii")
    with sidecar(env={"TOKMON_STATE_DIR": str(paths.find().home / "elsewhere")}):
        assert "names pid 1" in finding_of("lock").text


@pytest.mark.parametrize(
    ("script", "expected", "words"),
    [
        ("exit 1", "ok", "no user service manager"),
        ("echo LoadState=not-found; echo ActiveState=inactive", "ok", "no unit"),
        ("echo LoadState=loaded; echo ActiveState=active; echo MainPID=7", "ok", "is active"),
        ("echo LoadState=loaded; echo ActiveState=failed", "warn", "has failed"),
    ],
)
def test_the_service_manager_is_reported(script: str, expected: str, words: str, tmp_path: Path) -> None:
    program(tmp_path / "bin" / "systemctl", script)
    finding = finding_of("systemd", PATH=f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert finding.level.value == expected
    assert words in finding.text


def test_a_sidecar_that_is_not_the_one_of_the_service_is_a_finding(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "systemctl", "echo LoadState=loaded; echo ActiveState=active; echo MainPID=7")
    with sidecar():
        assert level("systemd", PATH=f"{tmp_path / 'bin'}:/usr/bin:/bin") == "unknown"
