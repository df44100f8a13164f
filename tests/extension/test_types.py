"""The rendered extension against pi's real types, strictly, for each supported version that tests run."""

import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

from tests.pi import install
from tests.pi.install import Pi
from tokmon.pi import schema_ts

pytestmark = pytest.mark.pi

SOURCE: Final = (schema_ts.folder() / "tokmon.ts").read_text()

OPTIONS: Final = {
    "strict": True,
    "noUncheckedIndexedAccess": True,
    "noImplicitOverride": True,
    "noImplicitReturns": True,
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


@pytest.fixture(params=install.VERSIONS)
def pi(request: pytest.FixtureRequest) -> Pi:
    return install.pi(request.param)


def _pack_all(folder: Path, specs: tuple[str, ...]) -> None:
    """Unpack each spec where it would be installed: 1.5.2 is a bundle, and what its types speak of is not beside it."""
    for spec in specs:
        install._npm(folder, "pack", "--ignore-scripts", spec)  # noqa: SLF001 - the one place that runs npm
        (archive,) = folder.glob("*.tgz")
        shutil.unpack_archive(archive, folder, filter="data")
        archive.unlink()
        target = folder / "node_modules" / spec.rpartition("@")[0]
        target.parent.mkdir(parents=True, exist_ok=True)
        (folder / "package").rename(target)


def type_paths(pi: Pi) -> dict[str, list[str]]:
    root = pi.root
    if pi.version == "1.5.2":
        specs = (f"{pi.scope}/{name}@{pi.version}" for name in ("pi-coding-agent", "pi-ai", "pi-agent-core"))
        root = install._once("pi-types-1.5.2", _pack_all, *specs)  # noqa: SLF001 - the one cache there is
    scope = root / "node_modules" / pi.scope
    return {
        f"{pi.scope}/pi-coding-agent": [str(scope / "pi-coding-agent" / "dist" / "index.d.ts")],
        f"{pi.scope}/pi-ai": [str(scope / "pi-ai" / "dist" / "index.d.ts")],
        f"{pi.scope}/pi-ai/compat": [str(scope / "pi-ai" / "dist" / "compat.d.ts")],
    }


def check(pi: Pi, folder: Path, text: str) -> str:
    """What the compiler says to this text beside this pi."""
    (folder / "tokmon.ts").write_text(text)
    return compiler_on(folder, [folder / "tokmon.ts"], type_paths(pi))


def compiler_on(folder: Path, files: Iterable[Path], paths: dict[str, list[str]]) -> str:
    types = str(install.node_tools() / "node_modules" / "@types")
    options = {**OPTIONS, "typeRoots": [types], "paths": paths}
    content = {"compilerOptions": options, "files": [str(file) for file in files]}
    (folder / "tsconfig.json").write_text(json.dumps(content))
    done = subprocess.run(
        [*install.node_tool("tsc"), "--project", str(folder), "--pretty", "false"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode == 0) is (done.stdout == "")
    return done.stdout


def test_the_extension_fits_the_types_of_its_pi(pi: Pi, tmp_path: Path) -> None:
    assert check(pi, tmp_path, schema_ts.render(schema_ts.version(pi.version), SOURCE)) == ""


def test_each_piece_fits_the_file_it_goes_into(tmp_path: Path) -> None:
    paths = {**type_paths(install.pi("0.73.1")), **type_paths(install.pi("1.5.2"))}
    files = [schema_ts.folder() / "tokmon.ts", *(schema_ts.folder() / "pieces").glob("*.ts")]
    assert compiler_on(tmp_path, files, paths) == ""


def test_the_types_are_there_to_be_offended(pi: Pi, tmp_path: Path) -> None:
    text = schema_ts.render(schema_ts.version(pi.version), SOURCE)
    wrong = {
        'pi.on("turn_start"': 'pi.on("no_such_event"',
        "ctx.modelRegistry.getAll()": "ctx.modelRegistry.getEverything()",
        "each.baseUrl": "each.bassUrl",
    }
    for right, bad in wrong.items():
        assert right in text
        assert "error TS" in check(pi, tmp_path, text.replace(right, bad)), bad


@pytest.mark.parametrize(("version", "rendered_for"), [("0.66.1", "0.74.0"), ("0.73.1", "1.5.2"), ("0.87.1", "0.73.1")])
def test_what_is_rendered_for_a_pi_of_another_scope_does_not_fit(
    tmp_path: Path, version: str, rendered_for: str
) -> None:
    text = schema_ts.render(schema_ts.version(rendered_for), SOURCE)
    assert "error TS" in check(install.pi(version), tmp_path, text)


def test_there_is_no_any_and_nothing_is_silenced() -> None:
    for word in (": any", "as any", "<any>", "@ts-ignore", "@ts-expect-error", "biome-ignore", "console."):
        assert word not in SOURCE
