"""A folder of wheels as a source: each wheel must be what the folder's `SHA256SUMS` says."""

import hashlib
import re
from pathlib import Path
from typing import Final

from tokmon.errors import InstallError, UsageError, reason_of
from tokmon.installer.user.sources import Source, new_digest, version_name

SUMS: Final = "SHA256SUMS"
_SUM: Final = re.compile(r"([0-9a-f]{64}) [ *]([A-Za-z0-9_+!-][A-Za-z0-9_.+!-]*)")
_WHEEL: Final = re.compile(r"([A-Za-z0-9_.]+)-([A-Za-z0-9_.+!]+)(?:-[0-9][A-Za-z0-9_.]*)?-[^-]+-[^-]+-[^-]+\.whl")
_HOW_TO_SUM: Final = f"whoever made the folder runs in it: `sha256sum *.whl >{SUMS}`"
_COPY_AGAIN: Final = "copy the folder again, whole"


def wheelhouse(folder: Path, version: str | None) -> Source:
    """The wheels of a folder; InstallError naming one that is not what its hash says.

    pip is given the same hashes and checks them itself, in what it then installs.
    """
    sums = _sums(folder)
    archives = {path.name for path in folder.iterdir() if path.name.endswith((".whl", ".tar.gz", ".zip"))}
    if unnamed := sorted(archives - set(sums)):
        raise InstallError(f"`{folder}/{SUMS}` has no hash of `{unnamed[0]}`", hint=_HOW_TO_SUM)
    pinned: dict[str, list[str]] = {}
    versions = set()
    for name, digest in sorted(sums.items()):
        _check(folder / name, digest)
        parts = _WHEEL.fullmatch(name)
        if parts is None:
            raise InstallError(f"`{folder}/{SUMS}` names `{name}`, which is no wheel", hint=_HOW_TO_SUM)
        project = re.sub(r"[-_.]+", "-", parts[1]).lower()
        if project == "tokmon":
            versions.add(parts[2])
            if version not in {None, parts[2]}:
                continue
        pinned.setdefault(f"{project}=={parts[2]}", []).append(f"--hash=sha256:{digest}")
    chosen = _only(versions if version is None else versions & {version}, folder, version)
    lines = "".join(f"{pin} {' '.join(hashes)}\n" for pin, hashes in sorted(pinned.items()))
    name_digest = new_digest()
    name_digest.update(lines.encode())
    words = ("--no-index", "--require-hashes", "--only-binary=:all:", "--find-links", folder.resolve().as_uri())
    return Source(version_name(chosen, name_digest), words, lines)


def _sums(folder: Path) -> dict[str, str]:
    """The hash of each file in `SHA256SUMS`."""
    try:
        text = (folder / SUMS).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InstallError(f"cannot read `{folder}/{SUMS}`: wheels need their hashes", hint=_HOW_TO_SUM) from error
    sums: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        parts = _SUM.fullmatch(line)
        if parts is None:
            raise InstallError(f"`{folder}/{SUMS}`, line {number}: not a hash and a file name", hint=_HOW_TO_SUM)
        if sums.setdefault(parts[2], parts[1]) != parts[1]:
            raise InstallError(f"`{folder}/{SUMS}` has two hashes of `{parts[2]}`", hint=_HOW_TO_SUM)
    return sums


def _check(wheel: Path, digest: str) -> None:
    if wheel.exists() and not wheel.is_file():
        raise InstallError(f"`{wheel}` is no file", hint=_COPY_AGAIN)
    try:
        with wheel.open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InstallError(f"cannot read `{wheel}`: {reason_of(error)}", hint=_COPY_AGAIN) from error
    if actual != digest:
        raise InstallError(
            f"`{wheel}` is not what `{SUMS}` says: its hash is {actual}, not {digest}",
            hint="do not install it: it was damaged or exchanged; copy it again from where it was made",
        )


def _only(versions: set[str], folder: Path, version: str | None) -> str:
    """The one version of tokmon to install."""
    if len(versions) == 1:
        return versions.pop()
    if versions:
        raise UsageError(
            f"`{folder}` has several versions of tokmon: {', '.join(sorted(versions))}", hint="choose by `--version V`"
        )
    wanted = "tokmon" if version is None else f"tokmon {version}"
    raise InstallError(f"`{folder}` has no wheel of {wanted}", hint="`pip wheel --wheel-dir DIR .` makes it")
