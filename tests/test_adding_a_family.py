"""A new family needs one module, one line in the table and its fixtures. The test adds one to a copy of the project."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[1]

MODULE = '''"""A provider that nobody has. Source: made up."""

from typing import Final

from tokmon.evidence import values
from tokmon.evidence.model import ErrorText, RawResponse, Reading, Scope, Status, ErrorClass

NAME: Final = "madeup"
PREFIXES: Final = ("x-madeup-",)


def parse(response: RawResponse) -> Reading | None:
    """Read the only window."""
    names = ("limit", "remaining", "reset")
    fields = {name: value for name in names if (value := response.headers.get(f"x-madeup-{name}"))}
    if not fields:
        return None
    window, warnings = values.counted_window("moons", fields, response.at)
    return Reading(windows=(window,), family=NAME, warnings=tuple(warnings))


def classify(error: ErrorText) -> ErrorClass | None:
    """Classify the only error."""
    return ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT) if "out of moons" in error.lowercase else None
'''
FIXTURES = [
    {
        "name": "madeup_200",
        "provider_kind": "madeup",
        "http_status": 200,
        "captured_at": "2026-09-17T12:00:00Z",
        "headers": {"X-Madeup-Limit": "30,000", "X-Madeup-Remaining": "15,000", "X-Madeup-Reset": "1m30s"},
        "expected": {
            "status": "allowed",
            "windows": [{"name": "moons", "utilization": 0.5, "resets_at": "2026-09-17T12:01:30Z", "limit": 30000}],
        },
    },
    {
        "name": "madeup_402",
        "provider_kind": "madeup",
        "http_status": None,
        "captured_at": "2026-09-17T12:00:00Z",
        "headers": {},
        "error_message": "Sorry, you are out of moons.",
        "expected": {"status": "no_credit", "windows": [], "scope": "account"},
    },
]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the project with one more family."""
    for name in ("tokmon", "extensions", "tests", "scripts", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "_shipped"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "tokmon" / "families" / "madeup.py").write_text(MODULE, encoding="utf-8")
    table = tmp_path / "tokmon" / "families" / "__init__.py"
    text = table.read_text(encoding="utf-8")
    assert text.count('    "cloudflare",\n') == 1
    table.write_text(text.replace('    "cloudflare",\n', '    "cloudflare",\n    "madeup",\n'), encoding="utf-8")
    captures = tmp_path / "tests" / "fixtures" / "headers.json"
    every = json.loads(captures.read_text(encoding="utf-8"))
    captures.write_text(json.dumps({**every, "fixtures": [*every["fixtures"], *FIXTURES]}), encoding="utf-8")
    return tmp_path


def test_new_family_in_one_module_is_read_captured_and_documented(checkout: Path) -> None:
    def run(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=checkout,
            env={**os.environ, "PYTHONPATH": str(checkout), "PYTHONSAFEPATH": "1"},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("tokmon", "extension")
    assert '"x-madeup-"' in (checkout / "extensions" / "tokmon" / "schema.ts").read_text(encoding="utf-8")
    tests = ("test_families.py", "commands/test_read.py", "sidecar/test_round_trip.py", "extension/test_contract.py")
    output = run("pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *(f"tests/{name}" for name in tests))
    assert " passed" in output
    run("scripts.docs")
    page = (checkout / "docs" / "families.md").read_text(encoding="utf-8")
    assert "| `madeup` | `x-madeup-` | A provider that nobody has. |" in page
    assert "| madeup_200 | 200 | `allowed` | `moons` 0.5 of 30000 until 2026-09-17T12:01:30Z |" in page
