"""What is written into the units."""

from pathlib import Path

import pytest

from tokmon.errors import InstallError
from tokmon.installer.user import units


@pytest.mark.parametrize("path", ["/plain/tokmon", "/with space/tokmon", '/100% "sure"/tokmon', "/back\\slash/tokmon"])
def test_a_unit_takes_any_path(path: str) -> None:
    quoted = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    lines = units.text("tokmon.service", Path(path), {"TOKMON_LOG_DIR": path}).splitlines()
    assert f'ExecStart="{quoted}" sidecar' in lines
    assert f'Environment="TOKMON_LOG_DIR={quoted}"' in lines


def test_a_unit_refuses_a_line_break() -> None:
    with pytest.raises(InstallError, match="line break"):
        units.text("tokmon.service", Path("/a\nExecStart=/bin/evil"), {})


def test_the_socket_unit_follows_the_variable() -> None:
    text = units.text("tokmon.socket", Path("/x"), {"TOKMON_SOCKET": "/run/mine 1%/sock"})
    assert "ListenStream=/run/mine 1%%/sock" in text.splitlines()


def test_a_unit_of_ours_is_told_from_another() -> None:
    assert units.is_ours(units.text("tokmon.service", Path("/x"), {}))
    assert not units.is_ours("[Service]\nExecStart=/bin/true\n")
