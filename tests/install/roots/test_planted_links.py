"""Members who plant a link at a path that an installer writes, towards what is root's."""

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.install.member import tree
from tests.install.roots.conftest import seeded
from tests.install.roots.debian import PATIENCE_S
from tests.install.roots.host import HOOK_DIR, Host
from tests.install.roots.throwaway import entered

pytestmark = [pytest.mark.long, pytest.mark.timeout(PATIENCE_S)]

CANARIES: Final = """
mkdir /etc/canaries /etc/canaries/folder /etc/canaries/empty
echo secret >/etc/canaries/folder/file
echo secret >/etc/canaries/shadow
chmod 600 /etc/canaries/shadow
"""
FILE: Final = "/etc/canaries/shadow"
FOLDER: Final = "/etc/canaries/folder"
SECRET: Final = hashlib.sha256(b"secret\n").hexdigest()
ABSENT: Final = "/etc/canaries/new"
EXTENSION: Final = ".pi/agent/extensions/tokmon"
FIRST: Final = ("/receipt.json", "/install.lock")
KEPT: Final = ".before-tokmon"
OPTIONS: Final = ("--all", "--hook-dir", HOOK_DIR)


Planted = tuple[str, ...]
"""The paths in one member's home at which links are planted."""


@pytest.fixture(scope="module")
def written(debian: Path, shared: tuple[Path, ...], built: Path) -> list[tuple[Planted, str]]:
    """What an install and a purge touch in a home, and to what of root's the links there lead.

    A folder is for a member alone, and so is what is read first of all: a link there ends that member's part.
    """
    with entered(debian, *shared, built) as root:
        host = seeded(root)
        before = set(tree(host.home("ann")))
        host.installed(*OPTIONS)
        found = {name: entry for name, entry in tree(host.home("ann")).items() if name not in before}
    folders = [name for name, entry in found.items() if stat.S_ISDIR(int(entry[0]))]
    files = tuple(name for name in found if name not in folders and not name.endswith(FIRST))
    first = [name for name in found if name.endswith(FIRST)]
    assert {EXTENSION, ".config/tokmon/config.toml", ".local/bin/tokmon"} <= set(files)
    assert len(first) == len(FIRST)
    folders += [".pi", ".pi/agent", ".logs", ".logs/token-monitor", ".local/state", ".local/state/tokmon"]
    beside = tuple(f"{Path(name).parent}/.{Path(name).name}.tokmon-new" for name in (*files, *first))
    kept = tuple(f"{name}{KEPT}" for name in files)
    return [
        *(((name,), FOLDER) for name in dict.fromkeys(folders)),
        *(((name,), FILE) for name in first),
        (files, FILE),
        *((names, target) for names in (beside, kept) for target in (FILE, ABSENT)),
    ]


@pytest.fixture(scope="module")
def hostile(debian: Path, shared: tuple[Path, ...], built: Path, written: list[tuple[Planted, str]]) -> Iterator[Host]:
    """A host with a member for each of these, who has planted it."""
    with entered(debian, *shared, built) as root:
        host = seeded(root)
        root.sh(CANARIES)
        for number, (paths, target) in enumerate(written):
            root.sh(f"useradd --create-home --shell /bin/sh m{number}")
            root.sh(f"cd\n{_planting(paths, target)}", user=f"m{number}")
        yield host


def _planting(paths: Planted, target: str) -> str:
    lines = [] if {".pi", ".pi/agent"} & set(paths) else ["mkdir -p .pi/agent"]
    for path in paths:
        lines += [f"mkdir -p {Path(path).parent}", f"ln -s {target} {path}"]
        if path.endswith(KEPT):
            lines.append(f"echo own >{path.removesuffix(KEPT)}")
    return "\n".join(lines)


def forge_receipt(host: Host, name: str) -> None:
    """Have a member's receipt list what is root's, as if it had been put there for them."""
    path = host.home(name) / ".local/share/tokmon/receipt.json"
    content = json.loads(path.read_text())
    entry = {"content": f"sha256:{SECRET}", "earlier": None, "kept": [FILE]}
    content["files"] |= {f"{FOLDER}/file": entry, FILE: {**entry, "kept": []}, f"{FOLDER}/other": entry}
    content["folders"] += ["/etc/canaries/empty"]
    path.write_text(json.dumps(content))


def test_an_install_and_a_purge_by_root_go_through_none_of_them(
    hostile: Host, written: list[tuple[Planted, str]]
) -> None:
    before = tree(hostile.root.path("/etc"))
    done = hostile.install(*OPTIONS)
    assert tree(hostile.root.path("/etc")) == before
    failed = {line.split(":")[1].strip() for line in done.stderr.splitlines() if line.startswith("error: ")}
    assert failed <= {f"m{number}" for number in range(len(written))}
    assert (hostile.home("ann") / EXTENSION).is_symlink()
    (leaves,) = (number for number, (paths, _) in enumerate(written) if EXTENSION in paths)
    assert (hostile.home(f"m{leaves}") / EXTENSION).readlink() == Path("/opt/tokmon/current/extensions/tokmon")
    forge_receipt(hostile, "ann")
    gone = hostile.root.run("tokmon", "uninstall", "--purge", "--yes")
    assert tree(hostile.root.path("/etc")) == before
    assert (gone.returncode, "error: ann: " in gone.stderr) == (1, True)
    assert not os.path.lexists(hostile.home("ben") / EXTENSION)
