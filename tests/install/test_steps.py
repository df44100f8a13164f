"""The steps that the shell script leaves to Python."""

import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest

from tests.install.conftest import ROOT

STEPS = ROOT / "bootstrap" / "steps.py"
FETCH = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import steps
try:
    print(steps._fetch_pip(Path(sys.argv[2])))
except steps.StepError as error:
    sys.exit(str(error))
"""
"""As under a Python that has no pip anywhere: this one has."""


def python(*words: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-B", *words], env={**os.environ, **more}, capture_output=True, text=True, check=False
    )


def run(*words: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    return python(STEPS, *words, **more)


def fetch(folder: Path, index: str) -> subprocess.CompletedProcess[str]:
    return python("-c", FETCH, STEPS.parent, folder, PIP_INDEX_URL=index)


def a_wheel(says: str) -> bytes:
    """A wheel of something called pip that says which one it is."""
    content = BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(zipfile.ZipInfo("pip/__main__.py"), f"print({says!r})\n")
    return content.getvalue()


@contextmanager
def an_index(pages: dict[str, tuple[str, bytes]]) -> Iterator[str]:
    """A package index on the loopback that serves `pages`; gives its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, content = pages.get(self.path, ("", b""))
            self.send_response(200 if kind else 404)
            self.send_header("Content-Type", kind or "text/plain")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_words: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/simple"
        server.shutdown()
        thread.join()


def listed(kind: str, digest: str | None = None) -> dict[str, tuple[str, bytes]]:
    """An index with an old, a new, a yanked and a source release, described in JSON or HTML."""
    old, new = a_wheel("old"), a_wheel("new")
    digests = {
        "../../files/pip-9.0.1-py3-none-any.whl": hashlib.sha256(old).hexdigest(),
        "../../files/pip-26.10-py3-none-any.whl": digest or hashlib.sha256(new).hexdigest(),
        "../../files/pip-26.9-py3-none-any.whl": "0" * 64,
        "../../files/pip-27.0.tar.gz": "0" * 64,
        "../../files/pip-99.0-py3-none-any.whl": "0" * 64,
    }
    if kind == "json":
        files = [{"url": url, "hashes": {"sha256": each}, "yanked": "99.0" in url} for url, each in digests.items()]
        page = ("application/vnd.pypi.simple.v1+json", json.dumps({"files": files}).encode())
    else:
        lines = [
            f'<a href="{url}#sha256={each}"{" data-yanked" * ("99.0" in url)}>x</a>' for url, each in digests.items()
        ]
        page = ("text/html", "\n".join(lines).encode())
    files_served = {"/files/pip-9.0.1-py3-none-any.whl": old, "/files/pip-26.10-py3-none-any.whl": new}
    return {"/simple/pip/": page} | {path: ("application/zip", content) for path, content in files_served.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder."""
    made = tmp_path / "folder"
    made.mkdir()
    return made


@pytest.mark.parametrize("kind", ["json", "html"])
def test_where_python_has_no_pip_the_newest_release_is_fetched(folder: Path, kind: str) -> None:
    with an_index(listed(kind)) as address:
        done = fetch(folder, address)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(folder / "pip-26.10-py3-none-any.whl")
    assert (folder / "pip-26.10-py3-none-any.whl").read_bytes() == a_wheel("new")


def test_a_pip_that_is_not_what_the_index_lists_is_refused(folder: Path) -> None:
    with an_index(listed("json", digest="1" * 64)) as address:
        done = fetch(folder, address)
    assert done.returncode == 1
    assert "is not the file that" in done.stderr
    assert not list(folder.iterdir())


def test_an_index_that_does_not_answer_is_one_line(folder: Path) -> None:
    done = fetch(folder, "http://127.0.0.1:9/simple")
    assert done.returncode == 1
    assert done.stderr.startswith("cannot fetch pip from `http://127.0.0.1:9/simple/pip/`: ")
    assert done.stderr.count("\n") == 1


def test_the_pip_that_python_has_is_taken_first(tmp_path: Path) -> None:
    done = run("pip", tmp_path, PIP_INDEX_URL="http://127.0.0.1:9/simple")
    assert done.returncode == 0, done.stderr
    words = [sys.executable, done.stdout.strip(), "--version"]
    assert subprocess.run(words, capture_output=True, check=True).stdout.startswith(b"pip ")


@pytest.mark.parametrize("path", ["/plain/tokmon", "/with space/tokmon", '/100% "sure"/tokmon', "/back\\slash/tokmon"])
def test_a_unit_takes_any_path(tmp_path: Path, path: str) -> None:
    template = ROOT / "bootstrap" / "systemd" / "tokmon.service"
    done = run("unit", template, tmp_path / "unit", path, TOKMON_LOG_DIR=path)
    assert (done.returncode, done.stdout) == (0, "written\n")
    quoted = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    lines = (tmp_path / "unit").read_text().splitlines()
    assert f'ExecStart="{quoted}" sidecar' in lines
    assert f'Environment="TOKMON_LOG_DIR={quoted}"' in lines
    assert run("unit", template, tmp_path / "unit", path, TOKMON_LOG_DIR=path).stdout == ""


def test_a_unit_refuses_a_line_break(tmp_path: Path) -> None:
    done = run("unit", ROOT / "bootstrap" / "systemd" / "tokmon.service", tmp_path / "unit", "/a\nExecStart=/bin/evil")
    assert done.returncode == 1
    assert "line break" in done.stderr
    assert not (tmp_path / "unit").exists()


def test_the_socket_unit_follows_the_variable(tmp_path: Path) -> None:
    template = ROOT / "bootstrap" / "systemd" / "tokmon.socket"
    run("unit", template, tmp_path / "unit", "/x", TOKMON_SOCKET="/run/mine 1%/sock")
    assert "ListenStream=/run/mine 1%%/sock" in (tmp_path / "unit").read_text().splitlines()


def test_a_link_is_replaced_in_one_step_and_left_alone_where_it_is_right(folder: Path) -> None:
    link = folder / "current"
    assert run("link", "versions/a", link).stdout == "linked\n"
    inode = link.lstat().st_ino
    assert run("link", "versions/a", link).stdout == ""
    assert link.lstat().st_ino == inode
    assert run("link", "versions/b", link).stdout == "linked\n"
    assert [path.name for path in folder.iterdir()] == ["current"]


def test_the_name_follows_every_source_and_nothing_else(checkout: Path, tmp_path: Path) -> None:
    def name() -> str:
        return run("name", tmp_path).stdout.strip()

    for part in ("pyproject.toml", "README.md"):
        (tmp_path / part).write_bytes((checkout / part).read_bytes())
    (tmp_path / "tokmon").mkdir()
    (tmp_path / "tokmon" / "__init__.py").write_text('__version__ = "1.2.3"\n')
    first = name()
    assert first.startswith("1.2.3-")
    (tmp_path / "tokmon" / "__pycache__").mkdir()
    (tmp_path / "tokmon" / "__pycache__" / "x.pyc").write_bytes(b"compiled")
    (tmp_path / "notes.txt").write_text("not installed\n")
    assert name() == first
    (tmp_path / "tokmon" / "new.py").write_text("")
    assert name() != first
