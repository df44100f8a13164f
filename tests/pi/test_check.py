"""`tokmon check` with a real pi of every version, on the loopback provider."""

import json
import os
import shlex
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.extension.driver import EXTENSION
from tests.patience import PATIENCE_S
from tests.pi import answers
from tests.pi.answers import QUICK, Answer, unified
from tests.pi.install import Pi
from tests.pi.provider import Provider
from tests.pi.runner import NO_RETRIES, Home
from tests.pi.seats import COMPLETIONS, GEMINI, Seat
from tests.pi.test_capture_usage import logged
from tests.sidecar.running import sidecar, wait_until
from tokmon import paths
from tokmon.store import state_file

pytestmark = pytest.mark.pi

SEATS = [Seat("team-a", plan=True), Seat("team-b", plan=True)]


def check(home: Home, *arguments: str, **env: str) -> tuple[int, dict[str, Any]]:
    """Check these accounts in that home, with its pi; the exit code and the results."""
    done = subprocess.run(
        [sys.executable, "-m", "tokmon", "check", "--json", "--pi", shlex.join(home.pi.command), *arguments],
        env={**os.environ, **home.env, "PYTHONPATH": os.pathsep.join(sys.path), **env},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.stdout, done.stderr
    results: dict[str, Any] = json.loads(done.stdout)["results"]
    return done.returncode, results


def test_a_session_starts_on_two_accounts_at_once_and_is_not_kept(
    newest_pi: Pi, provider: Provider, tmp_path: Path
) -> None:
    together = threading.Event()
    provider.script = lambda _: Answer(hold=together)
    home = Home.make(newest_pi, tmp_path / "pi", provider, SEATS)

    def release() -> None:
        provider.wait_for(lambda served: {each.seat for each in served} == {"team-a", "team-b"}, 60)
        together.set()

    waiter = threading.Thread(target=release)
    waiter.start()
    code, results = check(home, "team-a", "team-b", "--model", "loopback-1")
    waiter.join()
    assert (code, {name: each["status"] for name, each in results.items()}) == (0, {"team-a": "ok", "team-b": "ok"})
    assert len(provider.served) == 2
    assert home.sessions == []
    assert not any("tools" in each.body and each.body["tools"] for each in provider.served)


FAILURES = {
    "401": (Seat("team-a", plan=True), Answer(status=401, error=answers.TOKEN_EXPIRED), "invalid_key"),
    "credit": (Seat("team-a"), Answer(status=400, error=answers.CREDIT_TOO_LOW), "no_credit"),
    "policy": (Seat("team-a", plan=True), Answer(status=400, error=answers.THIRD_PARTY), "policy_rejected"),
    "403": (Seat("team-a", COMPLETIONS), Answer(status=403, body=answers.XAI_SPENT), "no_credit"),
    "429": (
        Seat("team-a", GEMINI),
        Answer(status=429, body=answers.gemini_spent("GenerateRequestsPerDayPerProject-FreeTier", 20, "1m2.5s")),
        "rejected",
    ),
    "500": (Seat("team-a"), Answer(status=500, error="Internal server error", headers=QUICK), "unknown"),
}


def test_every_failure_is_an_error_and_becomes_the_status_of_the_account(
    newest_pi: Pi, provider: Provider, tmp_path: Path
) -> None:
    for name, (seat, answer, status) in FAILURES.items():
        home = Home.make(newest_pi, tmp_path / name, provider, [seat], settings={"retry": NO_RETRIES})
        provider.script = lambda _, answer=answer: answer  # type: ignore[misc]
        code, results = check(home, "team-a", "--model", "loopback-1")
        assert (code, results["team-a"]["status"], results["team-a"]["account_status"]) == (1, "error", status), name
        (line,) = logged(home, "check.jsonl")
        assert line["reason"]
        account = state_file.current(paths.find(home.env)).snapshot.accounts["team-a"]
        assert account.history.last_failed_check is not None


def test_with_our_extension_the_headers_of_a_check_tell_what_its_text_does_not(
    newest_pi: Pi, provider: Provider, tmp_path: Path
) -> None:
    """A plan that is used up says so in headers, and in a text that any throttle has."""
    spent = Answer(
        status=429,
        error=answers.ACCOUNT_LIMIT,
        headers={**unified(1.0, 0.4, status="rejected", now=2_000_000_000), **QUICK},
    )
    provider.script = lambda served: spent if served.seat == "team-b" else Answer(headers=unified(0.1, 0.2))
    home = Home.make(
        newest_pi, tmp_path / "pi", provider, SEATS, extensions=[EXTENSION], settings={"retry": NO_RETRIES}
    )
    with sidecar(env={name: home.env[name] for name in ("HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR")}) as running:
        code, results = check(home, "team-a", "team-b", "--model", "loopback-1")
        wait_until(lambda: len(logged(home, "piggyback.jsonl")) == len(provider.served), "all is logged")
        assert running.stop() == 0
    assert (code, [each["status"] for each in results.values()]) == (1, ["ok", "error"])
    captures = logged(home, "piggyback.jsonl")
    assert {each["mission"] for each in captures} == {"pi-check"}
    accounts = state_file.current(paths.find(home.env)).snapshot.accounts
    assert accounts["team-b"].history.by_source["piggyback"].status == "rejected"
    assert accounts["team-b"].history.last_failed_check is not None
    assert accounts["team-a"].history.by_source["pi-check"].status == "allowed"


def test_an_extension_that_does_not_load_decides_nothing(newest_pi: Pi, provider: Provider, tmp_path: Path) -> None:
    fault = "export default function () { throw new Error('boom') }\n"
    broken, ours = tmp_path / "broken.ts", tmp_path / "tokmon"
    broken.write_text(fault, encoding="utf-8")
    ours.mkdir()
    head = (EXTENSION / "index.ts").read_text("utf-8").partition("import ")[0]
    (ours / "index.ts").write_text(f"{head}\n{fault}", encoding="utf-8")
    home = Home.make(newest_pi, tmp_path / "pi", provider, SEATS, extensions=[broken, ours])
    assert check(home, "team-a", "--model", "loopback-1")[0] == 0
    assert len(provider.served) == 1


def test_an_account_that_pi_does_not_know_says_nothing_of_it(newest_pi: Pi, provider: Provider, tmp_path: Path) -> None:
    home = Home.make(newest_pi, tmp_path / "pi", provider, SEATS)
    code, results = check(home, "nobody", "--model", "loopback-1")
    assert (code, results["nobody"]["account_status"]) == (1, "unknown")
    assert "not found" in results["nobody"]["reason"]
