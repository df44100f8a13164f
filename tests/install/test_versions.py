"""Versions side by side: from wheels whose hashes are known, from an index, and back again."""

import hashlib
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.install.member import Member, names, tree

Change = Callable[[Path], None]


@pytest.fixture(scope="session")
def wheel(open_folder: Path, checkout: Path, wheels: Path, python: Path) -> Path:
    """The wheel of the checkout."""
    folder = open_folder / "built wheel"
    environment = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheels.as_uri(), "PATH": "/usr/bin:/bin"}
    made = open_folder / "builder"
    subprocess.run([python, "-I", "-m", "venv", made], check=True, env=environment)
    words: list[str | Path] = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, checkout]
    subprocess.run([made / "bin" / "python", *words], check=True, env=environment)
    (found,) = folder.iterdir()
    return found


@pytest.fixture
def wheelhouse(tmp_path: Path, wheels: Path, wheel: Path) -> Path:
    """Everything that is needed, with its hashes."""
    folder = tmp_path / "wheel house"
    shutil.copytree(wheels, folder)
    shutil.copy(wheel, folder)
    write_sums(folder)
    return folder


def write_sums(folder: Path) -> None:
    """What `sha256sum *.whl` would."""
    lines = [f"{hashlib.sha256(each.read_bytes()).hexdigest()}  {each.name}\n" for each in sorted(folder.glob("*.whl"))]
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


def test_a_wheelhouse_installs_offline_and_its_version_does_the_members_part(member: Member, wheelhouse: Path) -> None:
    member = offline(member)
    done = member.install("--wheelhouse", str(wheelhouse))
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


def test_modules_of_another_python_do_not_disturb_the_version_that_was_installed(
    member: Member, wheelhouse: Path, tmp_path: Path
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('another Python')\n")
    done = offline(member).install("--wheelhouse", str(wheelhouse), PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert (member.extension / "index.ts").is_file()


def test_a_program_that_pip_installed_sets_up_its_members_part(
    member: Member, wheelhouse: Path, python: Path, tmp_path: Path
) -> None:
    venv, environment = tmp_path / "venv", {"PATH": "/usr/bin:/bin"}
    subprocess.run([python, "-I", "-m", "venv", venv], check=True, env=environment)
    words = ["-m", "pip", "install", "--quiet", "--no-index", "--find-links", str(wheelhouse), "tokmon"]
    subprocess.run([venv / "bin" / "python", *words], check=True, env=environment)
    before = tree(member.home)
    for what, options in (("steps would be taken", ["--dry-run"]), ("write ", []), ("nothing changed", [])):
        done = subprocess.run(
            [venv / "bin" / "tokmon", "install", "--user", *options],
            env=member.environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert what in done.stdout
        assert (tree(member.home) == before) == bool(options)
    assert (member.extension / "index.ts").is_file()
    assert not (member.data / "versions").exists()
    assert not member.program.exists()


def _tamper(folder: Path) -> None:
    (wheel,) = folder.glob("msgspec-*.whl")
    wheel.write_bytes(wheel.read_bytes() + b"more")


def _leave_out(folder: Path) -> None:
    sums = folder / "SHA256SUMS"
    sums.write_text("".join(line for line in sums.read_text().splitlines(keepends=True) if "msgspec" not in line))


def _remove_sums(folder: Path) -> None:
    (folder / "SHA256SUMS").unlink()


def _remove_wheel(folder: Path) -> None:
    (wheel,) = folder.glob("msgspec-*.whl")
    wheel.unlink()


def _garble(folder: Path) -> None:
    sums = folder / "SHA256SUMS"
    sums.write_text(sums.read_text() + "0123  ../evil.whl\n")


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


def test_a_wheel_exchanged_after_it_was_looked_at_is_refused_by_pip(member: Member, wheelhouse: Path) -> None:
    assert member.install().returncode == 0
    current = (member.data / "current").readlink()
    started = offline(member).start("--wheelhouse", str(wheelhouse))
    assert started.stdout is not None
    for line in started.stdout:
        if line.startswith("make the environment"):
            _tamper(wheelhouse)
            break
    said = started.communicate(timeout=100)[0]
    assert started.returncode == 1, said
    assert "HASHES" in said or "hash" in said.lower()
    assert (member.data / "current").readlink() == current
    assert member.run("--version").returncode == 0


def test_going_back_is_the_version_before_and_going_back_again_is_the_first(member: Member, wheelhouse: Path) -> None:
    member = offline(member)
    assert member.install("--rollback").returncode == 1
    assert member.install("--wheelhouse", str(wheelhouse)).returncode == 0
    refused = member.install("--rollback")
    assert refused.returncode == 1
    assert "there is no version to go back to" in refused.stderr
    newer(wheelhouse)
    done = member.install("--wheelhouse", str(wheelhouse))
    assert done.returncode == 0, done.stderr
    assert member.run("--version").stdout == "tokmon 0.2.0\n"
    link = member.extension.readlink()
    for version in ("0.1.0", "0.2.0", "0.1.0"):
        done = member.run("install", "--user", "--rollback")
        assert done.returncode == 0, done.stderr
        assert member.run("--version").stdout == f"tokmon {version}\n"
        assert member.extension.readlink() == link
        assert member.extension.resolve().is_relative_to((member.data / "current").resolve())
        assert len(list((member.data / "versions").iterdir())) == 2
    assert not list(member.home.rglob("*.before-tokmon*"))


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


def test_an_index_without_tokmon_is_said(member: Member) -> None:
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
