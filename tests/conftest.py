"""No test touches the real home: HOME and every variable that names a folder point into its tmp_path."""

import os
from pathlib import Path

import hypothesis
import pytest

from tests.pi import install

# A test is never timed: what a busy machine does to an example says nothing about the program.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests of pi where pi is not installed, which needs an npm registry."""
    reason = install.missing() if any(item.get_closest_marker("pi") for item in items) else None
    if reason is not None:
        for item in items:
            if item.get_closest_marker("pi"):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def isolated_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a home of its own, and return it."""
    for name in os.environ:
        if name.startswith(("XDG_", "TOKMON_", "PI_", "BUDGET_", "VIGILIO_")):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    folders = {
        "HOME": home,
        "XDG_CONFIG_HOME": home / ".config",
        "XDG_STATE_HOME": home / ".local" / "state",
        "XDG_CACHE_HOME": home / ".cache",
        "XDG_DATA_HOME": home / ".local" / "share",
        "XDG_RUNTIME_DIR": tmp_path / "run",
    }
    for name, folder in folders.items():
        folder.mkdir(parents=True, mode=0o700)
        monkeypatch.setenv(name, str(folder))
    return home
