"""Pi, the extension and models.json, made to fail by real programs and files."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.clinic import found, install, level, pi_of, program, rendered
from tokmon import paths
from tokmon.report.findings import Level


def test_this_program_says_its_versions() -> None:
    assert "Python 3." in found("versions").text


def test_pi_is_found_by_its_name_or_by_its_variable(tmp_path: Path) -> None:
    pi = pi_of("1.5.2", tmp_path)
    assert found("pi", PATH=f"{tmp_path / 'bin'}:/usr/bin:/bin").text.startswith("1.5.2 at ")
    assert level("pi", TOKMON_PI=f"env {pi}") == "ok"
    assert "newer than" in found("pi", TOKMON_PI=pi_of("99.0.0", tmp_path)).text


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo hello", "named no version"),
        ("exit 3", "ended with 3"),
        ("sleep 60 & sleep 60", "did not answer in 5 s"),
        ("echo 0.60.0", "not supported"),
    ],
)
def test_a_pi_that_says_nothing_sensible_fails(script: str, words: str, tmp_path: Path) -> None:
    finding = found("pi", TOKMON_PI=program(tmp_path / "pi", script))
    assert finding.level is Level.FAIL
    assert words in finding.text


def test_a_missing_pi_fails(tmp_path: Path) -> None:
    assert "is not on the PATH" in found("pi", PATH=str(tmp_path)).text
    assert level("pi", TOKMON_PI=str(tmp_path / "none")) == "fail"
    assert level("pi", TOKMON_PI="'") == "fail"


def test_the_extension_is_compared_with_what_this_pi_needs(tmp_path: Path) -> None:
    install(rendered("1.5.2"))
    assert level("extension", TOKMON_PI=pi_of("1.5.2", tmp_path)) == "ok"
    assert level("extension", TOKMON_PI=pi_of("0.66.1", tmp_path)) == "warn"
    assert level("extension", TOKMON_PI=pi_of("0.60.0", tmp_path)) == "fail"
    assert level("extension", TOKMON_PI=str(tmp_path / "none")) == "unknown"


def test_an_extension_that_is_missing_foreign_unreadable_or_off_is_told(tmp_path: Path) -> None:
    fix = found("extension", TOKMON_PI=pi_of("1.5.2", tmp_path)).fix
    subprocess.run([sys.executable, "-m", *shlex.split(str(fix).strip("`"))], check=True)
    assert level("extension", TOKMON_PI=pi_of("1.5.2", tmp_path)) == "ok"
    paths.find().extension.unlink()
    assert level("extension") == "fail"
    path = install("export default () => {};\n")
    assert found("extension").text.endswith("is not tokmon's")
    path.write_bytes(b"\xff\xfe")
    assert level("extension") == "fail"
    assert level("extension", TOKMON_DISABLE="1") == "warn"
    path.unlink()
    path.symlink_to(tmp_path)
    assert level("extension") == "fail"


def test_models_that_are_not_json_are_told() -> None:
    path = paths.find().models
    assert level("models") == "ok"
    path.parent.mkdir(parents=True)
    path.write_text('{"providers": {"a": {}}}', encoding="utf-8")
    assert found("models").text.startswith("1 providers")
    path.write_text("{", encoding="utf-8")
    assert level("models") == "warn"
