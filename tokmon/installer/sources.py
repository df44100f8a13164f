"""What a version of the program is installed from: the checkout, or wheels whose hashes were written down, or an index.

Each source says, before anything is changed, what the version will be called and what pip is to be told.
"""

import hashlib
import json
import re
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tokmon.errors import InstallError, UsageError
from tokmon.installer import running

_PARTS: Final = ("pyproject.toml", "README.md", "tokmon", "extensions", "bootstrap", "hooks")
_LEFT_OUT: Final = {"__pycache__", "_shipped", "node_modules"}
SUMS: Final = "SHA256SUMS"
_SUM: Final = re.compile(r"([0-9a-f]{64}) [ *]([A-Za-z0-9_.+!-]+)")
_WHEEL: Final = re.compile(r"([A-Za-z0-9_.]+)-([A-Za-z0-9_.+!]+)(?:-[0-9][A-Za-z0-9_.]*)?-[^-]+-[^-]+-[^-]+\.whl")
_VERSION: Final = re.compile(r"[0-9][A-Za-z0-9.+!]*")


@dataclass(frozen=True, slots=True)
class Source:
    """`name` is `VERSION-HASH`; `requirements` is a file for pip, and `words` what else pip is to be told."""

    name: str
    words: tuple[str, ...]
    requirements: str = ""


def checkout_of(package: Path) -> Path | None:
    """The checkout that the package `tokmon` lies in, or None."""
    root = package.parent
    try:
        text = (root / "pyproject.toml").read_text(encoding="utf-8")
    except OSError:
        return None
    return root if re.search(r'^name = "tokmon"$', text, re.MULTILINE) else None


