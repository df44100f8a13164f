"""How a member runs tokmon for their part, and what came of it."""

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tokmon.errors import InstallError
from tokmon.installer.host.members import HostMember
from tokmon.installer.host.run_as import run_as
from tokmon.installer.user import sources
from tokmon.installer.user.plan import STEPS_TAKEN, say
from tokmon.installer.user.subprocesses import Words, capture

_PATIENCE_S: Final = 600.0


@contextlib.contextmanager
def command(version: Path) -> Iterator[Words]:
    """The words that run tokmon as a member.

    Where the version does not run (in a dry run before the first install, or to uninstall a broken one) it is a copy of
    this checkout, which members may not be able to read, run by the Python that all can run.
    """
    root = sources.own_checkout()
    if root is None or capture([version / "bin" / "tokmon", "--version"]).returncode == 0:
        yield [version / "bin" / "tokmon"]
        return
    with tempfile.TemporaryDirectory(prefix="tokmon-") as folder:
        for source in sources.files_of(root):
            target = folder / source.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        Path(folder).chmod(0o755)
        yield [sources.base_python(), "-I", "-S", "-B", Path(folder, "bootstrap", "run.py")]


def run_part(member: HostMember, words: Sequence[str | Path], stdin: bytes = b"") -> int:
    """Run a member's part as that member, show its lines, and return its number of steps. Raises InstallError."""
    counts: list[int] = []

    def show(line: str) -> None:
        if taken := re.fullmatch(f"{STEPS_TAKEN} ([0-9]{{1,6}})", line):
            counts.append(int(taken[1]))
        else:
            say(f"{member.label}: {line}")

    environment = member.environment
    done = run_as(member.account, words, timeout_s=_PATIENCE_S, environment=environment, show=show, stdin=stdin)
    error, hint = f"ended with exit code {done.code} and without an answer", None
    for line in done.stderr.splitlines():
        kind, _, text = line.partition(": ")
        if kind == "error":
            error = text
        elif kind == "hint" and text:
            hint = text
        else:
            say(f"{member.label}: {line}")
    if done.problem or done.code != 0 or not counts:
        raise InstallError(done.problem or error, hint=hint)
    return counts[-1]
