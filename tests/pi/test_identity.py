"""The login behind a provider's name changes: real pi, real sidecar, one log, and who the evidence is of."""

import hashlib
import stat
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from tests.extension.listener import Listener
from tests.pi import answers
from tests.pi.answers import Answer, unified
from tests.pi.install import Pi
from tests.pi.provider import Provider, Script
from tests.pi.runner import Home
from tests.pi.seats import CODEX, Seat
from tests.pi.test_capture import with_extension
from tests.pi.test_capture_usage import logged, own_socket, sidecar_env, wait_until
from tests.sidecar.running import sidecar
from tokmon import paths
from tokmon.evidence.snapshot import Snapshot, fold
from tokmon.selection.assessment import Fitness, assess
from tokmon.selection.policy import Policy
from tokmon.wire.instants import parse_rfc3339

pytestmark = pytest.mark.pi

SEAT: Final = Seat("anthropic", model="claude-sonnet-4-6")
NEVER: Final = 4_070_908_800_000
"""When the tokens expire, in milliseconds of the epoch."""


def of(organisation: str, used: float, **more: Any) -> Mapping[str, str]:
    return {**unified(used, used, **more), "anthropic-organization-id": organisation}


def log_in(home: Home, provider: Provider, token: str) -> None:
    """What `/login` and a renewal leave in auth.json."""
    access = f"sk-ant-oat01-fake-{token}"
    provider.know("anthropic", access)
    home.write(
        "auth.json", {"anthropic": {"type": "oauth", "access": access, "refresh": "r", "expires": 4_070_908_800_000}}
    )


def always(answer: Answer) -> Script:
    return lambda _: answer


def has_usages(home: Home, count: int) -> bool:
    return len(logged(home, "usage.jsonl")) >= count


def folded(home: Home) -> Snapshot:
    lines = [*logged(home, "piggyback.jsonl"), *logged(home, "usage.jsonl")]
    return fold(Snapshot(), lines)


def test_a_renewed_token_is_the_same_account_and_another_login_is_another_one(
    newest_pi: Pi, provider: Provider, tmp_path: Path
) -> None:
    refused = answers.ACCOUNT_LIMIT
    turns = [
        ("one", Answer(headers=of("org-a", 0.5))),
        ("one-renewed", Answer(headers=of("org-a", 0.6))),
        ("two", Answer(headers=of("org-b", 0.1))),
        ("one-renewed", Answer(status=429, headers=of("org-a", 1.0, status="rejected"), error=refused)),
    ]
    home = own_socket(newest_pi, provider, tmp_path, [SEAT])
    home.write("models.json", {"providers": {"anthropic": {"baseUrl": provider.origin}}})
    with sidecar(env=sidecar_env(home)) as running:
        for count, (token, answer) in enumerate(turns, 1):
            provider.script = always(answer)
            log_in(home, provider, token)
            run = home.run("hello", None, *(["--continue"] if count > 1 else []))
            assert run.exit_code == (1 if answer.status == 429 else 0), run.stderr
            wait_until(partial(has_usages, home, count))
            if count == 2:
                assert [identity.label for identity in folded(home).identities("anthropic")] == ["org-a"]
        assert running.stop() == 0
    (home.agent / "auth.json").unlink()
    error = logged(home, "usage.jsonl")[-1]
    assert (error["status"], error["account"], error["type"]) == ("rejected", "org-a", "teams-direct")
    state = folded(home)
    assert [identity.label for identity in state.identities("anthropic")] == ["org-b", "org-a"]
    now = parse_rfc3339(error["ts"]) + 1
    assert assess("anthropic", state.accounts["anthropic"], Policy(), now).fitness is Fitness.USABLE
    assert "oat01" not in str([logged(home, "piggyback.jsonl"), logged(home, "usage.jsonl")])


def test_a_chatgpt_account_is_named_by_a_hash(newest_pi: Pi, provider: Provider, tmp_path: Path) -> None:
    seats = [Seat("codex-a", CODEX), Seat("codex-b", CODEX)]
    with Listener(tmp_path / "sock") as listener:
        home = with_extension(newest_pi, tmp_path, provider, seats)
        for seat in (*seats, seats[0]):
            assert home.run("hello", seat).exit_code == 0
        first, other, again = (event["account"] for event in listener.of("capture"))
        assert first == again != other
        assert first.startswith("chatgpt-")
        assert b"account-codex" not in listener.raw


def test_a_configured_key_is_named_by_a_keyed_hash_and_a_login_by_none(
    newest_pi: Pi, provider: Provider, tmp_path: Path
) -> None:
    seat, other = Seat("team-a"), Seat("team-b")
    with Listener(tmp_path / "sock") as listener:
        home = with_extension(newest_pi, tmp_path, provider, [seat, other])
        provider.know("team-a", other.key)
        for key in (seat.key, seat.key, other.key):
            assert home.run("hello", seat, env={seat.variable: key}).exit_code == 0
        home.write("models.json", {"providers": {"anthropic": {"baseUrl": provider.origin}}})
        log_in(home, provider, "one")
        assert home.run("hello", SEAT).exit_code == 0
        (home.agent / "auth.json").unlink()
        *keys, login = (event.get("credential") for event in listener.of("capture"))
    assert keys[0] == keys[1] != keys[2]
    assert login is None
    assert [len(key) for key in keys if key is not None] == [16] * 3
    file = paths.find(home.env).state / "identity.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_bytes().hex().encode() not in listener.raw
    assert keys[0] != hashlib.sha256(seat.key.encode()).hexdigest()[:16]
