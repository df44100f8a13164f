"""`tokmon status` names a dead, silent or failing sidecar and a waiting spool, each in one line with what to do."""

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands.logbook import tokmon
from tests.commands.screens import feed, run
from tests.sidecar.running import capture, sidecar, wait_until
from tokmon import paths


def _sidecar() -> dict[str, Any]:
    report: dict[str, Any] = json.loads(run("status", "--json").stdout)["sidecar"]
    text = " ".join(run("status").stdout.split())
    for remark in report["remarks"]:
        assert remark in text, "the screen shows the same remarks"
    return report


def _spool(name: str, *, age_s: float = 0.0) -> Path:
    new = paths.find().spool / "new"
    for folder in (new.parent, new):
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    (new / name).write_text(json.dumps(capture(1)) + "\n", encoding="ascii")
    os.utime(new / name, (time.time() - age_s, time.time() - age_s))
    return new / name


def test_nothing_is_said_where_no_sidecar_ever_ran_and_nothing_waits() -> None:
    report = _sidecar()
    assert report["state"] == "never started"
    assert report["remarks"] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_sidecar_that_ended_or_was_killed_is_named(number: int) -> None:
    with sidecar() as running:
        assert _sidecar()["state"] == "running"
        assert _sidecar()["remarks"] == []
        running.stop(number)
    report = _sidecar()
    assert report["state"] == "stopped"
    (remark,) = report["remarks"]
    assert "not running" in remark
    assert "`tokmon sidecar --detach`" in remark


def test_waiting_spool_is_named_with_the_number_of_files_and_the_age_of_the_oldest() -> None:
    _spool("a", age_s=3 * 3600 + 5)
    _spool("b")
    report = _sidecar()
    assert report["spooled_files"] == 2
    assert 3 * 3600 < report["oldest_spooled_s"] < 4 * 3600
    (remark,) = report["remarks"]
    assert remark.startswith("Spool: 2 files of responses wait, for up to 3 hours.")
    assert "`tokmon sidecar --detach`" in remark


def test_sidecar_that_cannot_write_is_named_with_the_reason() -> None:
    logs = paths.find().logs
    (logs / "usage.jsonl").mkdir(parents=True, mode=0o700)
    with sidecar() as running:
        wait_until(lambda: "not a file" in running.log(), "it notices")
        report = _sidecar()
        assert report["state"] == "running"
        assert report["trouble"] == f"cannot write `{logs / 'usage.jsonl'}`: not a file"
        assert any(str(logs / "usage.jsonl") in remark for remark in report["remarks"])


def test_sidecar_that_does_not_answer_is_named_and_status_does_not_wait_for_it() -> None:
    path = paths.find().sockets[0]
    path.parent.mkdir(parents=True, mode=0o700)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen(8)
        report = _sidecar()
    assert report["state"] == "does not answer"
    assert "`tokmon doctor`" in report["remarks"][0]


def test_deceiving_characters_are_escaped_in_every_json_output() -> None:
    own = paths.find()
    own.logs.mkdir(parents=True, mode=0o700)
    name = "a\u202eb\u2066c\u200bd\x7fe\x9bf\u2028g\U000e0041h"
    line = {"ts": "2026-11-22T06:00:00Z", "provider": name, "status": "allowed", "error": name}
    own.probe.write_text(json.dumps(line, ensure_ascii=False) + "\r\n", encoding="utf-8")
    texts = [run("status", "--json").stdout, tokmon("tail", "--json", "--no-follow").stdout]
    response = json.dumps({"provider": name, "http_status": 200, "headers": {}}, ensure_ascii=False)
    reading = feed(response.encode() + b"\n", "read").stdout
    for text in (*texts, reading):
        assert [character for character in text if not character.isprintable() and character != "\n"] == []
        assert "\\u202e" in text
        assert name in list(_texts(json.loads(text))), "the value is the same"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)
