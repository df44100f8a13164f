"""The credential of an account."""

import json
import time
from collections.abc import Mapping
from typing import Any

import pytest

from tests.commands.logbook import configure
from tokmon import paths, probes
from tokmon.probes.credentials import NoCredentialError, credential

NOW = 1_795_330_800.0
KEY = "sk-ant-oat01-SeatSeatSeatSeat"


@pytest.mark.parametrize(
    "written", [KEY, f" {KEY}\n", "$TEAM_KEY", "${TEAM_KEY}", "TEAM_KEY"], ids=["literal", "blank", "$", "${}", "bare"]
)
def test_key_may_be_a_literal_or_a_variable(written: str) -> None:
    assert credential({"apiKey": written}, None, {"TEAM_KEY": KEY}, NOW).key == KEY


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({}, "no key"),
        ({"apiKey": 7}, "no key"),
        ({"apiKey": "!echo key"}, "command"),
        ({"apiKey": "$UNSET"}, "variable"),
        ({"apiKey": "UNSET_NAME"}, "variable"),
        ({"apiKey": "a\nb: c"}, "characters"),
        ({"apiKey": "kéy"}, "characters"),
    ],
)
def test_missing_or_unusable_key_is_reported_and_no_command_is_run(entry: Mapping[str, Any], why: str) -> None:
    with pytest.raises(NoCredentialError, match=why):
        credential(entry, None, {}, NOW)


def test_login_is_preferred_to_the_key_and_not_used_after_it_expires() -> None:
    login = {"type": "oauth", "access": "token-1", "refresh": "never", "expires": (NOW + 60) * 1000}
    assert credential({"apiKey": KEY}, login, {}, NOW).key == "token-1"
    with pytest.raises(NoCredentialError, match="expired"):
        credential({"apiKey": KEY}, login, {}, NOW + 61)


def test_credential_is_in_no_repr() -> None:
    configure(a={"baseUrl": "http://127.0.0.1:9", "api": "anthropic-messages", "apiKey": KEY, "headers": {"x": KEY}})
    targets = probes.targets(paths.find(), {}, time.time())
    assert targets["a"].key == KEY
    assert KEY not in repr(targets)


@pytest.mark.parametrize(
    "url", [None, "", "ftp://host", "http://", "http://[", "http://me:word@host", "http://h:99999"]
)
def test_unusable_base_url_is_reported(url: str | None) -> None:
    configure(a=json.loads(json.dumps({"baseUrl": url, "api": "anthropic-messages", "apiKey": KEY})))
    assert "base URL" in (probes.targets(paths.find(), {}, time.time())["a"].unavailable_reason or "")
