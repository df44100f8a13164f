"""Pi, the extension and models.json, made to fail by real programs and files."""

import shutil
from pathlib import Path

import pytest

from tests.commands.clinic import finding_of, foreign_extension, level, pi_of, program
from tests.extension.driver import EXTENSION, OLDER
from tests.installed_pi import npm_pi
from tokmon import paths
from tokmon.pi import extension
from tokmon.report.findings import Level


def test_versions_names_python() -> None:
    assert "Python 3." in finding_of("versions").text


def test_pi_is_found_by_its_name_or_by_its_variable(tmp_path: Path) -> None:
    pi = pi_of("1.5.2", tmp_path)
    assert finding_of("pi", PATH=f"{tmp_path / 'bin'}:/usr/bin:/bin").text.startswith("1.5.2 at ")
    assert level("pi", TOKMON_PI=f"env {pi}") == "ok"
    assert "newer than" in finding_of("pi", TOKMON_PI=pi_of("99.0.0", tmp_path)).text


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo hello", "named no version"),
        ("exit 3", "ended with 3"),
        ("sleep 60 & sleep 60", "did not answer in 5 s"),
        ("echo 0.60.0", "older than 0.66.1, the oldest supported version"),
    ],
)
def test_a_pi_that_says_nothing_sensible_fails(script: str, words: str, tmp_path: Path) -> None:
    finding = finding_of("pi", TOKMON_PI=program(tmp_path / "pi", script))
    assert finding.level is Level.FAIL
    assert words in finding.text


def test_a_missing_pi_fails(tmp_path: Path) -> None:
    assert "is not on the PATH" in finding_of("pi", PATH=str(tmp_path)).text
    assert level("pi", TOKMON_PI=str(tmp_path / "none")) == "fail"
    assert level("pi", TOKMON_PI="'") == "fail"


def test_the_version_is_read_from_the_package_and_pi_is_not_started(tmp_path: Path) -> None:
    program = npm_pi(tmp_path, "1.5.2", "exit 9")
    assert finding_of("pi", TOKMON_PI=str(program)).text == f"1.5.2 at `{program}`"


@pytest.mark.parametrize("package", ["{", "[]", "{}", '{"name": "x/pi-coding-agent", "version": "new"}', "[" * 100_000])
def test_a_package_without_a_version_lets_pi_be_asked(tmp_path: Path, package: str) -> None:
    program = npm_pi(tmp_path, "1.5.2", "echo 1.4.0")
    (program.resolve().parents[2] / "package.json").write_text(package)
    assert finding_of("pi", TOKMON_PI=str(program)).text == f"1.4.0 at `{program}`"


def test_an_extension_that_is_missing_of_another_or_off_is_reported() -> None:
    link, source = paths.find().extension, extension.source()
    assert finding_of("extension").text == f"`{link}` is missing: nothing is captured"
    extension.install(paths.find())
    assert finding_of("extension").text == f"`{link}`, linked to `{source}`"
    assert level("extension", TOKMON_DISABLE="1") == "warn"
    link.unlink()
    foreign_extension()
    assert (level("extension"), "is not tokmon's" in finding_of("extension").text) == ("fail", True)
    link.write_bytes(b"\xff\xfe")
    assert level("extension") == "fail"


def test_an_extension_of_another_tokmon_is_reported(tmp_path: Path) -> None:
    link, old = paths.find().extension, paths.find().old_extension
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "current" / "extensions" / "tokmon")
    assert "is missing" in finding_of("extension").text
    shutil.copy(OLDER, old)
    assert finding_of("extension").text == f"`{old}` belongs to an older tokmon"
    old.unlink()
    link.unlink()
    shutil.copytree(EXTENSION, link)
    assert "is not linked to this program's extension" in finding_of("extension").text


def test_a_models_json_that_is_not_json_is_a_warning() -> None:
    path = paths.find().models
    assert level("models") == "ok"
    path.parent.mkdir(parents=True)
    path.write_text('{"providers": {"a": {}}}', encoding="utf-8")
    assert finding_of("models").text.startswith("1 account in ")
    path.write_text("{", encoding="utf-8")
    assert level("models") == "warn"


def test_an_entry_of_models_json_that_is_no_provider_is_not_counted() -> None:
    path = paths.find().models
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"providers": {"a": 5, "b": {"api": "anthropic-messages"}}}')
    assert finding_of("models", ANTHROPIC_API_KEY="").text == f"1 account in `{path}`"
