"""What once went wrong, or would have: each with the sidecar as it runs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.sidecar.running import Client, capture, ids, lines_of, sidecar, usage, wait_until
from tokmon import paths
from tokmon.sidecar import client


def test_a_quota_frame_of_a_stream_is_stored() -> None:
    frame = {"type": "codex.rate_limits", "rate_limits": {"primary": {"used_percent": 4.0, "window_minutes": 300}}}
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(1, via="stream", http_status=None, headers={}, frame=frame))
        assert talk.acknowledged(1) == []
        (line,) = lines_of(running.paths.piggyback)
        assert line["frame"] == frame


@pytest.mark.parametrize("end", [b" ", b"\r", b" \t\r"])
def test_white_space_around_an_event_does_not_spoil_its_line(end: bytes) -> None:
    with sidecar() as running:
        talk = running.client()
        for number in range(3):
            talk.send_bytes(json.dumps(capture(number)).encode() + end + b"\n")
        talk.acknowledged(3)
        assert len(ids(running.paths.piggyback)) == 3


@pytest.mark.parametrize("ts", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1970-01-01T00:00:00Z"])
def test_an_instant_of_another_century_is_refused_and_the_snapshot_is_still_saved(ts: str) -> None:
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(1), capture(2, ts=ts), capture(3))
        (refusal,) = talk.acknowledged(3)
        assert (refusal["field"], refusal["line"]) == ("ts", 2)
        assert running.stop() == 0
        assert "team-vigilio" in running.paths.snapshot.read_text("utf-8")


@pytest.mark.parametrize("models", ['{"providers":{"team-vigilio":{"baseUrl":"http://[::1"}}}', "[" * 200_000, "null"])
def test_a_mistake_in_the_configuration_of_pi_stops_nothing(models: str) -> None:
    found = paths.find()
    found.models.parent.mkdir(parents=True)
    found.models.write_text(models, encoding="ascii")
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(1))
        talk.acknowledged(1)
        assert lines_of(found.piggyback)[0]["type"] == "teams-direct"


def test_a_change_of_the_configuration_counts_from_the_next_session_on() -> None:
    found = paths.find()
    found.models.parent.mkdir(parents=True)
    with sidecar() as running:
        for number, host in enumerate(("api.x.ai", "openrouter.ai")):
            provider = {"baseUrl": f"https://{host}/v1", "api": "openai-completions"}
            found.models.write_text(json.dumps({"providers": {"p": provider}, "n": "x" * number}), encoding="ascii")
            talk = running.client()
            talk.send(capture(number, provider="p", api="openai-completions"))
            talk.acknowledged(1)
        assert [line["type"] for line in lines_of(found.piggyback)] == ["xai", "openrouter"]


def test_a_sidecar_that_nobody_can_reach_is_replaced(isolated_home: Path) -> None:
    runtime = Path(os.environ["XDG_RUNTIME_DIR"])
    with sidecar() as running:
        shutil.rmtree(runtime)
        runtime.mkdir(mode=0o700)
        with sidecar() as successor:
            assert running.process.wait(10) == 0
            talk = successor.client()
            talk.send(capture(1))
            talk.acknowledged(1)
            assert client.request_status(paths.find().sockets)["pid"] == successor.process.pid
    assert isolated_home.exists()


def test_the_spool_is_taken_in_while_a_session_stays(tmp_path: Path) -> None:
    found = paths.find()
    for folder in ("tmp", "new"):
        (found.spool / folder).mkdir(parents=True, mode=0o700)
    with sidecar() as running:
        (tmp_path / "a").write_text(json.dumps(capture(7)) + "\n", encoding="ascii")
        (tmp_path / "a").rename(found.spool / "new" / "a")
        running.client()
        wait_until(lambda: lines_of(found.piggyback), "the spool is taken in although the client stays")
        assert list(ids(found.piggyback)) == ["capture-00000007"]


def test_a_link_in_the_spools_place_is_not_followed(tmp_path: Path) -> None:
    found = paths.find()
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "note").write_text("mine", encoding="ascii")
    (tmp_path / "docs" / "empty").touch()
    found.spool.mkdir(parents=True, mode=0o700)
    (found.spool / "new").symlink_to(tmp_path / "docs")
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(1))
        talk.acknowledged(1)
        running.stop()
    assert sorted(path.name for path in (tmp_path / "docs").iterdir()) == ["empty", "note"]


def test_a_spooled_file_that_cannot_be_put_away_holds_nobody_up(tmp_path: Path) -> None:
    found = paths.find()
    for folder in ("tmp", "new"):
        (found.spool / folder).mkdir(parents=True, mode=0o700)
    (found.spool / "bad").symlink_to(tmp_path)
    (found.spool / "new" / "a").write_text(json.dumps(capture(1)) + "\njunk\n", encoding="ascii")
    (found.spool / "new" / "b").write_text(json.dumps(capture(2)) + "\n", encoding="ascii")
    with sidecar() as running:
        wait_until(lambda: len(ids(found.piggyback)) == 2, "both are stored")
        talk = running.client()
        talk.send(capture(3))
        talk.acknowledged(1)


def test_a_request_that_a_person_aborted_is_no_network_error() -> None:
    texts = ["Request was aborted.", "AbortError", "Model refused: context window exceeded"]
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(1), *(usage(number, stop="error", error=text) for number, text in enumerate(texts)))
        talk.acknowledged(1 + len(texts))
        assert {line["status"] for line in lines_of(running.paths.usage)} == {"unknown"}
        running.stop()
        account = json.loads(running.paths.snapshot.read_bytes())["accounts"]["team-vigilio"]
        assert account["last"]["status"] == "allowed"


def test_a_clock_that_runs_ahead_does_not_outrank_the_truth() -> None:
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


def test_a_secret_in_a_header_or_an_address_is_taken_out() -> None:
    headers = {"x-litellm-model-api-base": "https://u:PLANTEDsecret@h/", "x-litellm-key-alias": "sk-PLANTED0123456789"}
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(1, headers=headers, origin="https://me:PLANTEDsecret@host"))
        talk.acknowledged(1)
        assert "PLANTED" not in running.paths.piggyback.read_text("utf-8")


def test_a_log_that_cannot_be_read_hides_no_other() -> None:
    found = paths.find()
    (found.logs / "old.jsonl").mkdir(parents=True, mode=0o700)
    big = "1" + "0" * 400
    (found.logs / "probe.jsonl").write_text(
        f'{{"ts":"9999-12-31T23:59:59-14:00","provider":"a"}}\n'
        f'{{"ts":"2026-11-22T06:00:00Z","provider":"b","utilization_5h":{big}}}\n',
        encoding="ascii",
    )
    with sidecar() as running:
        talk = running.client()
        talk.send(capture(1))
        talk.acknowledged(1)
        assert running.stop() == 0
    assert "team-vigilio" in found.snapshot.read_text("utf-8")
    status = subprocess.run([sys.executable, "-m", "tokmon", "status"], capture_output=True, text=True, check=False)
    assert status.returncode == 0
    (warning,) = status.stderr.splitlines()
    assert warning.startswith(f"warning: `{found.logs / 'old.jsonl'}` cannot be read")


@pytest.mark.parametrize("redirection", ["<&- >&- 2>&-", "2>&1 | head -c1"])
def test_a_detached_start_needs_no_open_stream(redirection: str) -> None:
    command = f"{sys.executable} -m tokmon sidecar --detach {redirection}"
    done = subprocess.run(["/bin/sh", "-c", command], stdout=subprocess.DEVNULL, timeout=30, check=False)
    assert done.returncode == 0
    found = paths.find()
    answer: dict[str, Any] = client.request_status(found.sockets)
    os.kill(answer["pid"], 15)
    wait_until(lambda: not found.sockets[0].exists(), "it ends")


def test_a_connection_made_while_the_disk_is_full_is_held_back_too(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs the capability to mount a tmpfs")
    try:
        with sidecar(env={"TOKMON_LOG_DIR": str(folder / "logs")}) as running:
            sent = [_send_until_held_back(running.socket, number) for number in range(3)]
            assert max(sent) < 60_000
            status = Path(f"/proc/{running.process.pid}/status").read_text(encoding="ascii")
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
