"""Runs commands of tokmon within the test's process, and reads what their screens say of each account."""

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple
from unittest.mock import patch

from tokmon import cli


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """`tokmon ARGUMENTS` in this process, at a tenth of the cost of a new one.

    What depends on a process (signals, file descriptors, imports) needs a new one: `logbook.tokmon`.
    """
    return feed(b"", *arguments, **env)


def feed(stdin: bytes, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """The same with these bytes on the standard input."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    input_stream = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
    with _streams(input_stream, out, err), patch.dict(os.environ, env):
        try:
            code = cli.main([*arguments])
        except SystemExit as error:
            code = int(error.code or 0)
        for stream in (out, err):
            stream.flush()
    texts = (stream.buffer.getvalue().decode("utf-8") for stream in (out, err))
    return subprocess.CompletedProcess(arguments, code, *texts)


@contextlib.contextmanager
def _streams(*streams: io.TextIOWrapper) -> Iterator[None]:
    before = sys.stdin, sys.stdout, sys.stderr
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    sys.stdin, sys.stdout, sys.stderr = streams
    try:
        yield
    finally:
        sys.stdin, sys.stdout, sys.stderr = before
        for number, before_handler in handlers.items():
            signal.signal(number, before_handler)


class Screens(NamedTuple):
    """What each command says of one account; a verdict is fitness and reason."""

    status: tuple[str, str]
    severity: str
    title: str
    """The first line of its block in `tokmon status`."""

    block: str
    wake: str
    """Its row in the block for a wake prompt, from its mark on."""

    guard: int
    guard_says: str
    select: tuple[str, str]
    decided_for: str


def screens_of(account: str) -> Screens:
    """All screens, of the evidence in this home."""
    report = json.loads(run("status", "--json").stdout)
    (known,) = [entry for entry in report["providers"] if entry["provider"] == account]
    text = run("status", COLUMNS="200").stdout
    block = re.search(rf"^\w+ +{account}( .*)?$(\n  .*$)*", text, re.MULTILINE)
    wake = re.search(rf"^  {account} +(.*)$", run("status", "--format", "wake").stdout, re.MULTILINE)
    guard = run("guard", account)
    explained = run("select", "--explain", "--no-probe")
    row = re.search(rf"^[> ] {account} +(\w+) +(.*)$", explained.stdout, re.MULTILINE)
    assert block
    assert wake
    assert row
    return Screens(
        status=(known["fitness"], known["reason"]),
        severity=known["severity"],
        title=block[0].splitlines()[0],
        block=block[0],
        wake=wake[1],
        guard=guard.returncode,
        guard_says=guard.stderr.strip(),
        select=(row[1], row[2]),
        decided_for=explained.stdout.split()[0],
    )


def providers() -> dict[str, Any]:
    """`tokmon status --json`, by account."""
    return {entry["provider"]: entry for entry in json.loads(run("status", "--json").stdout)["providers"]}
