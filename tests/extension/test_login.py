"""The account that auth.json names for a login, in a real Node with a fake pi."""

import json
import os
from pathlib import Path
from typing import Any, Final

import pytest

from tests.extension.driver import DRAIN, LOAD, QUIT, START, ask, drive
from tests.extension.listener import Event, Listener
from tokmon import paths

URL: Final = "https://a.test/v1/messages"
TEAMS: Final = [
    {"provider": f"team-{letter}", "id": "m1", "api": "anthropic-messages", "baseUrl": "https://a.test"}
    for letter in "abcdef"
]
ANN: Final = "ann@example.org"


def oauth(team: str, **account: Any) -> dict[str, Any]:
    return {"type": "oauth", "access": f"sk-ant-oat01-of-{team}", "refresh": "r", "expires": 1, **account}


def captures(tmp_path: Path, **env: str) -> tuple[dict[str, Event], bytes]:
    """The capture of each team, which sends its own token."""
    asked = [
        ask(team["provider"], URL, headers={"authorization": f"Bearer sk-ant-oat01-of-{team['provider']}"})
        for team in TEAMS
    ]
    with Listener(tmp_path / "sock") as listener:
        socket = {"TOKMON_SOCKET": str(tmp_path / "sock")}
        logins = [team["provider"] for team in TEAMS]
        done = drive(LOAD, START, *asked, DRAIN, QUIT, models=TEAMS, logins=logins, env={**socket, **env})
        assert (done.exit_code, done.stderr) == (0, "")
        return {event["provider"]: event for event in listener.of("capture")}, listener.raw


def auth_json(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "auth.json"


def test_a_login_is_known_by_the_account_that_its_entry_names(tmp_path: Path) -> None:
    logins = {
        "team-a": oauth("team-a", email=ANN),
        "team-b": oauth("team-b", email=ANN, accountId="an organisation of many"),
        "team-c": oauth("team-c", account={"uuid": "c-c-c"}),
        "team-d": oauth("another login by now", email=ANN),
        "team-e": {"type": "api_key", "key": "sk-ant-oat01-of-team-e", "email": ANN},
        "team-f": oauth("team-f"),
    }
    auth_json(paths.find().agent).write_text(json.dumps(logins))
    of, raw = captures(tmp_path)
    names = [of[team["provider"]].get("credential") for team in TEAMS]
    assert names[0] == names[1] != names[2]
    assert all(name is not None and name.startswith("login-") for name in names[:3])
    assert names[3:] == [None] * 3
    assert not [text for text in (ANN.encode(), b"c-c-c", b"of many", b"oat01") if text in raw]


@pytest.mark.parametrize("kind", ["missing", "pipe", "no JSON", "a list"])
def test_an_auth_json_that_cannot_be_read_names_no_account(tmp_path: Path, kind: str) -> None:
    file = auth_json(tmp_path / "agent")
    if kind == "pipe":
        os.mkfifo(file)
    elif kind != "missing":
        file.write_text("{" if kind == "no JSON" else "[1]")
    of, _ = captures(tmp_path, PI_CODING_AGENT_DIR=str(file.parent))
    assert [event.get("credential") for event in of.values()] == [None] * len(TEAMS)
