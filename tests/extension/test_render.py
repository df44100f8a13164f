"""The renderer: one source, a text for every version of pi, and a committed file that is one of them."""

import json
import re
import subprocess
from pathlib import Path
from typing import Final

import pytest
from packaging.version import Version

from tests.pi import install
from tokmon import cli, families
from tokmon.errors import RenderError, UsageError
from tokmon.pi import schema_ts
from tokmon.wire import messages, scrub

ROOT: Final = Path(__file__).parents[2]
COMMITTED: Final = ROOT / "extensions" / "tokmon.ts"
SOURCE: Final = COMMITTED.read_text()

ARRIVALS: Final = (
    ("0.66.1", "@mariozechner", 'import("@mariozechner/pi-ai")'),
    ("0.73.1", "@mariozechner", 'import("@mariozechner/pi-ai")'),
    ("0.74.0", "@earendil-works", 'import("@earendil-works/pi-ai")'),
    ("0.79.10", "@earendil-works", 'import("@earendil-works/pi-ai")'),
    ("0.80.7", "@earendil-works", 'import("@earendil-works/pi-ai/compat")'),
    ("0.80.10", "@earendil-works", "return []"),
    ("0.81.1", "@earendil-works", "getProvider("),
    ("0.87.1", "@earendil-works", "getProvider("),
    ("1.5.2", "@earendil-works", "getProvider("),
    ("7.0.0", "@earendil-works", "getProvider("),
)


def rendered(version: str) -> str:
    return schema_ts.render(schema_ts.version(version), SOURCE)


def test_the_committed_file_is_what_the_renderer_gives() -> None:
    assert cli.main(["extension", "--check"]) == 0


@pytest.mark.parametrize(("version", "scope", "attribution"), ARRIVALS)
def test_a_version_gets_its_scope_and_its_attribution(version: str, scope: str, attribution: str) -> None:
    text = rendered(version)
    imports = re.findall(r'^import .* from "(@[^/]+)/', text, re.MULTILINE)
    assert set(imports) == {scope}
    assert [each[2] for each in ARRIVALS if each[2] in text] == [each[2] for each in ARRIVALS if each[2] == attribution]


@pytest.mark.parametrize("version", [version for version, *_ in ARRIVALS])
def test_rendering_twice_changes_nothing(version: str) -> None:
    once = rendered(version)
    assert schema_ts.render(schema_ts.version(version), once) == once
    assert schema_ts.render(schema_ts.NEWEST, once) == SOURCE


@pytest.mark.parametrize("version", [version for version, *_ in ARRIVALS])
def test_nothing_but_node_is_imported_in_a_way_that_could_end_a_pi_that_has_become_another(version: str) -> None:
    text = rendered(version)
    imports = re.findall(r"^import (?!type ).*$", text, re.MULTILINE)
    assert imports
    assert all(' from "node:' in line for line in imports)
    asked = re.findall(r"\bimport\(.*", text)
    assert [line for line in asked if not line.endswith(".catch(() => undefined);")] == []
    assert len(asked) == (schema_ts.row(schema_ts.version(version)).attribution == "registry")


def test_every_field_of_the_schema_is_a_field_of_the_extension() -> None:
    for struct in (messages.Hello, messages.Capture, messages.Tokens, messages.Usage):
        block = SOURCE.partition(f"interface {struct.__name__} {{\n")[2].partition("\n}")[0]
        fields = re.findall(r"^\t(\w+)\??:", block, re.MULTILINE)
        tag = ["kind"] if struct is not messages.Tokens else []
        assert fields == [*tag, *struct.__struct_fields__]


def test_the_allow_list_the_bounds_and_the_patterns_are_those_of_python() -> None:
    for prefix in families.ALLOWED_PREFIXES:
        assert f"\t{json.dumps(prefix)}," in SOURCE
    assert f"const MAX_LINE = {messages.MAX_LINE};" in SOURCE
    assert SOURCE.count("\n\t", SOURCE.index("const PATTERNS"), SOURCE.index("const SECRETS")) == len(scrub.PATTERNS)


def test_an_older_pi_than_the_oldest_is_refused_by_name() -> None:
    with pytest.raises(RenderError, match=re.escape("0.66.1")) as caught:
        rendered("0.66.0")
    assert caught.value.hint


@pytest.mark.parametrize("text", ["", "latest", "1.x", "pi 1.5.2"])
def test_what_is_no_version_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        schema_ts.version(text)


def test_a_leading_v_and_blanks_are_taken_off() -> None:
    assert schema_ts.version(" v1.5.2\n") == Version("1.5.2")


def test_a_source_without_a_region_is_refused() -> None:
    with pytest.raises(RenderError, match="`headers`"):
        schema_ts.render(schema_ts.NEWEST, SOURCE.replace("// <generated headers>\n", ""))


def test_it_is_written_once_for_its_owner_alone(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "tokmon.ts"
    words = ["extension", "--pi-version", "0.73.1", "--output", str(target)]
    assert cli.main(words) == 0
    assert target.read_text() == rendered("0.73.1")
    assert target.stat().st_mode & 0o777 == 0o600
    before = target.stat()
    assert cli.main(words) == 0
    assert (target.stat().st_ino, target.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert list(target.parent.iterdir()) == [target]


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "tokmon.ts").symlink_to(victim)
    assert cli.main(["extension", "--pi-version", "1.5.2", "--output", str(tmp_path / "tokmon.ts")]) == 0
    assert victim.read_text() == "mine"


def test_check_says_what_differs_and_how_to_mend_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "tokmon.ts"
    target.write_text(rendered("0.73.1"))
    assert cli.main(["extension", "--check", "--pi-version", "0.73.1", "--output", str(target)]) == 0
    assert cli.main(["extension", "--check", "--pi-version", "1.5.2", "--output", str(target)]) == 1
    assert "hint: `tokmon extension" in capsys.readouterr().err


@pytest.mark.parametrize(("said", "stream"), [("1.5.2", 1), ("v0.87.1", 1), ("0.66.1", 2)])
def test_the_installed_pi_is_asked_for_its_version(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], said: str, stream: int
) -> None:
    pi = tmp_path / "pi"
    pi.write_text(f"#!/bin/sh\necho {said} >&{stream}\n")
    pi.chmod(0o755)
    assert cli.main(["extension", "--pi", str(pi)]) == 0
    assert capsys.readouterr().out == rendered(said)


@pytest.mark.parametrize(
    ("script", "reason"),
    [("exit 1", "ended with 1"), ("true", "named no version"), ("exec sleep 30", "did not answer in 0.2 s")],
)
def test_a_pi_that_does_not_say_its_version_is_an_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    script: str,
    reason: str,
) -> None:
    monkeypatch.setattr("tokmon.pi.installed.PATIENCE_S", 0.2)
    pi = tmp_path / "pi"
    pi.write_text(f"#!/bin/sh\n{script}\n")
    pi.chmod(0o755)
    assert cli.main(["extension", "--pi", str(pi)]) == 1
    error = capsys.readouterr().err
    assert reason in error
    assert "hint: " in error


def test_an_absent_pi_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["extension", "--pi", "/nowhere/pi"]) == 1
    assert "no such program" in capsys.readouterr().err


@pytest.mark.pi
def test_biome_has_nothing_to_say() -> None:
    done = subprocess.run(
        [*install.node_tool("biome"), "ci", "--colors=off", "--error-on-warnings", "."],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
