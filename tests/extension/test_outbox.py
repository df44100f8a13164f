"""The way to the sidecar: socket, acknowledgements, spool, and what happens when nobody listens."""

import itertools
import json
import os
import socket
import threading
from pathlib import Path
from typing import Any, Final

import pytest

from tests.extension.driver import DRAIN, LOAD, QUIT, START, Step, answer_ended, drive, emit
from tests.extension.listener import Listener
from tests.sidecar.running import wait_until
from tokmon import paths
from tokmon.wire import messages

SLEEP: Final[Step] = {"do": "sleep", "ms": 300}


@pytest.fixture
def sock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOKMON_SOCKET", str(tmp_path / "sock"))
    return tmp_path / "sock"


def many(count: int, size: int = 10) -> Step:
    """`count` ends of answers, each with its own response id and an error text of that size."""
    return {**answer_ended(responseId="msg_$TIME", errorMessage="e" * size), "times": count}


def spooled() -> list[dict[str, Any]]:
    folder = paths.find().spool
    if not folder.exists():
        return []
    assert not any((folder / "tmp").iterdir())
    files = sorted((folder / "new").iterdir())
    assert {path.stat().st_mode & 0o777 for path in files} <= {0o600}
    assert {path.stat().st_mode & 0o777 for path in (folder, folder / "new", folder / "tmp")} == {0o700}
    lines = [line for path in files for line in path.read_bytes().splitlines(keepends=True)]
    assert all(messages.decode(line)[1] for line in lines)
    return [json.loads(line) for line in lines]


def ids(events: list[dict[str, Any]]) -> list[str]:
    return [each["response_id"] for each in events]


def test_hello_comes_first_and_an_acknowledged_event_is_forgotten(sock: Path) -> None:
    with Listener(sock) as listener:
        drive(LOAD, START, many(5), DRAIN, QUIT)
        assert listener.raw.startswith(b'{"kind":"hello","protocol":')
        assert ids(listener.events) == [f"msg_{number}" for number in range(5)]
    assert spooled() == []


def test_nothing_is_lost_when_nobody_listens(sock: Path) -> None:
    drive(LOAD, START, many(7), QUIT)
    assert ids(spooled()) == [f"msg_{number}" for number in range(7)]
    assert sock.exists() is False


def test_a_hung_sidecar_costs_at_most_the_farewell(sock: Path) -> None:
    with Listener(sock, reads=False):
        done = drive(LOAD, START, many(3), QUIT, QUIT)
    assert done.results[3]["ms"] > 150
    assert [done.results[number]["results"] for number in (3, 4)] == [["function"], ["undefined"]]
    assert ids(spooled()) == ["msg_0", "msg_1", "msg_2"]


def test_what_a_sidecar_took_and_never_acknowledged_is_spooled_with_its_ids(sock: Path) -> None:
    with Listener(sock, acks=False) as listener:
        drive(LOAD, START, many(3), QUIT)
        assert [each["id"] for each in listener.events] == [each["id"] for each in spooled()]


def test_a_burst_stays_within_the_bound_and_the_oldest_are_spooled(sock: Path) -> None:
    with Listener(sock, reads=False):
        done = drive(LOAD, START, many(5000, 1500), emit("turn_end"))
    assert done.exit_code == 0
    found = ids(spooled())
    assert sorted(found) == sorted(f"msg_{number}" for number in range(5000))
    assert found == [f"msg_{number}" for number in range(5000)]


def test_a_fast_sidecar_takes_a_burst_whole(sock: Path) -> None:
    with Listener(sock) as listener:
        drive(LOAD, START, many(1500, 200), DRAIN, QUIT)
        assert ids(listener.events) == [f"msg_{number}" for number in range(1500)]
    assert spooled() == []


def test_a_lost_connection_is_made_again_and_the_rest_is_sent_again(sock: Path) -> None:
    listener = Listener(sock, acks=False, drops_after=2)
    with listener:
        drive(LOAD, START, many(4), DRAIN, QUIT)
        found = ids(listener.events)
    assert len(listener.hellos) >= 2
    assert set(found) == {"msg_0", "msg_1", "msg_2", "msg_3"}
    assert len(found) > 4
    assert ids(spooled()) == []


def test_an_idle_connection_that_ends_is_made_again_for_the_next_event(sock: Path) -> None:
    with Listener(sock, drops_after=1) as listener:
        drive(LOAD, START, many(1), DRAIN, SLEEP, answer_ended(responseId="msg_later"), DRAIN, QUIT)
        assert ids(listener.events) == ["msg_0", "msg_later"]


@pytest.mark.usefixtures("sock")
def test_after_two_seconds_without_a_sidecar_events_are_spooled() -> None:
    drive(LOAD, START, many(2), {"do": "sleep", "ms": 2300}, {"do": "exit"})
    assert ids(spooled()) == ["msg_0", "msg_1"]
    assert len(list((paths.find().spool / "new").iterdir())) == 1


