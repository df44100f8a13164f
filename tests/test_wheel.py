"""What is handed out is found in a checkout, and is all in the wheel, as it is here."""

import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest

from tokmon import paths
from tokmon.errors import StoreError

ROOT: Final = Path(__file__).parents[1]
FOLDERS: Final = ("bootstrap", "extensions", "hooks")


@pytest.mark.parametrize("name", FOLDERS)
def test_in_a_checkout_it_is_beside_the_package(name: str) -> None:
    assert paths.shipped_folder(name) == ROOT / name


def test_what_is_installed_comes_before_what_is_beside_it(tmp_path: Path) -> None:
    inner, outer = tmp_path / "tokmon" / "_shipped" / "hooks", tmp_path / "hooks"
    outer.mkdir()
    assert paths.shipped_folder("hooks", tmp_path / "tokmon") == outer
    inner.mkdir(parents=True)
    assert paths.shipped_folder("hooks", tmp_path / "tokmon") == inner


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="`hooks`") as caught:
        paths.shipped_folder("hooks", tmp_path / "tokmon")
    assert caught.value.hint == "install tokmon again"


def test_the_wheel_holds_every_file_that_is_handed_out(tmp_path: Path) -> None:
    copy = tmp_path / "checkout"
    copy.mkdir()
    for name in ("pyproject.toml", "README.md"):
        shutil.copy2(ROOT / name, copy / name)
    for name in ("tokmon", *FOLDERS):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "_shipped"))
    build = "import os, sys; from hatchling.build import build_wheel; os.chdir(sys.argv[1]); build_wheel(sys.argv[2])"
    subprocess.run([sys.executable, "-I", "-c", build, copy, tmp_path], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for name in FOLDERS:
            for path in (path for path in (copy / name).rglob("*") if path.is_file()):
                inside = archive.getinfo(f"tokmon/_shipped/{path.relative_to(copy)}")
                assert archive.read(inside) == path.read_bytes()
                assert bool(inside.external_attr >> 16 & stat.S_IXUSR) == bool(path.stat().st_mode & stat.S_IXUSR)
