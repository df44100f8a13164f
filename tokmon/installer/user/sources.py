"""What a version of the program is installed from: the checkout, or wheels whose hashes were written down, or an index.

Each source says, before anything is changed, what the version will be called and what pip is given.
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

import tokmon
from tokmon.errors import InstallError, UsageError
from tokmon.installer.user.subprocesses import Words, capture, how_to_install

_PARTS: Final = ("pyproject.toml", "README.md", "tokmon", "extensions", "bootstrap", "hooks")
_LEFT_OUT: Final = {"__pycache__", "_shipped", "node_modules"}
_VERSION: Final = re.compile(r"[0-9][A-Za-z0-9.+!]*")


@dataclass(frozen=True, slots=True)
class Source:
    """`name` is `VERSION-HASH`; `requirements` is a file for pip, and `words` are further arguments for it."""

    name: str
    words: tuple[str, ...]
    requirements: str = ""


def own_checkout() -> Path | None:
    """The checkout that the running package `tokmon` lies in, or None."""
    root = Path(tokmon.__file__).resolve().parent.parent
    try:
        text = (root / "pyproject.toml").read_text(encoding="utf-8")
    except OSError:
        return None
    return root if re.search(r'^name = "tokmon"$', text, re.MULTILINE) else None


def checkout(root: Path) -> Source:
    """The sources in a checkout; the hash is of them and of the Python that runs them."""
    digest = new_digest()
    try:
        for path in files_of(root):
            content = path.read_bytes()
            digest.update(f"\0{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
            digest.update(content)
        text = (root / "tokmon" / "__init__.py").read_text(encoding="utf-8")
    except OSError as error:
        raise InstallError(f"cannot read the checkout: {error}", hint="clone it again") from error
    version = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
    if version is None:
        raise InstallError(f"`{root}/tokmon/__init__.py` names no version", hint="clone it again")
    return Source(version_name(version[1], digest), (str(root),))


def files_of(root: Path) -> Iterator[Path]:
    """The files of a checkout that are installed."""
    for part in _PARTS:
        path = root / part
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and not _LEFT_OUT & set(file.relative_to(root).parts):
                yield file


def index(version: str | None) -> Source:
    """The package index that pip is configured for; without `version`, pip is asked for the newest."""
    if version is not None and not _VERSION.fullmatch(version):
        raise UsageError(f"`{version}` is not a version", hint="use a version such as 1.2.3")
    chosen, digest = version or _newest(), new_digest()
    digest.update(b"index")
    return Source(version_name(chosen, digest), (f"tokmon=={chosen}",))


def _newest() -> str:
    with tempfile.TemporaryDirectory(prefix="tokmon-install-") as folder:
        pip = unpack_pip(Path(folder))
        words: Words = (
            *(base_python(), "-I", pip, "install", "--dry-run", "--quiet", "--no-input", "--no-cache-dir"),
            *("--no-deps", "--ignore-installed", "--report", f"{folder}/report.json", "tokmon"),
        )
        done = capture(words, timeout=300)
        with suppress(OSError, ValueError, KeyError, IndexError, TypeError):
            parsed = json.loads(Path(folder, "report.json").read_text(encoding="utf-8"))
            version = parsed["install"][0]["metadata"]["version"]
            if _VERSION.fullmatch(version):
                return str(version)
    why = (done.stderr.strip().splitlines() or ["it named no version"])[-1]
    raise InstallError(
        f"the package index has no tokmon for this Python: {why}",
        hint="see PIP_INDEX_URL, or install from a checkout or from a `--wheelhouse`",
    )


def base_python() -> str:
    """The Python below this one: a venv in a venv would end with the outer one."""
    return getattr(sys, "_base_executable", None) or sys.executable


def new_digest() -> "hashlib._Hash":
    """Return a digest that has taken in the Python which a version is made for."""
    return hashlib.sha256(f"{sys.implementation.cache_tag} {sys.base_prefix}".encode())


def version_name(version: str, digest: "hashlib._Hash") -> str:
    """Return the name of the folder of a version."""
    return f"{version}-{digest.hexdigest()[:12]}"


def unpack_pip(folder: Path) -> Path:
    """Unpack the pip that came with Python into `folder`, and return what Python is to run.

    Unpacked, because each of the processes that pip starts would read it from the wheel again.
    """
    with zipfile.ZipFile(bundled_pip()) as archive:
        archive.extractall(folder)
    return folder / "pip"


def bundled_pip() -> Path:
    """The newest wheel of pip that came with Python, or InstallError."""
    wheels: list[Path] = []
    with suppress(ImportError):
        import ensurepip  # noqa: PLC0415 - Debian leaves it out

        wheels += (Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl")
    for folder in (sysconfig.get_config_var("WHEEL_PKG_DIR"), "/usr/share/python-wheels"):
        if folder:
            wheels += Path(folder).glob("pip-*.whl")
    if not wheels:
        raise InstallError("this Python came without pip", hint=how_to_install("pip"))
    return max(wheels, key=_release)


def _release(wheel: Path) -> tuple[int, ...]:
    """Final releases only; anything else comes before all of them."""
    parts = re.fullmatch(r"pip-([0-9.]+)-py3-none-any\.whl", wheel.name)
    return tuple(int(part) for part in parts[1].split(".")) if parts else ()
