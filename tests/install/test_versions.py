"""Versions side by side: from wheels whose hashes are known, from an index, and back again."""

import hashlib
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.install.conftest import once, seed, seed_at
from tests.install.member import Member, names, tree
from tests.patience import PATIENCE_S
from tokmon.installer.user import sources

Change = Callable[[Path], None]


@pytest.fixture(scope="session")
def whole_wheelhouse(open_folder: Path, checkout: Path, wheels: Path, python: Path) -> Path:
    """Everything that is needed, with its hashes: the wheels and that of the checkout."""

    def make(folder: Path) -> None:
        shutil.copytree(wheels, folder, dirs_exist_ok=True, copy_function=os.link)
        pip = sources.unpack_pip(folder / "pip")
        words = ("wheel", "--quiet", "--no-deps", "--no-index", "--find-links", wheels, "--wheel-dir", folder, checkout)
        subprocess.run([python, pip, *words], check=True, env={"PATH": "/usr/bin:/bin"})
        shutil.rmtree(folder / "pip")
        write_sums(folder)

    return once(open_folder / "wheelhouse", make)


@pytest.fixture
def wheelhouse(member: Member, whole_wheelhouse: Path) -> Path:
    """A wheelhouse of the test's own. Its files are links: replace them, and change none."""
    folder = member.home.parent / "wheel house"
    shutil.copytree(whole_wheelhouse, folder, copy_function=os.link)
    return folder


def write_sums(folder: Path) -> None:
    """What `sha256sum *.whl` would."""
    lines = [f"{hashlib.sha256(each.read_bytes()).hexdigest()}  {each.name}\n" for each in sorted(folder.glob("*.whl"))]
    (folder / "SHA256SUMS").unlink(missing_ok=True)
    (folder / "SHA256SUMS").write_text("".join(lines))


def newer(folder: Path, version: str = "0.2.0") -> None:
    """Give the wheel of tokmon in `folder` another version, its hash along with it."""
    (old,) = folder.glob("tokmon-*.whl")
    with (
        zipfile.ZipFile(old) as source,
        zipfile.ZipFile(folder / f"tokmon-{version}-py3-none-any.whl", "w") as target,
    ):
        for item in source.infolist():
            content = source.read(item).replace(b'__version__ = "0.1.0"', f'__version__ = "{version}"'.encode())
            if item.filename.endswith("METADATA"):
                content = content.replace(b"\nVersion: 0.1.0\n", f"\nVersion: {version}\n".encode())
            name = item.filename.replace("tokmon-0.1.0.dist-info", f"tokmon-{version}.dist-info")
            target.writestr(name, b"" if name.endswith("RECORD") else content)
    old.unlink()
    write_sums(folder)


def offline(member: Member) -> Member:
    """The member, to whom pip can give nothing but what the installer names."""
    return Member(member.home, member.checkout, {**member.environment, "PIP_FIND_LINKS": "", "PIP_NO_INDEX": "1"})


