"""No test touches the real home: HOME and every variable that names a folder point into its tmp_path."""

import os
from pathlib import Path

import hypothesis
import pytest

from tests.pi import install
from tokmon.pi.providers import BUILT_IN

# No deadline: how long an example takes on a busy machine says nothing about the program.
# The same examples in each run: what a property finds anew belongs into `--long`, not into a build of other work.
hypothesis.settings.register_profile("default", max_examples=25, deadline=None, derandomize=True)
hypothesis.settings.register_profile("long", max_examples=200, deadline=None)
hypothesis.settings.load_profile(os.environ.get("TOKMON_TEST_PROFILE", "default"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests of pi if pi is not installed, which needs an npm registry."""
    reason = install.missing() if any(item.get_closest_marker("pi") for item in items) else None
    for item in items:
        if item.get_closest_marker("pi"):
            if reason is not None:
                item.add_marker(pytest.mark.skip(reason=reason))
            if item.get_closest_marker("timeout") is None:
                # A bound for what hangs, not for what is slow on a loaded machine.
                item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(autouse=True)
def isolated_home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a home of its own, and return it."""
    keys = {variable for provider in BUILT_IN.values() for variable in provider.variables}
    for name in os.environ:
        if name in keys or name.startswith(("XDG_", "TOKMON_", "PI_", "BUDGET_", "VIGILIO_")):
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
    # A third of what a start of pi costs is the compilation of the same files.
    monkeypatch.setenv("NODE_COMPILE_CACHE", str(tmp_path_factory.getbasetemp().parent / "node-compile-cache"))
    return home
