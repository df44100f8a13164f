"""The folders of a home for the tests of the store."""

from pathlib import Path

import pytest

from tests.store.log_lines import paths_in
from tokmon.paths import Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """With an empty folder of logs."""
    return paths_in(tmp_path)
