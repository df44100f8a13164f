"""Every path that root opens, looks at or changes while it installs for all: none is inside a home."""

import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.install.capabilities import STRACE, without_strace
from tests.install.roots.debian import PATIENCE_S
from tests.install.roots.host import HOOK_DIR, INSTALL, MEMBERS, OFFLINE, Host

pytestmark = [
    pytest.mark.timeout(PATIENCE_S),
    pytest.mark.skipif(without_strace() is not None, reason=without_strace() or "-"),
]

TRACE: Final = (
    "--trace=%file,setuid,setreuid,setresuid,clone,clone3,fork,vfork",
    "--decode-fds=path",
    "--string-limit=200",
)
INSIDE: Final = re.compile(r'/home/\w+(/[^"]|>, ")')
BORN: Final = re.compile(r"\b(?:clone3?|v?fork)\b.* = (?:(\d+)|\d+ /\* (\d+) in strace's PID NS \*/)$")
BECAME: Final = re.compile(r"\bset(?:re|res)?uid\((\d+)(?:, \d+)*(?:\)\s+= 0$| <unfinished)")
"""Where another process's call comes between, strace writes a call in two lines."""


def inside_by(trace: Path) -> dict[int, list[str]]:
    """The calls that name something inside a home, by the user id of whoever made them."""
    lines = [line.split(maxsplit=1) for line in trace.read_text().splitlines()]
    parents = {born[1] or born[2]: pid for pid, call in lines if (born := BORN.search(call))}
    ids: dict[str, int] = {}
    found: dict[int, list[str]] = {}
    for pid, call in lines:
        ids.setdefault(pid, ids.get(parents.get(pid, ""), 0))
        if became := BECAME.search(call):
            ids[pid] = int(became[1])
        if INSIDE.search(call):
            found.setdefault(ids[pid], []).append(call)
    return found


def test_root_never_opens_a_path_of_a_members_home(host: Host, tmp_path: Path) -> None:
    install = (INSTALL, "--all", "--hook-dir", HOOK_DIR)
    for number, words in enumerate((install, install, ("tokmon", "uninstall", "--purge", "--yes"))):
        trace = tmp_path / str(number)
        command = [*STRACE, *TRACE, f"--output={trace}", *host.root.command(*words, without=(), **OFFLINE)]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert done.returncode == 0, done.stderr
        found = inside_by(trace)
        assert found.pop(0, []) == []
        assert set(found) >= {host.uid(name) for name in MEMBERS}
