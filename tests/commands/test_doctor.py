"""`tokmon doctor` as a whole, and how its findings read."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.commands.clinic import pi_of
from tests.commands.screens import run
from tests.sidecar.running import sidecar
from tokmon import paths
from tokmon.doctor_checks import TABLE, examine
from tokmon.doctor_checks.subject import Subject
from tokmon.paths import Paths
from tokmon.pi import extension
from tokmon.report.findings import Level, Named, fail, finding_text, to_json
from tokmon.report.words import Style


def checks(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    return {check["name"]: check for check in json.loads(done.stdout)["checks"]}


def installed(home: Path) -> Paths:
    pi_of("1.5.2", home)
    extension.install(paths.find())
    return paths.find()


def test_nothing_fails_with_a_real_sidecar(isolated_home: Path) -> None:
    installed(isolated_home)
    env = {"PATH": f"{isolated_home / 'bin'}:{os.environ['PATH']}"}
    with sidecar():
        done = run("doctor", "--json", **env)
        assert list(checks(done)) == list(TABLE)
        assert [check for check in checks(done).values() if check["level"] == "fail"] == []
        assert done.returncode == 0
        shown = run("doctor", **env)
    assert shown.returncode == 0
    assert "\x1b" not in shown.stdout
    assert shown.stderr == ""


def test_one_failure_exits_1_and_every_check_is_still_made() -> None:
    done = run("doctor")
    assert done.returncode == 1
    assert all(f" {name} " in done.stdout for name in TABLE)
    assert " fail" in done.stdout.splitlines()[-1]


def test_an_unknown_option_is_a_usage_error() -> None:
    assert run("doctor", "--nonsense").returncode == 2


def test_an_exception_in_a_check_is_a_finding(tmp_path: Path) -> None:
    broken = Subject(paths.find(), {"TOKMON_PI": "'"}, 0.0)
    finding = examine("pi", broken).finding
    assert finding.level is Level.FAIL
    assert "No closing quotation" in finding.text
    assert tmp_path.exists()


def test_no_secret_is_shown() -> None:
    secret = "sk-ant-" + "oat01-abcdefghijkl"
    named = Named("pi", fail(f"said {secret}\x1b[0m", f"use {secret}"))
    for shown in (json.dumps(to_json([named])), "\n".join(finding_text(named, 80, Style(), "/home/x"))):
        assert secret not in shown
        assert "\x1b" not in shown


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_finding_is_folded_and_its_fix_stays_on_one_line(width: int) -> None:
    fix = "`chmod 600 " + " ".join(f"/home/x/{name}" for name in range(30)) + "`"
    named = Named("files", fail("word " * 40 + "`/home/x/y`", fix))
    *rows, last = finding_text(named, width, Style(), "/home/x")
    assert all(len(row) <= width for row in rows)
    assert last.endswith(f"fix: {fix}")
    assert "`~/y`" in rows[-1]
