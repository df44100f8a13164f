"""Faults that the sidecar once had, or nearly had."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.sidecar.running import WAIT_S, Client, capture, ids, lines_of, sidecar, usage, wait_until
from tokmon import paths
from tokmon.sidecar import client


def test_quota_frame_of_a_stream_is_stored() -> None:
    frame = {"type": "codex.rate_limits", "rate_limits": {"primary": {"used_percent": 4.0, "window_minutes": 300}}}
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(1, via="stream", http_status=None, headers={}, frame=frame))
        assert talk.acknowledged(1) == []
        (line,) = lines_of(running.paths.piggyback)
        assert line["frame"] == frame


def test_white_space_around_an_event_is_not_stored() -> None:
    with sidecar() as running:
        talk = running.client()
        ends = [b" ", b"\r", b" \t\r"]
        for number, end in enumerate(3 * ends):
            talk.send_bytes(json.dumps(capture(number)).encode() + end + b"\n")
        talk.acknowledged(9)
        assert len(ids(running.paths.piggyback)) == 9


def test_invalid_models_json_does_not_stop_the_sidecar() -> None:
    own = paths.find()
    own.models.parent.mkdir(parents=True)
    texts = ['{"providers":{"team-vigilio":{"baseUrl":"http://[::1"}}}', "[" * 200_000, "null"]
    own.models.write_text(texts[0], encoding="ascii")
    with sidecar() as running:
        for number, text in enumerate(texts):
            own.models.write_text(text, encoding="ascii")
            talk = running.client()  # it reads the file again
            talk.send(capture(number))
            talk.acknowledged(1)
        assert [line["type"] for line in lines_of(own.piggyback)] == ["teams-direct"] * 3


def test_change_of_models_json_applies_from_the_next_session_on() -> None:
    own = paths.find()
    own.models.parent.mkdir(parents=True)
    with sidecar() as running:
        for number, host in enumerate(("api.x.ai", "openrouter.ai")):
            provider = {"baseUrl": f"https://{host}/v1", "api": "openai-completions"}
            own.models.write_text(json.dumps({"providers": {"p": provider}, "n": "x" * number}), encoding="ascii")
            talk = running.client()
            talk.send(capture(number, provider="p", api="openai-completions"))
            talk.acknowledged(1)
        assert [line["type"] for line in lines_of(own.piggyback)] == ["xai", "openrouter"]


def test_unreachable_sidecar_is_replaced(isolated_home: Path) -> None:
    runtime = Path(os.environ["XDG_RUNTIME_DIR"])
    with sidecar() as running:
        shutil.rmtree(runtime)
        runtime.mkdir(mode=0o700)
        with sidecar() as successor:
            assert running.daemon.wait(WAIT_S) == 0
            talk = successor.client()
            talk.send(capture(1))
            talk.acknowledged(1)
            assert client.request_status(paths.find().sockets)["pid"] == successor.daemon.pid
    assert isolated_home.exists()


def test_spool_is_taken_in_while_a_client_stays_connected(tmp_path: Path) -> None:
    own = paths.find()
    for folder in ("tmp", "new"):
        (own.spool / folder).mkdir(parents=True, mode=0o700)
    with sidecar() as running:
        (tmp_path / "a").write_text(json.dumps(capture(7)) + "\n", encoding="ascii")
        (tmp_path / "a").rename(own.spool / "new" / "a")
        running.client()
        wait_until(lambda: lines_of(own.piggyback), "the spool is taken in although the client stays")
        assert list(ids(own.piggyback)) == ["capture-00000007"]


def test_symlink_in_place_of_the_spool_is_not_followed(tmp_path: Path) -> None:
    own = paths.find()
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "note").write_text("mine", encoding="ascii")
    (tmp_path / "docs" / "empty").touch()
    own.spool.mkdir(parents=True, mode=0o700)
    (own.spool / "new").symlink_to(tmp_path / "docs")
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(1))
        talk.acknowledged(1)
        running.stop()
    assert sorted(path.name for path in (tmp_path / "docs").iterdir()) == ["empty", "note"]


def test_spooled_file_that_cannot_be_moved_does_not_block_others(tmp_path: Path) -> None:
    own = paths.find()
    for folder in ("tmp", "new"):
        (own.spool / folder).mkdir(parents=True, mode=0o700)
    (own.spool / "bad").symlink_to(tmp_path)
    (own.spool / "new" / "a").write_text(json.dumps(capture(1)) + "\njunk\n", encoding="ascii")
    (own.spool / "new" / "b").write_text(json.dumps(capture(2)) + "\n", encoding="ascii")
    with sidecar() as running:
        wait_until(lambda: len(ids(own.piggyback)) == 2, "both are stored")
        talk = running.client()
        talk.send(capture(3))
        talk.acknowledged(1)


def test_aborted_request_is_not_a_network_error() -> None:
    texts = ["Request was aborted.", "AbortError", "Model refused: context window exceeded"]
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(1), *(usage(number, stop="error", error=text) for number, text in enumerate(texts)))
        talk.acknowledged(1 + len(texts))
        assert {line["status"] for line in lines_of(running.paths.usage)} == {"unknown"}
        running.stop()
        account = json.loads(running.paths.snapshot.read_bytes())["accounts"]["team-vigilio"]
        assert account["last"]["status"] == "allowed"


def test_evidence_of_a_clock_that_is_ahead_does_not_replace_current_evidence() -> None:
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(1, ts="2091-01-01T00:00:00Z", http_status=401), capture(2))
        talk.acknowledged(2)
        assert len(ids(running.paths.piggyback)) == 2, "it is stored all the same"
        running.stop()
        for rebuilt in (False, True):
            if rebuilt:
                running.paths.snapshot.unlink()
                with sidecar() as again:
                    again.stop()
            account = json.loads(running.paths.snapshot.read_bytes())["accounts"]["team-vigilio"]
            assert account["last"]["status"] == "allowed"


def test_secret_in_a_header_or_url_is_scrubbed() -> None:
    headers = {"x-litellm-model-api-base": "https://u:PLANTEDsecret@h/", "x-litellm-key-alias": "sk-PLANTED0123456789"}
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(1, headers=headers, origin="https://me:PLANTEDsecret@host"))
        talk.acknowledged(1)
        assert "PLANTED" not in running.paths.piggyback.read_text("utf-8")


def test_unreadable_log_does_not_hide_the_others() -> None:
    own = paths.find()
    (own.logs / "old.jsonl").mkdir(parents=True, mode=0o700)
    big = "1" + "0" * 400
    (own.logs / "probe.jsonl").write_text(
        f'{{"ts":"9999-12-31T23:59:59-14:00","provider":"a"}}\n'
        f'{{"ts":"2026-11-22T06:00:00Z","provider":"b","utilization_5h":{big}}}\n',
        encoding="ascii",
    )
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(1))
        talk.acknowledged(1)
        assert running.stop() == 0
    assert "team-vigilio" in own.snapshot.read_text("utf-8")
    status = subprocess.run([sys.executable, "-m", "tokmon", "status"], capture_output=True, text=True, check=False)
    assert status.returncode == 0
    (warning,) = status.stderr.splitlines()
    assert warning.startswith(f"warning: cannot read `{own.logs / 'old.jsonl'}`")


@pytest.mark.parametrize("redirection", ["<&- >&- 2>&-", "2>&1 | head -c1"])
def test_detached_start_works_with_closed_standard_streams(redirection: str) -> None:
    command = f"{sys.executable} -m tokmon sidecar --detach {redirection}"
    done = subprocess.run(["/bin/sh", "-c", command], stdout=subprocess.DEVNULL, timeout=WAIT_S, check=False)
    assert done.returncode == 0
    own = paths.find()
    answer: dict[str, Any] = client.request_status(own.sockets)
    os.kill(answer["pid"], 15)
    wait_until(lambda: not own.sockets[0].exists(), "it ends")


def test_new_connection_while_the_disk_is_full_is_not_read_either(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs the capability to mount a tmpfs")
    try:
        with sidecar(env={"TOKMON_LOG_DIR": str(folder / "logs")}) as running:
            sent = [_send_until_held_back(running.socket, number) for number in range(3)]
            assert max(sent) < 60_000
            status = Path(f"/proc/{running.daemon.pid}/status").read_text(encoding="ascii")
            assert int(status.partition("VmRSS:")[2].split()[0]) < 80_000
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _send_until_held_back(path: Path, connection: int) -> int:
    talk = Client(path, hello=False)
    talk.socket.settimeout(0.5)
    number = 0
    try:
        for number in range(60_000):
            talk.send(capture(connection * 1_000_000 + number))
    except TimeoutError:
        return number
    finally:
        talk.close()
    return 60_000
