import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("program", "foreign"),
    [
        (
            "import tokmon.commands.select",
            {"filelock", "httpx", "pydantic", "pydantic_settings", "asyncio", "packaging"},
        ),
        ("import tokmon.store.atomic, tokmon.store.opener, tokmon.paths", {"orjson", "msgspec", "filelock", "httpx"}),
    ],
)
def test_a_library_is_imported_only_where_it_is_needed(program: str, foreign: set[str], tmp_path: Path) -> None:
    words = [sys.executable, "-c", f"{program}\nimport sys\nprint(*sys.modules, sep='\\n')"]
    loaded = subprocess.run(words, capture_output=True, text=True, check=True, cwd=tmp_path).stdout.split("\n")
    assert foreign & {*loaded} == set()


def test_a_wake_that_decides_imports_neither_filelock_nor_httpx_nor_pydantic(isolated_home: Path) -> None:
    """A first call validates the configuration, which takes pydantic; the ones after it do without."""
    config = isolated_home / ".config" / "tokmon"
    config.mkdir(parents=True)
    (config / "config.toml").write_text('[select]\nchain = ["team-a", "team-b"]\n', encoding="ascii")
    program = (
        "import sys\nfrom tokmon.commands import select\ncode = select.run(['--no-probe'])\n"
        "print(*({'filelock', 'httpx', 'pydantic'} & {*sys.modules}))\nsys.exit(code)"
    )
    words = [sys.executable, "-c", program]
    subprocess.run(words, capture_output=True, check=True)
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()[1:] == [""]
