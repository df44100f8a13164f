"""Members who plant a link at a path that an installer writes, towards what is root's."""

import hashlib
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.install.member import tree
from tests.install.roots.conftest import seeded
from tests.install.roots.debian import PATIENCE_S
from tests.install.roots.host import HOOK_DIR, Host
from tests.install.roots.throwaway import entered

pytestmark = pytest.mark.timeout(PATIENCE_S)

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
OPTIONS: Final = ("--all", "--hook-dir", HOOK_DIR)


@pytest.fixture(scope="module")
def written(debian: Path, shared: tuple[Path, ...], built: Path) -> list[tuple[str, str]]:
    """What an install and a purge touch in a home, and what a link there would lead to, as root wants it to be."""
    with entered(debian, *shared, built) as root:
        host = seeded(root)
        before = set(tree(host.home("ann")))
        host.installed(*OPTIONS)
        found = {name: entry for name, entry in tree(host.home("ann")).items() if name not in before}
        folders = [name for name, entry in found.items() if entry[0].startswith("16")]
        files = [name for name in found if name not in folders]
    assert {".pi/agent/extensions/tokmon.ts", ".config/tokmon/config.toml", ".local/bin/tokmon"} <= set(files)
    folders += [".pi", ".pi/agent", ".logs/token-monitor", ".local/state/tokmon", ".logs", ".local/state"]
    beside = [f"{Path(name).parent}/{new}" for name in files for new in _beside(Path(name).name)]
    targets = ((folders, FOLDER), (files, FILE), (beside, ABSENT))
    return [(name, target) for names, target in targets for name in dict.fromkeys(names)]


def _beside(name: str) -> list[str]:
    return [f".{name}.tokmon-new", f"{name}.before-tokmon"]


@pytest.fixture(scope="module")
def hostile(debian: Path, shared: tuple[Path, ...], built: Path, written: list[tuple[str, str]]) -> Iterator[Host]:
    """A host with a member for each such link, each of whom has planted it."""
    with entered(debian, *shared, built) as root:
        host = seeded(root)
        lines = [CANARIES]
        for number, (path, target) in enumerate(written):
            name, place = f"m{number}", f"/home/m{number}/{path}"
            planted = ["cd", f"mkdir -p {Path(place).parent}", f"ln -s {target} {shlex.quote(place)}"]
            if path not in {".pi", ".pi/agent"}:
                planted.insert(1, "mkdir -p .pi/agent")
            if path.endswith(".before-tokmon"):
                planted.append(f"echo own >{place.removesuffix('.before-tokmon')}")
            lines.append(f"useradd --create-home --shell /bin/sh {name}")
            lines.append(f"runuser -u {name} -- sh -euc {shlex.quote('HOME=/home/' + name + '; ' + '; '.join(planted))}")
        root.sh("\n".join(lines))
        yield host


def forge_receipt(host: Host, name: str) -> None:
    """Have a member's receipt list what is root's, as if it had been put there for them."""
    path = host.home(name) / ".local/share/tokmon/receipt.json"
    content = json.loads(path.read_text())
    entry = {"content": f"sha256:{SECRET}", "earlier": None, "kept": [FILE]}
    content["files"] |= {f"{FOLDER}/file": entry, FILE: {**entry, "kept": []}, f"{FOLDER}/other": entry}
    content["folders"] += ["/etc/canaries/empty"]
    path.write_text(json.dumps(content))


def test_an_install_and_a_purge_by_root_go_through_none_of_them(hostile: Host, written: list[tuple[str, str]]) -> None:
    before, commands = tree(hostile.root.path("/etc")), set(tree(hostile.root.path("/usr/local")))
    done = hostile.install(*OPTIONS)
    assert tree(hostile.root.path("/etc")) == before
    failed = {line.split(":")[1].strip() for line in done.stderr.splitlines() if line.startswith("error: ")}
    assert failed <= {f"m{number}" for number in range(len(written))}
    assert (hostile.home("ann") / ".pi/agent/extensions/tokmon.ts").is_file()
    forge_receipt(hostile, "ann")
    gone = hostile.root.run("tokmon", "uninstall", "--purge", "--yes")
    assert tree(hostile.root.path("/etc")) == before
    assert set(tree(hostile.root.path("/usr/local"))) == commands, gone.stderr