def test_what_is_left_is_spooled_when_the_process_exits_without_a_farewell(sock: Path) -> None:
    with Listener(sock, acks=False):
        drive(LOAD, START, many(2), {"do": "exit"})
    assert ids(spooled()) == ["msg_0", "msg_1"]


def test_a_socket_under_the_state_folder_is_found_too() -> None:
    with Listener(paths.find().sockets[1]) as listener:
        drive(LOAD, START, many(2), DRAIN, QUIT)
        assert ids(listener.events) == ["msg_0", "msg_1"]


def test_the_process_ends_by_itself_with_a_connection_open(sock: Path) -> None:
    with Listener(sock):
        done = drive(LOAD, START, many(1))
    assert done.exit_code == 0


def test_a_link_in_the_place_of_the_spool_is_not_followed(sock: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    state = paths.find().state
    state.mkdir(parents=True)
    (state / "spool").symlink_to(elsewhere)
    done = drive(LOAD, START, many(1), QUIT)
    assert (done.exit_code, done.stderr) == (0, "")
    assert not any(elsewhere.iterdir())
    assert not sock.exists()


@pytest.mark.parametrize("obstacle", ["read-only", "file"])
def test_where_nothing_can_be_written_events_are_dropped_in_silence(sock: Path, obstacle: str) -> None:
    state = paths.find().state
    state.parent.mkdir(parents=True, exist_ok=True)
    if obstacle == "file":
        state.write_text("")
    else:
        state.mkdir()
        (state / "spool").write_text("")
    done = drive(LOAD, START, many(1), QUIT)
    assert (done.exit_code, done.stderr) == (0, "")
    assert not sock.exists()


def blocked() -> Step:
    """Make the spool a file, so that nothing can be spooled; return the step that removes it."""
    state = paths.find().state
    state.mkdir(parents=True)
    (state / "spool").write_text("")
    return {"do": "remove", "path": str(state / "spool")}


@pytest.mark.usefixtures("sock")
@pytest.mark.parametrize("end", [QUIT, {"do": "exit"}, {"do": "sleep", "ms": 4200}])
def test_what_could_not_be_spooled_is_spooled_later(end: Step) -> None:
    clear = blocked()
    drive(LOAD, START, many(3), {"do": "sleep", "ms": 2300}, clear, end)
    assert ids(spooled()) == ["msg_0", "msg_1", "msg_2"]
    assert len(list((paths.find().spool / "new").iterdir())) == 1


def test_what_could_not_be_spooled_is_sent_when_a_sidecar_comes(sock: Path, tmp_path: Path) -> None:
    blocked()
    failed, listener = tmp_path / "failed", Listener(sock)

    def come() -> None:
        wait_until(failed.exists, "the first attempt to spool")
        listener.__enter__()

    sidecar = threading.Thread(target=come)
    sidecar.start()
    drive(LOAD, START, many(3), {"do": "sleep", "ms": 2300}, {"do": "made", "path": str(failed)}, DRAIN, QUIT)
    sidecar.join()
    listener.stop()
    assert ids(listener.events) == ["msg_0", "msg_1", "msg_2"]


@pytest.mark.usefixtures("sock")
@pytest.mark.parametrize(("count", "size", "kept"), [(5500, 10, 2000), (6000, 1900, None)])
def test_what_can_be_spooled_nowhere_stays_within_the_bounds(count: int, size: int, kept: int | None) -> None:
    clear = blocked()
    drive(LOAD, START, many(count, size), clear, QUIT)
    found = ids(spooled())
    assert found == [f"msg_{number}" for number in range(count - len(found), count)]
    assert len(found) == kept if kept else 1000 < len(found) <= 2000
    assert sum(path.stat().st_size for path in (paths.find().spool / "new").iterdir()) <= 8 * 1024 * 1024


def test_a_socket_path_that_is_too_long_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKMON_SOCKET", "/tmp/" + "x" * 300)  # noqa: S108 - is never made
    done = drive(LOAD, START, many(1), QUIT)
    assert (done.exit_code, done.stderr) == (0, "")
    assert ids(spooled()) == ["msg_0"]


VARIABLES: Final = {
    "HOME": ("/home/m", None),
    "TOKMON_STATE_DIR": (None, "", "/var/tokmon", "relative/state"),
    "XDG_STATE_HOME": (None, "", "/xdg/state", "relative"),
    "TOKMON_SOCKET": (None, "", "/run/own.sock"),
    "XDG_RUNTIME_DIR": (None, "", "/run/user/7", "relative"),
}


def test_the_paths_are_those_of_python_whatever_the_environment() -> None:
    cases = [
        {name: value for name, value in zip(VARIABLES, values, strict=True) if value is not None}
        for values in itertools.product(*VARIABLES.values())
    ]
    steps: list[Step] = []
    for case in cases:
        steps += [
            {"do": "call", "file": "spool.ts", "name": "socketPaths", "args": [case]},
            {"do": "call", "file": "spool.ts", "name": "stateFolder", "args": [case]},
        ]
    done = drive(*steps)
    home = Path(os.environ["HOME"])
    for number, case in enumerate(cases):
        found = paths.find({"HOME": str(home), **case})
        sockets, state = (Path_of(done.results[2 * number + offset]["value"]) for offset in (0, 1))
        assert sockets == list(found.sockets)
        assert state == [found.state]


def Path_of(value: str | list[str]) -> list[Path]:  # noqa: N802 - reads as what it makes
    return [Path(each) for each in ([value] if isinstance(value, str) else value)]


def sidecar(tmp_path: Path) -> tuple[Path, Path]:
    """A command in the place of tokmon: it notes its arguments."""
    log = tmp_path / "started"
    command = tmp_path / "bin" / "tokmon"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\necho "$@" >>{log}\n')
    command.chmod(0o755)
    return command, log


@pytest.mark.parametrize("where", ["TOKMON_BIN", "home", "PATH"])
def test_where_nobody_listens_a_sidecar_is_started_once(tmp_path: Path, where: str, isolated_home: Path) -> None:
    command, log = sidecar(tmp_path)
    env = {"TOKMON_NO_SPAWN": ""}
    if where == "TOKMON_BIN":
        env["TOKMON_BIN"] = str(command)
    elif where == "home":
        installed = isolated_home / ".local" / "bin" / "tokmon"
        installed.parent.mkdir(parents=True)
        installed.symlink_to(command)
    else:
        env["PATH"] = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    env["XDG_RUNTIME_DIR"] = str(tmp_path / "nothing")
    again = {**START, "data": {"reason": "reload"}}
    drive(LOAD, START, SLEEP, LOAD, again, many(1), {"do": "sleep", "ms": 900}, QUIT, env=env)
    wait_until(log.exists, "the sidecar's start")
    assert log.read_text() == "sidecar --detach\n"


def test_an_absent_tokmon_is_not_an_error(tmp_path: Path) -> None:
    env = {"TOKMON_NO_SPAWN": "", "TOKMON_BIN": str(tmp_path / "absent"), "XDG_RUNTIME_DIR": str(tmp_path / "nothing")}
    done = drive(LOAD, START, SLEEP, many(1), QUIT, env=env)
    assert (done.exit_code, done.stderr) == (0, "")


@pytest.mark.parametrize("reason", ["TOKMON_NO_SPAWN", "socket unit", "somebody else's"])
def test_no_sidecar_is_started_where_that_is_not_our_business(tmp_path: Path, reason: str) -> None:
    command, log = sidecar(tmp_path)
    env = {"TOKMON_NO_SPAWN": "", "TOKMON_BIN": str(command), "XDG_RUNTIME_DIR": str(tmp_path / "nothing")}
    if reason == "TOKMON_NO_SPAWN":
        env["TOKMON_NO_SPAWN"] = "1"
    elif reason == "socket unit":
        wants = Path(os.environ["XDG_CONFIG_HOME"]) / "systemd" / "user" / "sockets.target.wants"
        wants.mkdir(parents=True)
        (wants / "tokmon.socket").symlink_to("/nowhere")
    else:
        held = tmp_path / "held"
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(held))
            server.listen(1)
            drive(LOAD, START, SLEEP, QUIT, env={**env, "TOKMON_SOCKET": str(held)})
        assert not log.exists()
        return
    drive(LOAD, START, SLEEP, many(1), QUIT, env=env)
    assert not log.exists()


