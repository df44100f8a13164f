"""The extension against the types of the oldest and of the newest pi, strictly."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.extension.driver import EXTENSION
from tests.patience import PATIENCE_S
from tests.pi import install
from tests.pi.install import NEWEST, OLDEST, Pi

pytestmark = pytest.mark.pi

OPTIONS: Final = {
    "strict": True,
    "noUncheckedIndexedAccess": True,
    "noImplicitOverride": True,
    "noImplicitReturns": True,
    "noUnusedLocals": True,
    "noUnusedParameters": True,
    "erasableSyntaxOnly": True,
    "noEmit": True,
    "allowImportingTsExtensions": True,
    "target": "es2023",
    "lib": ["es2023"],
    "module": "esnext",
    "moduleResolution": "bundler",
    "skipLibCheck": True,
    "types": ["node"],
}


def compiler_output(pi: Pi, folder: Path) -> str:
    """What the compiler says to the files in `folder`, whatever npm scope this pi has."""
    types = str(install.node_tools() / "node_modules" / "@types")
    paths = {"@earendil-works/pi-coding-agent": [str(pi.package / "dist" / "index.d.ts")]}
    options = {**OPTIONS, "typeRoots": [types], "paths": paths}
    files = sorted(str(path) for path in folder.glob("*.ts"))
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "files": files}))
    done = subprocess.run(
        [*install.node_tool("tsc"), "--project", str(folder), "--pretty", "false"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode == 0) is (done.stdout == "")
    return done.stdout


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_the_extension_fits_the_types_of_pi(version: str, tmp_path: Path) -> None:
    folder = shutil.copytree(EXTENSION, tmp_path / "tokmon")
    assert compiler_output(install.pi(version), folder) == ""


WRONG: Final = {
    "index.ts": ('pi.on("turn_start"', 'pi.on("no_such_event"'),
    "attribution.ts": ("ctx.modelRegistry.getAll()", "ctx.modelRegistry.getEverything()"),
    "usage.ts": ("what: isTool ?", "whatever: isTool ?"),
    "capture.ts": ("http_status: response.status", "http_status: response.statusText"),
}


@pytest.mark.long
def test_the_compiler_sees_a_mistake_in_each_file(tmp_path: Path) -> None:
    folder = shutil.copytree(EXTENSION, tmp_path / "tokmon")
    for name, (right, wrong) in WRONG.items():
        text = (folder / name).read_text()
        assert right in text
        (folder / name).write_text(text.replace(right, wrong))
    errors = compiler_output(install.pi(NEWEST), folder)
    assert [name for name in WRONG if f"{name}(" not in errors] == []
