"""Shared by the tests of `tokmon doctor`: one check at a time, and real things for it to examine."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tokmon import paths
from tokmon.doctor_checks import examine
from tokmon.doctor_checks.subject import Subject
from tokmon.report.findings import Finding, Level


def subject(now: float | None = None, **env: str) -> Subject:
    surroundings = {**os.environ, **env}
    return Subject(paths.find(surroundings), surroundings, time.time() if now is None else now)


def finding_of(name: str, now: float | None = None, **env: str) -> Finding:
    finding = examine(name, subject(now, **env)).finding
    assert (finding.fix is None) == (finding.level is Level.OK)
    return finding


def level(name: str, **env: str) -> str:
    return finding_of(name, None, **env).level.value


def program(path: Path, script: str) -> str:
    """A program that pi, or systemctl, could be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o700)
    return str(path)


def pi_of(version: str, home: Path) -> str:
    return program(home / "bin" / "pi", f"echo {version} >&2")


def foreign_extension() -> Path:
    path = paths.find().extension
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("export default () => {};\n", encoding="utf-8")
    return path


@contextmanager
def listening(path: Path, mode: int = 0o600) -> Iterator[socket.socket]:
    """A socket that takes connections, since the kernel does, and that nobody serves."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(str(path))
        path.chmod(mode)
        server.listen(8)
        yield server


@contextmanager
def answering(path: Path, answer: bytes, *, every: float | None = None) -> Iterator[None]:
    """A server that says `answer` to whoever comes, again and again if `every` is given."""

    def serve() -> None:
        client, _ = server.accept()
        with client:
            try:
                client.recv(4096)
                client.sendall(answer)
                while every is not None and not stop.wait(every):
                    client.sendall(answer)
            except OSError:
                return
            client.shutdown(socket.SHUT_WR)

    stop = threading.Event()
    with listening(path) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(10)


def our_socket() -> Path:
    return paths.find().sockets[0]


def status_of(**fields: object) -> bytes:
    return json.dumps({"status": fields}).encode() + b"\n"
