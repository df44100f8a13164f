"""Run in a process of its own: something odd in place of each file in turn, and every screen shown.

Its last line on stderr of that form names the file and the command that hang or fail.
"""

import contextlib
import os
import resource
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tokmon import cli, paths

SPARSE = 20 << 30
MEMORY = 3 << 30
FAULT = 70
COMMANDS = (
    ["doctor", "--json"],
    ["doctor"],
    ["doctor", "--fix"],
    ["tail", "--no-follow", "-n", "1000"],
    ["status"],
    ["status", "--format", "wake"],
    ["guard", "team-a"],
    ["select", "--no-probe"],
)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(path.parent)  # a path of a socket is short
        server.bind(path.name)


def _file(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def _link_to_a_pipe(path: Path) -> None:
    pipe = path.with_name("a-pipe")
    os.mkfifo(pipe)
    path.symlink_to(pipe)


def _sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, SPARSE)


def _sparse_within(path: Path) -> None:
    """A hole between two lines, as a crash may leave one."""
    line = b'{"ts":"2026-11-22T06:00:00Z","provider":"team-a","status":"allowed","source":"piggyback"}\n'
    path.write_bytes(line)
    os.truncate(path, SPARSE)
    with path.open("ab") as file:
        file.write(b"\n" + line)


_RECORD = (
    b'{"ts":"2026-11-22T06:00:00Z","id":%(odd)s,"kind":%(odd)s,"provider":%(odd)s,"source":%(odd)s,"status":%(odd)s,'
    b'"http_status":%(odd)s,"windows":%(odd)s,"blocked_until":%(odd)s,"reset_in_seconds":%(odd)s,"model":%(odd)s,'
    b'"overage":%(odd)s,"credits":%(odd)s,"what":%(odd)s,"tokens":%(odd)s,"cost_usd":%(odd)s,"error":%(odd)s}\n'
)
_ODD = (b"1" * 400, b"-1e400", b"[]", b"{}", b"[{}]", b"true", b"null", b'""', b'"\\ud800"', b"[" * 9000 + b"]" * 9000)
_USAGE = (
    b'{"ts":"2026-11-22T06:00:00Z","kind":"usage","provider":"team-a","what":%(odd)s,"tokens":{"input":%(odd)s},'
    b'"cost_usd":%(odd)s,"mission":%(odd)s,"reason":%(odd)s}\n'
)
_WINDOW = (
    b'{"ts":"2026-11-22T06:00:00Z","provider":"team-a","windows":[{"name":%(odd)s,"utilization":%(odd)s,'
    b'"resets_at":%(odd)s,"remaining":%(odd)s}],"reset_in_seconds":%(odd)s,"cost_usd":%(odd)s}\n'
)
_INSTANT = b'{"ts":%(odd)s,"provider":"team-a","status":"allowed","windows":[{"name":"5h","resets_at":%(odd)s}]}\n'
_INSTANTS = (b'"0001-01-01T00:00:00+14:00"', b'"9999-12-31T23:59:59-14:00"', b'"2026-11-22"', b"1e400", b"7")
_LINES = b"".join(form % {b"odd": odd} for form in (_RECORD, _USAGE, _WINDOW) for odd in _ODD)
_LINES += b"".join(_INSTANT % {b"odd": odd} for odd in (*_INSTANTS, *_ODD))

KINDS: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "socket": _socket,
    "folder": lambda path: path.mkdir(),
    "loop": lambda path: path.symlink_to(path),
    "dangling": lambda path: path.symlink_to("/nonexistent/x"),
    "device": lambda path: path.symlink_to("/dev/zero"),
    "link-to-a-pipe": _link_to_a_pipe,
    "sparse": _sparse,
    "sparse-within": _sparse_within,
    "lines": _file(_LINES),
    "nested": _file(b"[" * 100_000),
    "nested-objects": _file(b'{"a":' * 50_000),
    "quotes": _file(b'"\\"' * 100_000),
    "binary": _file(bytes(range(256)) * 400),
    "long-number": _file(b'{"version":' + b"1" * 400 + b',"accounts":' + b"1" * 9000 + b"}\n"),
}


def files() -> list[Path]:
    """Every file that the commands read."""
    own = paths.find()
    return [
        own.piggyback,
        own.usage,
        own.decisions,
        own.logs / "other.jsonl",
        own.logs / "piggyback.jsonl.lock",
        own.snapshot,
        own.state / "policy.json",
        own.state / "probes.json",
        own.state / "decision",
        own.lock,
        own.spool / "new",
        own.spool / "new" / "1.jsonl",
        own.spool / "bad" / "1.jsonl",
        own.sockets[0],
        own.config,
        own.models,
        own.agent / "auth.json",
        own.agent / "settings.json",
        own.extension,
        own.old_extension,
        own.home / "checks.json",
        own.home / "lib/node_modules/@earendil-works/pi-coding-agent/package.json",
        own.home / "lib/node_modules/@earendil-works/pi-coding-agent/dist/cli.js",
    ]


def run(words: list[str]) -> int:
    """The exit code of a command; also a check of the doctor that fails with an exception is a fault."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as out, contextlib.redirect_stdout(out):
        code = cli.main(words)
        out.seek(0)
        return FAULT if "the check failed" in out.read() else code


def prepare() -> None:
    """A home in which all of these commands work."""
    own = paths.find()
    shutil.rmtree(own.home, ignore_errors=True)
    shutil.rmtree(own.sockets[0].parent, ignore_errors=True)
    for path in files():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    own.config.write_text(f'[select]\nchain = ["team-a"]\ncheck_file = "{own.home}/checks.json"\n')
    own.models.write_text('{"providers": {"team-a": {"baseUrl": "http://127.0.0.1:9", "models": [{"id": "m"}]}}}')
    program = files()[-1]
    program.write_text("#!/bin/sh\necho 1.5.2\n")
    program.chmod(0o755)
    link = own.home / "bin" / "pi"
    link.parent.mkdir()
    link.symlink_to(program)


def main(kind: str) -> None:
    """Try that kind in place of each file; exit 1 at the first command that fails with a fault of its own."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    os.environ["TOKMON_PI"] = f"{paths.find().home}/bin/pi"
    for path in files():
        prepare()
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)
        KINDS[kind](path)
        for words in COMMANDS:
            sys.stderr.write(f"{kind} in place of {path}: tokmon {' '.join(words)}\n")
            if run(words) == FAULT:
                sys.exit(1)
            os.chdir("/")


if __name__ == "__main__":
    main(sys.argv[1])
