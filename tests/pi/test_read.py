"""What answers mean, the whole way: a real pi gets them as xAI, Groq, OpenAI and Gemini give them, and we are asked.

A refusal comes in two lines: the response with its headers and the text of the error, and pi's error at the end of the
turn, which is no evidence of its own.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.patience import PATIENCE_S
from tests.pi import answers
from tests.pi.answers import FINAL, GROQ, OPENAI, XAI, Answer
from tests.pi.install import Pi
from tests.pi.listener import in_order
from tests.pi.provider import Provider
from tests.pi.runner import Home
from tests.pi.seats import COMPLETIONS, GEMINI, RESPONSES, Seat
from tests.pi.test_capture import captured, served_as
from tests.pi.test_capture_usage import logged, own_socket, sidecar_env
from tests.sidecar.running import sidecar, wait_until
from tokmon import paths
from tokmon.store import state_file
from tokmon.wire.instants import parse_rfc3339, rfc3339

pytestmark = pytest.mark.pi

Record = dict[str, Any]
Script = Sequence[tuple[Seat, Sequence[Answer]]]

LOGS: Final = ("piggyback.jsonl", "usage.jsonl")
SAID: Final = ("status", "substatus", "scope", "windows", "retry_after_s", "blocked_until", "account_hint")
"""What a line of the log says, and `tokmon read` again."""


@dataclass(frozen=True, slots=True)
class Account:
    """What is known of a provider: its lines in both logs, and what `tokmon status` makes of them."""

    captures: list[Record]
    errors: list[Record]
    shown: Record

    @property
    def verdict(self) -> tuple[str, str | None, str]:
        """Its status, whom that concerns, and how bad it is."""
        status = self.shown["status"] or self.shown["last_known"]
        return status["status"], status["scope"], self.shown["severity"]

    @property
    def windows(self) -> dict[str, tuple[float | None, float | None, str | None]]:
        """What was used of each window, of how much, and its reset. Some of them have passed by now."""
        gauges: list[Record] = self.shown["windows"]
        return {each["name"]: (each["last_utilization"], each["limit"], each["resets_at"]) for each in gauges}


def tokmon(home: Home, *arguments: str, lines: Sequence[Record] = ()) -> str:
    """What the command prints in that home, its input these lines."""
    done = subprocess.run(
        [sys.executable, "-m", "tokmon", *arguments],
        input="".join(json.dumps(line) + "\n" for line in lines),
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONUTF8": "1", **sidecar_env(home)},
        timeout=PATIENCE_S,
        check=True,
    )
    return done.stdout


def asked(pi: Pi, provider: Provider, tmp_path: Path, script: Script) -> dict[str, Account]:
    """Ask every seat, one prompt an answer, with the real sidecar; both logs, and the status by seat."""
    home = own_socket(pi, provider, tmp_path, [seat for seat, _ in script])
    with sidecar(env=sidecar_env(home)) as running:
        with home.rpc() as rpc:
            for seat, says in script:
                provider.queue(*says, seat=seat.name)
                rpc.send("set_model", provider=seat.name, modelId=seat.model)
                for _ in says:
                    rpc.prompt("hello")
            assert rpc.close() == 0
        count = sum(len(says) for _, says in script)
        wait_until(lambda: [len(logged(home, name)) for name in LOGS] == [count, count], "all is logged")
        assert running.stop() == 0
    # A pi on a busy machine spools, and then lines come late.
    captures, usages = (in_order(logged(home, name)) for name in LOGS)
    assert [captured(each) for each in captures] == [served_as(each) for each in provider.served]
    errors = [each for each in usages if "error" in each]
    said_again_by_read(home, captures + errors)
    status = {each["provider"]: each for each in json.loads(tokmon(home, "status", "--json"))["providers"]}
    rebuilt_from_the_logs(home)
    return {
        seat.name: Account(
            [each for each in captures if each["provider"] == seat.name],
            [each for each in errors if each["provider"] == seat.name],
            status[seat.name],
        )
        for seat, _ in script
    }


def said_again_by_read(home: Home, lines: Sequence[Record]) -> None:
    """Every line, read anew from what is raw in it, means what the sidecar has written behind it."""
    found = [json.loads(line) for line in tokmon(home, "read", lines=lines).splitlines()]
    assert [said(each) for each in found] == [said(each) for each in lines]


def said(line: Mapping[str, Any]) -> Record:
    return {name: value for name in SAID if (value := line.get(name)) is not None and value != []}


def rebuilt_from_the_logs(home: Home) -> None:
    """The snapshot that the sidecar has saved is the one that the logs give."""
    found = paths.find(home.env)
    saved = state_file.load(found).snapshot.to_json()
    found.snapshot.unlink()
    assert state_file.current(found).snapshot.to_json() == saved


def later(line: Mapping[str, Any], seconds: float) -> str:
    """So long after the line."""
    return rfc3339(parse_rfc3339(line["ts"]) + seconds)


def window(
    name: str, used: float, resets_at: str | None, limit: float, remaining: float | None = None, **more: str
) -> Record:
    """A window of a line."""
    counts = {"limit": limit} | ({} if remaining is None else {"remaining": remaining})
    return {"name": name, "utilization": used, "resets_at": resets_at, **counts, **more}


def test_a_key_of_xai_without_credit_has_no_credit_and_keeps_its_windows_which_never_reset(
    newest_pi: Pi, provider: Provider, tmp_path: Path
) -> None:
    healthy, spent = Answer(headers=XAI), Answer(status=403, body=answers.XAI_SPENT)
    chats, responds = Seat("xai-chats", COMPLETIONS), Seat("xai-responds", RESPONSES)
    accounts = asked(newest_pi, provider, tmp_path, [(chats, (healthy, spent)), (responds, (healthy, spent))])
    for account in accounts.values():
        served, refused = account.captures
        assert said(served) == {
            "status": "allowed",
            "windows": [
                window("requests", 0.25, None, 1400, 1050),
                window("tokens", 0.25, None, 4_000_000, 3_000_000),
            ],
        }
        (error,) = account.errors
        assert said(refused) == said(error) == {"status": "no_credit", "scope": "account"}
        assert account.verdict == ("no_credit", "account", "CRITICAL")
        assert account.windows == {"requests": (0.25, 1400, None), "tokens": (0.25, 4_000_000, None)}


def test_a_wrong_key_is_known_by_the_400_of_xai_and_of_gemini(
    newest_pi: Pi, provider: Provider, tmp_path: Path
) -> None:
    script = [
        (Seat("xai", COMPLETIONS), [Answer(status=400, body=answers.XAI_BAD_KEY)]),
        (Seat("gemini", GEMINI), [Answer(status=400, body=answers.GEMINI_BAD_KEY)]),
    ]
    for account in asked(newest_pi, provider, tmp_path, script).values():
        (refused,), (error,) = account.captures, account.errors
        assert refused["http_status"] == 400
        assert said(refused) == said(error) == {"status": "invalid_key", "scope": "account"}
        assert account.verdict == ("invalid_key", "account", "UNKNOWN")
        assert account.shown["reason"].startswith("every key of the chain was refused"), "the choice believes none"
        assert account.windows == {}


def test_groq_counts_requests_a_day_and_tokens_a_minute_and_each_response_has_resets_of_its_own(
    newest_pi: Pi, provider: Provider, tmp_path: Path
) -> None:
    healthy = Answer(headers=GROQ)
    spent = {**GROQ, **FINAL, "x-ratelimit-remaining-tokens": "300", "x-ratelimit-reset-tokens": "57s"}
    throttled = Answer(status=429, headers={**spent, "retry-after": "7"}, body=answers.GROQ_THROTTLED)
    script = [(Seat("groq", COMPLETIONS), (healthy, healthy, throttled))]
    account = asked(newest_pi, provider, tmp_path, script)["groq"]
    first, second, refused = account.captures
    for line in (first, second):
        assert said(line) == {
            "status": "allowed",
            "windows": [
                window("requests_day", 0.25, later(line, 179.56), 14_400, 10_800),
                window("tokens_minute", 0.25, later(line, 7.66), 6000, 4500),
            ],
        }
    assert said(refused) == {
        "status": "rejected",
        "scope": "model",
        "windows": [
            window("requests_day", 0.25, later(refused, 179.56), 14_400, 10_800),
            window("tokens_minute", 0.95, later(refused, 57), 6000, 300),
        ],
        "retry_after_s": 7,
        "blocked_until": later(refused, 7),
    }
    (error,) = account.errors
    assert (error["status"], error["scope"]) == ("rejected", "request")
    assert account.verdict[:2] == ("allowed", None), "the text names the model"
    assert account.windows == {
        "requests_day": (0.25, 14_400, later(refused, 179.56)),
        "tokens_minute": (0.95, 6000, later(refused, 57)),
    }


def test_a_spent_quota_of_openai_is_credit_and_no_throttle(newest_pi: Pi, provider: Provider, tmp_path: Path) -> None:
    left = {"x-ratelimit-remaining-requests": "12000", "x-ratelimit-remaining-tokens": "30000000"}
    healthy = Answer(headers={**OPENAI, **left})
    organization = {"openai-organization": OPENAI["openai-organization"]}
    spent = Answer(status=429, headers={**organization, **FINAL}, body=answers.OPENAI_SPENT)
    account = asked(newest_pi, provider, tmp_path, [(Seat("openai", RESPONSES), (healthy, spent))])["openai"]
    served, refused = account.captures
    assert said(served) == {
        "status": "allowed",
        "windows": [
            window("requests", 0.2, later(served, 0.004), 15_000, 12_000),
            window("tokens", 0.25, later(served, 360), 40_000_000, 30_000_000),
        ],
        "account_hint": "user-loopback",
    }
    (error,) = account.errors
    assert said(refused) == {**said(error), "account_hint": "user-loopback"}
    assert said(error) == {"status": "no_credit", "scope": "account"}
    assert account.verdict == ("no_credit", "account", "CRITICAL")
    assert account.shown["status"]["blocked_until"] is None
    assert account.windows == {
        "requests": (0.2, 15_000, later(served, 0.004)),
        "tokens": (0.25, 40_000_000, later(served, 360)),
    }


def refused_model(account: Account) -> tuple[str, str | None]:
    """The status of the one model that is refused, and until when."""
    (refusal,) = account.shown["refused_models"]
    return refusal["status"], refusal["blocked_until"]


def test_a_spent_quota_of_gemini_is_a_window_of_one_model_although_no_header_says_so(
    newest_pi: Pi, provider: Provider, tmp_path: Path
) -> None:
    day = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
    minute = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
    script = [
        (Seat("daily", GEMINI), (Answer(), Answer(status=429, body=answers.gemini_spent(day, 20, "41.528s")))),
        (Seat("minutely", GEMINI), [Answer(status=429, body=answers.gemini_spent(minute, 10, "1m2.5s"))]),
    ]
    accounts = asked(newest_pi, provider, tmp_path, script)
    daily, minutely = accounts["daily"], accounts["minutely"]
    served, refused = daily.captures
    assert said(served) == {"status": "allowed"}
    (error,) = daily.errors
    for line in (refused, error):
        assert said(line) == {
            "status": "rejected",
            "scope": "model",
            "windows": [window(day, 1, None, 20, scope="model")],
            "retry_after_s": 41.528,
            "blocked_until": later(line, 86_400),
        }
    assert refused_model(daily) == ("rejected", later(refused, 86_400)), "the time to wait is that of the minute"
    (refused,) = minutely.captures
    assert said(refused) == {
        "status": "rejected",
        "scope": "model",
        "windows": [window(minute, 1, later(refused, 62.5), 10, scope="model")],
        "retry_after_s": 62.5,
        "blocked_until": later(refused, 62.5),
    }
    assert daily.windows == {day: (1, 20, None)}
    assert minutely.windows == {minute: (1, 10, later(refused, 62.5))}
    assert refused_model(minutely) == ("rejected", later(refused, 62.5))
    assert {name: account.shown["severity"] for name, account in accounts.items()} == {
        "daily": "CRITICAL",
        "minutely": "WARN",
    }
    assert {account.shown["fitness"] for account in accounts.values()} == {"excluded"}, "its only model is refused"
    assert daily.shown["status"]["status"] == "allowed", "what one model was refused says nothing of the account"
