"""The daemon of a member for launchd, as a parser of property lists reads it. No test here runs on macOS."""

import plistlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokmon import paths
from tokmon.errors import TokmonError
from tokmon.installer.host.launchd import LONGEST_SOCKET, file_of, label, plist

PROGRAM = Path("/opt/tokmon/current/bin/tokmon")
HOME = Path("/Users/vigilio")
TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"), max_size=30)


def parsed(name: str = "vigilio", user: str = "vigilio", home: Path = HOME, **environment: str) -> dict[str, Any]:
    found: dict[str, Any] = plistlib.loads(plist(name, user, home, PROGRAM, environment).encode())
    return found


def test_it_runs_the_sidecar_as_the_member_and_again_after_a_crash() -> None:
    assert parsed(PI_CODING_AGENT_DIR="/srv/agent") == {
        "Label": "tokmon.sidecar.vigilio",
        "UserName": "vigilio",
        "ProgramArguments": ["/opt/tokmon/current/bin/tokmon", "sidecar"],
        "EnvironmentVariables": {
            "PI_CODING_AGENT_DIR": "/srv/agent",
            "HOME": "/Users/vigilio",
            "TOKMON_MEMBER": "vigilio",
        },
        "WorkingDirectory": "/",
        "Umask": 0o077,
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ExitTimeOut": 15,
    }


def test_the_sidecar_looks_where_the_daemon_says() -> None:
    variables = parsed(TOKMON_STATE_DIR="/srv/state")["EnvironmentVariables"]
    found = paths.find(variables)
    assert (found.home, found.state, found.sockets[-1]) == (HOME, Path("/srv/state"), Path("/srv/state/sock"))


def test_two_members_of_one_account_have_two_daemons() -> None:
    first, second = parsed("ludo", "shared"), parsed("molto", "shared")
    assert (first["UserName"], second["UserName"]) == ("shared", "shared")
    assert first["Label"] != second["Label"]
    assert first["EnvironmentVariables"]["TOKMON_MEMBER"] == "ludo"


def test_a_file_is_named_after_the_label_whatever_the_member_is_called() -> None:
    assert file_of("vigilio") == Path("/Library/LaunchDaemons/tokmon.sidecar.vigilio.plist")
    assert file_of("../../etc/a b").parent == file_of("a").parent
    assert label("a/b") != label("a%2Fb")


@pytest.mark.parametrize("bytes_", [LONGEST_SOCKET, LONGEST_SOCKET + 1])
@pytest.mark.parametrize("letter", ["a", "é"])
def test_a_socket_path_has_at_most_103_bytes(bytes_: int, letter: str) -> None:
    room = bytes_ - len("/sock") - 1
    name = letter * (room // len(letter.encode())) + "a" * (room % len(letter.encode()))
    if bytes_ <= LONGEST_SOCKET:
        assert parsed(TOKMON_STATE_DIR=f"/{name}")
    else:
        with pytest.raises(TokmonError, match="104 bytes, and macOS takes 103") as caught:
            parsed(TOKMON_STATE_DIR=f"/{name}")
        assert "TOKMON_SOCKET" in str(caught.value.hint)
        assert parsed(TOKMON_STATE_DIR=f"/{name}", TOKMON_SOCKET="/short")


def test_a_long_home_is_told_by_the_name_of_its_member() -> None:
    with pytest.raises(TokmonError, match="the socket of `ludo` would be `/Users/u"):
        parsed("ludo", home=Path(f"/Users/{'u' * 80}"))


@pytest.mark.parametrize(("home", "program"), [("home", "/p"), ("/home", "p")])
def test_paths_are_absolute(home: str, program: str) -> None:
    with pytest.raises(TokmonError, match="not an absolute path"):
        plist("a", "a", Path(home), Path(program))


@given(TEXT, TEXT, st.dictionaries(TEXT.map(lambda name: f"X_{name}"), TEXT, max_size=3))
def test_any_text_is_read_back_as_it_was(name: str, user: str, environment: dict[str, str]) -> None:
    found = plistlib.loads(plist(name, user, HOME, PROGRAM, environment).encode())
    assert (found["UserName"], found["EnvironmentVariables"]["TOKMON_MEMBER"]) == (user, name)
    assert environment.items() <= found["EnvironmentVariables"].items()


@pytest.mark.parametrize("value", ["\0", "\x1b[0m", "\udc80"])
def test_what_no_plist_can_hold_is_an_error(value: str) -> None:
    with pytest.raises(TokmonError, match="cannot be written"):
        plist("a", value, HOME, PROGRAM)