def test_a_wheelhouse_installs_offline_and_its_version_does_the_rest(
    member: Member, wheelhouse: Path, tmp_path: Path
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('another Python')\n")
    member = offline(member)
    done = member.install("--wheelhouse", str(wheelhouse), PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert member.run("--version").stdout == "tokmon 0.1.0\n"
    assert (member.extension / "index.ts").is_file()
    assert (member.data / "hooks" / "budget-select").is_file()
    before = tree(member.home)
    assert member.install("--wheelhouse", str(wheelhouse)).returncode == 0
    assert tree(member.home) == before
    alone = member.run("install", "--user")
    assert alone.returncode == 0, alone.stderr
    assert "nothing changed" in alone.stdout
    assert tree(member.home) == before


def test_a_program_that_pip_installed_sets_up_its_users_part(member: Member, image: Path, tmp_path: Path) -> None:
    program = seed_at(tmp_path / "venv", member.checkout, image) / "bin" / "tokmon"
    before = tree(member.home)
    for what, options in (("steps would be taken", ["--dry-run"]), ("write ", []), ("nothing changed", [])):
        done = subprocess.run(
            [program, "install", "--user", *options],
            env=member.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert what in done.stdout
        assert (tree(member.home) == before) == bool(options)
    assert (member.extension / "index.ts").is_file()
    assert not (member.data / "versions").exists()
    assert not member.program.exists()


def lines_of(folder: Path) -> list[str]:
    return (folder / "SHA256SUMS").read_text().splitlines(keepends=True)


def rewrite(folder: Path, text: str) -> None:
    (folder / "SHA256SUMS").unlink()
    (folder / "SHA256SUMS").write_text(text)


def _tamper(folder: Path) -> None:
    (wheel,) = folder.glob("msgspec-*.whl")
    content = wheel.read_bytes() + b"more"
    wheel.unlink()
    wheel.write_bytes(content)


def _leave_out(folder: Path) -> None:
    rewrite(folder, "".join(line for line in lines_of(folder) if "msgspec" not in line))


def _remove_sums(folder: Path) -> None:
    (folder / "SHA256SUMS").unlink()


def _remove_wheel(folder: Path) -> None:
    (wheel,) = folder.glob("msgspec-*.whl")
    wheel.unlink()


def _garble(folder: Path) -> None:
    rewrite(folder, "".join(lines_of(folder)) + "0123  ../evil.whl\n")


def _remove_tokmon(folder: Path) -> None:
    (wheel,) = folder.glob("tokmon-*.whl")
    wheel.unlink()
    write_sums(folder)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (_tamper, "is not what `SHA256SUMS` says"),
        (_leave_out, "has no hash of `msgspec"),
        (_remove_sums, "wheels need their hashes"),
        (_remove_wheel, "cannot read"),
        (_garble, "not a hash and a file name"),
        (_remove_tokmon, "has no wheel of tokmon"),
    ],
    ids=["tampered", "left out", "no sums", "no wheel", "garbled", "no tokmon"],
)
def test_a_wheel_that_is_not_what_was_written_down_is_refused_before_anything_is_changed(
    member: Member, wheelhouse: Path, change: Change, what: str
) -> None:
    change(wheelhouse)
    before = tree(member.home)
    done = offline(member).install("--wheelhouse", str(wheelhouse))
    assert done.returncode == 1
    assert what in done.stderr
    assert "hint: " in done.stderr
    assert tree(member.home) == before


def test_a_wheel_exchanged_after_it_was_looked_at_is_refused_by_pip(
    member: Member, image: Path, wheelhouse: Path
) -> None:
    seed(member, image)
    assert member.install().returncode == 0
    current = (member.data / "current").readlink()
    started = offline(member).start("--wheelhouse", str(wheelhouse))
    assert started.stdout is not None
    for line in started.stdout:
        if line.startswith("make the environment"):
            _tamper(wheelhouse)
            break
    said = started.communicate(timeout=PATIENCE_S)[0]
    assert started.returncode == 1, said
    assert "HASHES" in said or "hash" in said.lower()
    assert (member.data / "current").readlink() == current
    assert member.run("--version").returncode == 0


def test_a_rollback_is_to_the_version_before_and_a_second_one_to_the_first(
    member: Member, image: Path, tmp_path: Path
) -> None:
    assert member.install("--rollback").returncode == 1
    checkout = tmp_path / "checkout"
    shutil.copytree(member.checkout, checkout)
    moving = Member(member.home, checkout, member.environment)
    seed(moving, image)
    assert moving.install().returncode == 0
    refused = moving.install("--rollback")
    assert refused.returncode == 1
    assert "there is no version to go back to" in refused.stderr
    package, hook = checkout / "tokmon" / "__init__.py", checkout / "hooks" / "budget-select"
    package.write_text(package.read_text().replace('__version__ = "0.1.0"', '__version__ = "0.2.0"'))
    old = hook.read_text()
    hook.write_text(f"{old}# newer\n")
    seed(moving, image)
    assert moving.install().returncode == 0
    assert member.run("--version").stdout == "tokmon 0.2.0\n"
    for version in ("0.1.0", "0.2.0", "0.1.0"):
        done = member.run("install", "--user", "--rollback")
        assert done.returncode == 0, done.stderr
        assert member.run("--version").stdout == f"tokmon {version}\n"
        assert ((member.data / "hooks" / "budget-select").read_text() == old) == (version == "0.1.0")
        assert len(list((member.data / "versions").iterdir())) == 2
    assert not list(member.home.rglob("*.before-tokmon*"))


@pytest.mark.long
def test_an_index_gives_the_newest_or_the_version_that_is_named(member: Member, wheelhouse: Path) -> None:
    (old,) = wheelhouse.glob("tokmon-*.whl")
    kept = old.read_bytes()
    newer(wheelhouse)
    old.write_bytes(kept)
    member = Member(member.home, member.checkout, {**member.environment, "PIP_FIND_LINKS": wheelhouse.as_uri()})
    done = member.install("--from", "index", "--version", "0.1.0")
    assert done.returncode == 0, done.stderr
    assert member.run("--version").stdout == "tokmon 0.1.0\n"
    before = tree(member.home)
    planned = member.run("install", "--user", "--from", "index", "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert "would install tokmon 0.2.0" in planned.stdout
    assert tree(member.home) == before
    done = member.run("install", "--user", "--from", "index")
    assert done.returncode == 0, done.stderr
    assert member.run("--version").stdout == "tokmon 0.2.0\n"
    before = tree(member.home)
    assert "nothing changed" in member.run("install", "--user", "--from", "index").stdout
    assert tree(member.home) == before


def test_the_newest_version_of_an_index_is_planned(member: Member, wheelhouse: Path) -> None:
    newer(wheelhouse)
    before = tree(member.home)
    planned = member.install("--from", "index", "--dry-run", PIP_FIND_LINKS=wheelhouse.as_uri())
    assert planned.returncode == 0, planned.stderr
    assert "would install tokmon 0.2.0" in planned.stdout
    assert tree(member.home) == before


def test_an_index_without_tokmon_is_named(member: Member) -> None:
    before = names(member.home)
    done = member.install("--from", "index")
    assert done.returncode == 1
    assert "the package index has no tokmon for this Python" in done.stderr
    assert names(member.home) == before


@pytest.mark.parametrize(
    "options",
    [
        ("--rollback", "--from", "index"),
        ("--version", "1.0"),
        ("--wheelhouse", "/x", "--from", "index"),
        ("--from", "index", "--version", "../x"),
        ("--all",),
        ("--hook-dir", "relative"),
    ],
    ids=" ".join,
)
def test_options_that_contradict_each_other_exit_with_2(member: Member, options: tuple[str, ...]) -> None:
    before = tree(member.home)
    done = member.install(*options)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert tree(member.home) == before
