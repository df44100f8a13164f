"""Fixtures of the tests that run a real pi."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pi import install
from tests.pi.provider import Provider


@pytest.fixture(autouse=True)
def no_key_is_written(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    """After each test no file holds a key of a seat: logs, state, spool, what was printed into a file.

    Left out is what pi itself writes of a session, and who the test has given a key.
    """
    if "provider" not in request.fixturenames:
        yield
        return
    known: Provider = request.getfixturevalue("provider")
    yield
    keys = [key.encode() for key in known.keys]
    written = [
        path for path in tmp_path.rglob("*") if path.is_file() and not {"sessions", "node_modules"} & {*path.parts}
    ]
    assert [path for path in written if any(key in path.read_bytes() for key in keys)] == []


@pytest.fixture(params=install.VERSIONS)
def pi(request: pytest.FixtureRequest) -> install.Pi:
    """Each pi in turn."""
    return install.pi(request.param)


@pytest.fixture(params=install.ENDS)
def end_pi(request: pytest.FixtureRequest) -> install.Pi:
    """The oldest and the newest pi; with `--long` all of them."""
    return install.pi(request.param)


@pytest.fixture(params=install.LAST)
def newest_pi(request: pytest.FixtureRequest) -> install.Pi:
    """The newest pi; with `--long` all of them."""
    return install.pi(request.param)


@pytest.fixture
def new_pi(version: str) -> install.Pi:
    """The pi of the test's parameter `version`."""
    return install.pi(version)


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A loopback provider of the test's own."""
    with Provider() as started:
        yield started
