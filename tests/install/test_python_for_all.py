"""The Python below a program that everyone runs."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tokmon.errors import InstallError
from tokmon.installer.user import program

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")


@pytest.fixture
def python() -> Iterator[Path]:
    """A file of root's that everybody can run."""
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "python3"
        found.touch()
        found.chmod(0o755)
        Path(folder).chmod(0o755)
        yield found


def test_one_of_roots_will_do(python: Path) -> None:
    program.check_for_everyone(str(python))


@pytest.mark.parametrize("which", ["python3", "."])
def test_one_that_a_member_could_exchange_is_refused(python: Path, which: str) -> None:
    place = python.parent / which
    os.chown(place, 12345, 0)
    with pytest.raises(InstallError, match=f"others than root can change `{place}`"):
        program.check_for_everyone(str(python))


def test_one_in_a_folder_that_everybody_can_write_to_is_refused(python: Path) -> None:
    python.parent.chmod(0o777)
    with pytest.raises(InstallError, match="others than root can change"):
        program.check_for_everyone(str(python))