def checkout(root: Path) -> Source:
    """The sources in a checkout; the hash is of them and of the Python they run on."""
    digest = _digest()
    try:
        for path in _sources(root):
            content = path.read_bytes()
            digest.update(f"\0{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
            digest.update(content)
        text = (root / "tokmon" / "__init__.py").read_text(encoding="utf-8")
    except OSError as error:
        raise InstallError(f"cannot read the checkout: {error}", hint="clone it again") from error
    found = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
    if found is None:
        raise InstallError(f"`{root}/tokmon/__init__.py` names no version", hint="clone it again")
    return Source(_name(found[1], digest.hexdigest()), (str(root),))


def _sources(root: Path) -> Iterator[Path]:
    for part in _PARTS:
        path = root / part
        for each in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if each.is_file() and not _LEFT_OUT & set(each.relative_to(root).parts):
                yield each


def wheelhouse(folder: Path, version: str | None) -> Source:
    """The wheels of a folder, each of which must be what its `SHA256SUMS` says; InstallError naming one that is not.

    pip is given the same hashes and looks at them itself, in what it then installs.
    """
    sums = _sums(folder)
    there = {path.name for path in folder.iterdir() if path.name.endswith((".whl", ".tar.gz", ".zip"))}
    if unnamed := sorted(there - set(sums)):
        raise InstallError(f"`{folder}/{SUMS}` has no hash of `{unnamed[0]}`", hint=_HOW_TO_SUM)
    pinned: dict[str, list[str]] = {}
    versions = set()
    for file, wanted in sorted(sums.items()):
        _check(folder / file, wanted)
        parts = _WHEEL.fullmatch(file)
        if parts is None:
            raise InstallError(f"`{folder}/{SUMS}` names `{file}`, which is no wheel", hint=_HOW_TO_SUM)
        project = re.sub(r"[-_.]+", "-", parts[1]).lower()
        if project == "tokmon":
            versions.add(parts[2])
            if version not in {None, parts[2]}:
                continue
        pinned.setdefault(f"{project}=={parts[2]}", []).append(f"--hash=sha256:{wanted}")
    found = _only(versions if version is None else versions & {version}, folder, version)
    lines = "".join(f"{pin} {' '.join(hashes)}\n" for pin, hashes in sorted(pinned.items()))
    digest = _digest()
    digest.update(lines.encode())
    words = ("--no-index", "--require-hashes", "--only-binary=:all:", "--find-links", folder.resolve().as_uri())
    return Source(_name(found, digest.hexdigest()), words, lines)


_HOW_TO_SUM: Final = f"whoever made the folder runs in it: `sha256sum *.whl >{SUMS}`"


def _sums(folder: Path) -> dict[str, str]:
    try:
        text = (folder / SUMS).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InstallError(f"cannot read `{folder}/{SUMS}`: wheels need their hashes", hint=_HOW_TO_SUM) from error
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        parts = _SUM.fullmatch(line)
        if parts is None or parts[2].startswith("."):
            raise InstallError(f"`{folder}/{SUMS}`, line {number}: not a hash and a file name", hint=_HOW_TO_SUM)
        if found.setdefault(parts[2], parts[1]) != parts[1]:
            raise InstallError(f"`{folder}/{SUMS}` has two hashes of `{parts[2]}`", hint=_HOW_TO_SUM)
    return found


def _check(wheel: Path, wanted: str) -> None:
    if wheel.exists() and not wheel.is_file():
        raise InstallError(f"`{wheel}` is no file", hint="copy the folder again, whole")
    try:
        with wheel.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InstallError(f"cannot read `{wheel}`: {error.strerror}", hint="copy the folder again, whole") from error
    if found != wanted:
        raise InstallError(
            f"`{wheel}` is not what `{SUMS}` says: its hash is {found}, not {wanted}",
            hint="do not install it: it was damaged or exchanged; copy it again from where it was made",
        )


def _only(versions: set[str], folder: Path, version: str | None) -> str:
    if len(versions) == 1:
        return versions.pop()
    if versions:
        raise UsageError(
            f"`{folder}` has several versions of tokmon: {', '.join(sorted(versions))}", hint="choose by `--version V`"
        )
    wanted = "tokmon" if version is None else f"tokmon {version}"
    raise InstallError(f"`{folder}` has no wheel of {wanted}", hint="`pip wheel --wheel-dir DIR .` makes it")


def index(version: str | None) -> Source:
    """The package index that pip is configured for; without `version` it is asked for the newest."""
    if version is not None and not _VERSION.fullmatch(version):
        raise UsageError(f"`{version}` is not a version", hint="say it like `1.2.3`")
    found = version or _newest()
    digest = _digest()
    digest.update(b"index")
    return Source(_name(found, digest.hexdigest()), (f"tokmon=={found}",))


def _newest() -> str:
    with tempfile.TemporaryDirectory(prefix="tokmon-install-") as folder:
        words: list[str | Path] = [
            base_python(),
            "-I",
            unpack_pip(Path(folder)),
            "install",
            "--dry-run",
            "--quiet",
            "--no-input",
        ]
        words += ["--quiet", "--no-input", "--no-cache-dir", "--no-deps", "--ignore-installed"]
        words += ["--report", f"{folder}/report.json", "tokmon"]
        done = running.ask(words, timeout=300)
        try:
            said = json.loads(Path(folder, "report.json").read_text(encoding="utf-8"))
            version = said["install"][0]["metadata"]["version"]
        except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
            raise _unknown(done) from error
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise _unknown(done)
    return version


def _unknown(done: running.Done) -> InstallError:
    why = (done.stderr.strip().splitlines() or ["it named no version"])[-1]
    return InstallError(
        f"the package index has no tokmon for this Python: {why}",
        hint="see PIP_INDEX_URL, or install from a checkout or from a `--wheelhouse`",
    )


def base_python() -> str:
    """The Python below this one: a venv in a venv would end with the outer one."""
    return getattr(sys, "_base_executable", None) or sys.executable


def _digest() -> "hashlib._Hash":
    return hashlib.sha256(f"{sys.implementation.cache_tag} {sys.base_prefix}".encode())


def _name(version: str, digest: str) -> str:
    return f"{version}-{digest[:12]}"


def unpack_pip(folder: Path) -> Path:
    """Unpack the pip that came with Python into `folder`, and return what Python is to run.

    Unpacked, since each of the processes that pip starts would read it from the wheel again.
    """
    with zipfile.ZipFile(bundled_pip()) as archive:
        archive.extractall(folder)
    return folder / "pip"


def bundled_pip() -> Path:
    """The wheel of pip that came with Python, or InstallError."""
    found: list[Path] = []
    with suppress(ImportError):
        import ensurepip  # noqa: PLC0415 - Debian leaves it out

        found += (Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl")
    for place in (sysconfig.get_config_var("WHEEL_PKG_DIR"), "/usr/share/python-wheels"):
        if place:
            found += Path(place).glob("pip-*.whl")
    if not found:
        raise InstallError("this Python came without pip", hint=running.how_to_install("pip"))
    return max(found, key=lambda each: _order(str(each)))


def _order(url: str) -> tuple[int, ...]:
    """Final releases as wheels only; anything else comes before all of them."""
    found = re.search(r"/pip-([0-9.]+)-py3-none-any\.whl$", url)
    return tuple(int(part) for part in found[1].split(".")) if found else ()
