"""Fixtures of the tests that run a real pi."""

from collections.abc import Iterator

import pytest

from tests.pi import install
from tests.pi.provider import Provider


def pytest_collection_finish(session: pytest.Session) -> None:
    """Install what is missing before the first test, so that no test's timeout covers it."""
    if session.config.option.collectonly or not any(item.get_closest_marker("pi") for item in session.items):
        return
    try:
        install.everything()
    except install.InstallError as error:
        raise pytest.UsageError(str(error)) from error


@pytest.fixture(params=install.VERSIONS)
def pi(request: pytest.FixtureRequest) -> install.Pi:
    """Each supported pi in turn."""
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
