"""A sidecar that starts lets the extension be written anew where pi has become another, and never minds how it goes."""

import os
from pathlib import Path

import pytest

from tests.installed_pi import npm_pi, wrapper
from tests.sidecar.running import capture, ids, sidecar, wait_until
from tokmon import paths
from tokmon.pi import extension
from tokmon.pi.extension import rendered


@pytest.fixture
def pi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with programs, first on the PATH."""
    root = tmp_path / "npm"
    monkeypatch.setenv("PATH", f"{root / 'bin'}:{os.environ['PATH']}")
    return root


def test_the_extension_is_written_anew_at_the_start_of_a_sidecar(pi: Path) -> None:
    npm_pi(pi, "1.5.2")
    path = paths.find().extension
    extension.write(path, rendered("0.73.1"))
    with sidecar() as running:
        wait_until(lambda: "for pi 1.5.2" in running.said(), "the sidecar says so")
        assert path.read_text() == rendered("1.5.2")
        assert extension.looked_at(paths.find(), os.environ)
        assert running.stop() == 0
    assert running.said().count("wrote `") == 1


def test_where_all_is_as_it_was_no_process_is_started(pi: Path) -> None:
    npm_pi(pi, "1.5.2")
    extension.write(paths.find().extension, rendered("1.5.2"))
    extension.renew(paths.find(), os.environ)
    with sidecar() as running:
        client = running.client()
        client.send(capture(1))
        client.acknowledged(1)
        children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children")
        assert children.read_text() == ""
        assert running.stop() == 0


def test_a_session_of_a_pi_that_is_new_lets_a_sidecar_look_again_that_has_long_been_running(pi: Path) -> None:
    npm_pi(pi, "0.73.1")
    path = paths.find().extension
    extension.write(path, rendered("0.73.1"))
    extension.renew(paths.find(), os.environ)
    with sidecar() as running:
        for version in ("0.73.1", "1.5.2", "1.5.2"):
            npm_pi(pi, version)
            client = running.client(hello=False)
            client.send({"kind": "hello", "protocol": 1, "name": "tokmon.ts", "pi": version}, capture(1))
            client.acknowledged(1)
        wait_until(lambda: "for pi 1.5.2" in running.said(), "the sidecar says so")
        assert path.read_text() == rendered("1.5.2")
        assert running.stop() == 0
    assert running.said().count("wrote `") == 1


@pytest.mark.parametrize("fault", ["says nothing", "too old", "no command"])
def test_what_goes_wrong_is_said_and_the_sidecar_serves(pi: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    path = paths.find().extension
    extension.write(path, rendered("0.73.1"))
    npm_pi(pi, "0.60.0" if fault == "too old" else "1.5.2")
    if fault == "says nothing":
        wrapper(pi / "other", "nothing", pi / "runs")
        monkeypatch.setenv("TOKMON_PI", str(pi / "other" / "bin" / "pi"))
    elif fault == "no command":
        monkeypatch.setenv("TOKMON_PI", "'")
    with sidecar() as running:
        client = running.client()
        client.send(capture(1))
        client.acknowledged(1)
        wait_until(lambda: "pi" in running.said().partition("listening")[2].partition("\n")[2], "it is said")
        assert running.stop() == 0
    assert ids(paths.find().piggyback) == {"capture-00000001": 1}
    assert path.read_text() == rendered("0.73.1")


def test_a_pi_that_hangs_keeps_no_sidecar_from_ending(pi: Path) -> None:
    extension.write(paths.find().extension, rendered("0.73.1"))
    program = wrapper(pi, "1.5.2", pi / "runs")
    program.write_text(f"{program.read_text()}echo $$ >'{pi}/pid'\nexec sleep 600\n")
    with sidecar() as running:
        client = running.client()
        client.send(capture(1))
        client.acknowledged(1)
        wait_until(lambda: (pi / "pid").exists() and (pi / "pid").read_text(), "pi is asked")
        assert running.stop() == 0
    pid = int((pi / "pid").read_text())
    wait_until(lambda: ended(pid), "pi has ended too")
    assert ids(paths.find().piggyback) == {"capture-00000001": 1}


def ended(pid: int) -> bool:
    try:
        return not Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return True
