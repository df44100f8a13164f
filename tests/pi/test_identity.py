"""The login behind a provider's name changes: real pi, real sidecar, one log, and who the evidence is of."""

import hashlib
import stat
import time
from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from tests.pi import answers
from tests.pi.answers import Answer, unified
from tests.pi.install import Pi
from tests.pi.listener import PiListener
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


def log_in(home: Home, provider: Provider, token: str, **account: Any) -> None:
    """What `/login` and a renewal leave in auth.json."""
    access = f"sk-ant-oat01-fake-{token}"
    provider.know("anthropic", access)
    login = {"type": "oauth", "access": access, "refresh": "r", "expires": NEVER, **account}
    home.write("auth.json", {"anthropic": login})


def always(answer: Answer) -> Script:
    return lambda _: answer


def has_usages(home: Home, count: int) -> bool:
    return len(logged(home, "usage.jsonl")) >= count


def folded(home: Home) -> Snapshot:
    lines = [*logged(home, "piggyback.jsonl"), *logged(home, "usage.jsonl")]
    return fold(Snapshot(), lines)


def seat(organisation: str, used: float, five: int, seven: int, status: str = "allowed") -> Answer:
    """A response of a seat whose windows end in so many minutes."""
    prefix, now = "anthropic-ratelimit-unified", int(time.time())
    ends = {f"{prefix}-5h-reset": str(now + five * 60), f"{prefix}-7d-reset": str(now + seven * 60)}
    refused: dict[str, Any] = {"status": 429, "error": answers.ACCOUNT_LIMIT} if status == "rejected" else {}
    headers = {**of(organisation, used, status=status, claim="seven_day"), **ends, **answers.FINAL}
    return Answer(headers=headers, **refused)


def test_a_renewed_token_is_the_same_account_and_another_login_is_another_one(
    newest_pi: Pi, provider: Provider, tmp_path: Path
) -> None:
    """One session: another seat of the organisation, another organisation, logins whose account auth.json names."""
    turns: list[tuple[str, dict[str, Any], Answer, int]] = [
        ("one", {}, seat("org-a", 0.9, 100, 3000), 1),
        ("one-renewed", {}, seat("org-a", 0.91, 100, 3000), 1),
        ("two", {}, seat("org-a", 0.2, 50, 6000), 2),
        ("one-renewed", {}, seat("org-a", 1.0, 100, 3000, "rejected"), 2),
        ("three", {"email": "three@example.org"}, seat("org-b", 0.3, 60, 900), 3),
        ("three-renewed", {"email": "three@example.org"}, seat("org-b", 0.31, 60, 900), 3),
        ("four", {"account": {"uuid": "f-0-u-r"}}, seat("org-b", 0.1, 60, 900), 4),
        ("three-renewed", {"email": "three@example.org"}, seat("org-b", 1.0, 60, 900, "rejected"), 4),
    ]
    home = own_socket(newest_pi, provider, tmp_path, [SEAT])
    home.write("models.json", {"providers": {"anthropic": {"baseUrl": provider.origin}}})
    log_in(home, provider, "one")
    in_use = []
    # Versions before 0.87 read auth.json only at their start.
    with sidecar(env=sidecar_env(home)) as running, home.rpc() if newest_pi.at_least_087 else nullcontext() as session:
        for count, (token, account, answer, accounts) in enumerate(turns, 1):
            provider.script = always(answer)
            log_in(home, provider, token, **account)
            if session:
                session.prompt("hello")
            else:
                home.run("hello", None, *(["--continue"] if count > 1 else []))
            wait_until(partial(has_usages, home, count))
            labels = [identity.label for identity in folded(home).identities("anthropic")]
            assert len(labels) == accounts, labels
            in_use.append(labels[0])
        assert session is None or session.close() == 0
        assert running.stop() == 0
    (home.agent / "auth.json").unlink()
    sent = [request.request_headers["authorization"] for request in provider.served]
    assert sent == [f"Bearer sk-ant-oat01-fake-{token}" for token, *_ in turns]
    assert in_use[0] == in_use[1] == "org-a"
    assert in_use[2] == in_use[3] != in_use[4] == in_use[5] != in_use[6] == in_use[7]
    error = logged(home, "usage.jsonl")[3]
    assert (error["status"], error["account"], error["type"]) == ("rejected", "org-a", "teams-direct")
    lines = [*logged(home, "piggyback.jsonl"), *logged(home, "usage.jsonl")]
    written = str(lines)
    assert not [secret for secret in ("oat01", "example.org", "f-0-u-r") if secret in written]
    for count, used in ((4, 0.2), (8, 0.1)):
        state = fold(Snapshot(), [line for line in lines if line["ts"] <= logged(home, "usage.jsonl")[count - 1]["ts"]])
        now = parse_rfc3339(logged(home, "usage.jsonl")[count - 1]["ts"]) + 1
        verdict = assess("anthropic", state.accounts["anthropic"], Policy(), now)
        assert (verdict.fitness, verdict.utilization("7d")) == (Fitness.USABLE, used)


def test_a_chatgpt_account_is_named_by_a_hash(newest_pi: Pi, provider: Provider, tmp_path: Path) -> None:
    seats = [Seat("codex-a", CODEX), Seat("codex-b", CODEX)]
    with PiListener(tmp_path) as listener:
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
    with PiListener(tmp_path) as listener:
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
