"""The extension's files: `schema.ts` is what the Python schema gives, and nothing else crosses the border by hand."""

import json
import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.extension.driver import EXTENSION
from tests.patience import PATIENCE_S
from tests.pi import install
from tokmon import cli, families
from tokmon.pi import schema_ts
from tokmon.wire import messages, scrub

ROOT: Final = Path(__file__).parents[2]
SCHEMA: Final = (EXTENSION / "schema.ts").read_text()
FILES: Final = {path.name: path.read_text() for path in EXTENSION.iterdir()}


def test_the_committed_schema_is_what_python_generates() -> None:
    assert cli.main(["extension", "--check"]) == 0


def test_every_field_of_the_wire_is_a_field_of_the_extension_types() -> None:
    for struct in (messages.Hello, messages.Capture, messages.Tokens, messages.Usage):
        block = SCHEMA.partition(f"interface {struct.__name__} {{\n")[2].partition("\n}")[0]
        fields = re.findall(r"^\t(\w+)\??:", block, re.MULTILINE)
        tag = ["kind"] if struct is not messages.Tokens else []
        assert fields == [*tag, *struct.__struct_fields__]


def test_the_header_prefixes_bounds_and_secret_patterns_are_those_of_python() -> None:
    for prefix in families.ALLOWED_PREFIXES:
        assert f"\t{json.dumps(prefix)}," in SCHEMA
    assert f"const MAX_LINE = {messages.MAX_LINE};" in SCHEMA
    assert SCHEMA.count("\n\t", SCHEMA.index("const SECRET_PATTERNS"), SCHEMA.index("const SECRETS =")) == len(
        scrub.PATTERNS
    )


def test_a_changed_schema_is_reported_and_then_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "schema.ts"
    path.write_text(SCHEMA.replace('"retry-after"', '"retry-before"'))
    monkeypatch.setattr(schema_ts, "path", lambda: path)
    assert cli.main(["extension", "--check"]) == 1
    error = capsys.readouterr().err
    assert f"`{path}`" in error
    assert "hint: run `tokmon extension`" in error
    assert cli.main(["extension"]) == 0
    assert path.read_text() == SCHEMA
    before = path.stat()
    assert cli.main(["extension"]) == 0
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert list(tmp_path.glob("*schema*")) == [path]


@pytest.mark.parametrize(
    ("version", "answer", "code"),
    [
        ("0.66.0", "older than supported", 1),
        ("0.66.1", "supported", 0),
        ("1.6.0", "supported", 0),
        ("v1.5.2", "supported", 0),
        ("1.6.1", "newer than tested", 0),
    ],
)
def test_the_command_says_whether_a_version_of_pi_is_supported(
    version: str, answer: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["extension", "--supports", version]) == code
    assert capsys.readouterr().out == f"{answer}\n"


def test_what_is_no_version_is_a_usage_error() -> None:
    assert cli.main(["extension", "--supports", "latest"]) == 2


def test_every_file_is_imported_at_load_and_only_node_is_imported_besides() -> None:
    """A version may be removed while pi runs, and a static import of a module that this pi lacks would end pi."""
    imported = {"index.ts"}
    for text in FILES.values():
        for line in re.findall(r"^(?:import|export) .*from \"(.+)\";$", text, re.MULTILINE):
            if line.startswith("./"):
                imported.add(line[2:])
            elif not line.startswith("node:"):
                assert f'import type {{ ExtensionAPI, ExtensionContext }} from "{line}";' in text or (
                    f'import type {{ ExtensionContext }} from "{line}";' in text
                )
    assert imported == FILES.keys()


def test_the_only_import_at_run_time_is_of_pi_and_may_fail() -> None:
    dynamic = [line.strip() for text in FILES.values() for line in re.findall(r".*\bimport\(.*", text)]
    assert dynamic == ["const exports: unknown = await import(module).catch(() => undefined);"]


def test_there_is_no_any_and_nothing_is_silenced() -> None:
    for word in (": any", "as any", "<any>", "@ts-ignore", "@ts-expect-error", "biome-ignore", "console."):
        assert [name for name, text in FILES.items() if word in text] == []


@pytest.mark.pi
def test_biome_has_nothing_to_say() -> None:
    done = subprocess.run(
        [*install.node_tool("biome"), "ci", "--colors=off", "--error-on-warnings", "."],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