ABSENT: Final = ("ENOENT", "ECONNREFUSED", "EACCES", "EPERM", "ENOTDIR", "EINVAL", "ENAMETOOLONG", "ELOOP", "throws")


@pytest.mark.parametrize("code", [*ABSENT, "EAGAIN"])
def test_a_sidecar_is_started_where_none_of_ours_can_be_there(tmp_path: Path, code: str) -> None:
    command, log = sidecar(tmp_path)
    env = {"TOKMON_NO_SPAWN": "", "TOKMON_BIN": str(command)}
    waits: list[Step] = [{"do": "until", "path": str(log)}] if code in ABSENT else [{"do": "sleep", "ms": 300}]
    done = drive(LOAD, START, many(1), *waits, QUIT, env=env, connect=code)
    assert (done.exit_code, done.stderr) == (0, "")
    assert (log.read_text() if log.exists() else "") == ("sidecar --detach\n" if code in ABSENT else "")
    assert ids(spooled()) == ["msg_0"]


@pytest.mark.parametrize("obstacle", ["file", "loop", "too long"])
def test_a_runtime_folder_that_is_of_no_use_does_not_keep_a_sidecar_from_starting(
    tmp_path: Path, obstacle: str
) -> None:
    command, log = sidecar(tmp_path)
    runtime = tmp_path / ("x" * 200 if obstacle == "too long" else "runtime")
    if obstacle == "file":
        runtime.write_text("")
    elif obstacle == "loop":
        runtime.symlink_to(runtime)
    env = {"TOKMON_NO_SPAWN": "", "TOKMON_BIN": str(command), "XDG_RUNTIME_DIR": str(runtime)}
    drive(LOAD, START, many(1), {"do": "until", "path": str(log)}, QUIT, env=env)
    assert log.read_text() == "sidecar --detach\n"
