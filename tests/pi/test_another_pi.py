"""pi updates itself before anybody renders the extension anew: a session in between is as good as any.

Whatever version it was rendered for, pi answers as without it, and every response is captured once with its provider.
Only how that provider is known may be less exact, and each capture says how.
"""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.extension.listener import Listener
from tests.pi import answers, install
from tests.pi.answers import QUICK, Answer
from tests.pi.install import VERSIONS, Pi
from tests.pi.provider import Provider
from tests.pi.runner import Home, Run
from tests.pi.seats import ANTHROPIC, CODEX, COMPLETIONS, Seat
from tests.sidecar.running import lines_of, sidecar, wait_until
from tokmon import paths
from tokmon.pi import extension, schema_ts

pytestmark = pytest.mark.pi

SOURCE: Final = (schema_ts.folder() / "tokmon.ts").read_text()
OLD: Final = ("0.66.1", "0.73.1")
BETWEEN: Final = ("0.74.0", "0.80.0")
"""Rendered for these, it asks for a module that neither older version has."""

EXACT: Final = {(made, run) for made in VERSIONS for run in VERSIONS if made in OLD or run not in OLD}
"""A registry of streams is found by newer versions too; the providers' own methods older ones do not have."""


PLAIN: Final[dict[str, list[tuple[int, str, str]]]] = {}
"""What each version says without it, once it has been asked."""


def with_extension(pi: Pi, tmp_path: Path, provider: Provider, seats: list[Seat], rendered_for: str) -> Home:
    text = schema_ts.render(schema_ts.version(rendered_for), SOURCE)
    (tmp_path / "tokmon.ts").write_text(text)
    home = Home.make(pi, tmp_path / "watched", provider, seats, extensions=[tmp_path / "tokmon.ts"])
    home.env |= {"TOKMON_SOCKET": str(tmp_path / "sock"), "TOKMON_NO_SPAWN": "1"}
    return home


def said(run: Run) -> tuple[int, str, str]:
    return run.exit_code, run.stdout, re.sub(r"req_\w+", "", run.stderr)


@pytest.mark.parametrize("rendered_for", [*VERSIONS, *BETWEEN])
def test_pi_answers_as_without_it_whatever_version_it_was_rendered_for(
    pi: Pi, provider: Provider, tmp_path: Path, rendered_for: str
) -> None:
    seats = [Seat("team-a"), Seat("team-b")]
    provider.queue(Answer(headers=QUICK), seat="team-a")
    provider.queue(Answer(status=429, error=answers.ACCOUNT_LIMIT, headers=QUICK), seat="team-b")
    if pi.version not in PLAIN:
        plain = Home.make(pi, tmp_path / "plain", provider, seats)
        PLAIN[pi.version] = [said(plain.run("hello", seat)) for seat in seats]
    with Listener(tmp_path / "sock"):
        watched = with_extension(pi, tmp_path, provider, seats, rendered_for)
        assert [said(watched.run("hello", seat)) for seat in seats] == PLAIN[pi.version]


@pytest.mark.parametrize("rendered_for", [*VERSIONS, *BETWEEN])
def test_every_response_is_captured_once_and_is_known_by_its_provider(
    pi: Pi, provider: Provider, tmp_path: Path, rendered_for: str
) -> None:
    # Two seats share each base URL. Codex in the older versions repeats a failure over seconds: one API fewer there.
    apis = (ANTHROPIC, COMPLETIONS) if pi.version in OLD else (ANTHROPIC, COMPLETIONS, CODEX)
    seats = [Seat(f"{api}-{letter}", api) for api in apis for letter in "ab"]
    with Listener(tmp_path / "sock") as listener:
        with with_extension(pi, tmp_path, provider, seats, rendered_for).rpc() as rpc:
            for status in (200, 429, 500):
                provider.script = lambda _, status=status: Answer(  # type: ignore[misc]
                    status=status, error="" if status == 200 else f"no {status}", headers=QUICK
                )
                for seat in seats:
                    rpc.send("set_model", provider=seat.name, modelId=seat.model)
                    rpc.prompt("hello")
            assert rpc.close() == 0
        captures, usages = listener.of("capture"), listener.of("usage")
    told = [(each["provider"], each["http_status"], each["request_id"]) for each in captures]
    assert told == [(each.seat, each.status, each.request_id) for each in provider.served]
    assert len(told) >= 3 * len(seats)
    assert {each["provider"] for each in usages} == {seat.name for seat in seats}
    assert {each["pi"] for each in captures} == {pi.version}
    exact = (rendered_for, pi.version) in EXACT or (rendered_for in BETWEEN and pi.version not in OLD)
    assert {each["attribution"] for each in captures} == ({"wrapper"} if exact else {"model"})


@pytest.mark.parametrize("rendered_for", VERSIONS)
def test_a_pi_that_shows_codex_frames_is_listened_to_whatever_it_was_rendered_for(
    provider: Provider, tmp_path: Path, rendered_for: str
) -> None:
    provider.websocket = True
    provider.queue(Answer(frames=[answers.CODEX_FRAME]))
    with Listener(tmp_path / "sock") as listener:
        home = with_extension(install.pi("1.5.2"), tmp_path, provider, [Seat("team-a", CODEX)], rendered_for)
        home.write("settings.json", {"transport": "websocket", "quietStartup": True})
        assert home.run().exit_code == 0
        (capture,) = listener.of("capture")
    assert (capture["via"], capture["provider"]) == ("stream", "team-a")


def test_a_real_sidecar_renders_it_anew_during_the_first_session_of_the_new_pi(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pi = install.pi("1.5.2")
    home = with_extension(pi, tmp_path, provider, [Seat("team-a"), Seat("team-b")], "0.66.1")
    provider.queue(Answer(headers=QUICK))
    for name in ("PI_CODING_AGENT_DIR", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "HOME"):
        monkeypatch.setenv(name, home.env[name])
    home.env.pop("TOKMON_SOCKET")
    found = paths.find()
    # No pi of that name: the sidecar learns of it when the session greets it.
    extension.remember(found, pi.command)
    with sidecar(env={"PATH": "/nowhere"}) as running:
        found.extension.write_text(schema_ts.render(schema_ts.version("0.66.1"), SOURCE))
        run = home.run("hello", home.seats[1])
        assert (run.exit_code, run.stdout.strip(), run.stderr) == (0, answers.DEFAULT_TEXT, "")
        wait_until(lambda: "for pi 1.5.2" in running.said(), "the sidecar says so")
        assert found.extension.read_text() == schema_ts.render(schema_ts.version("1.5.2"), SOURCE)
        assert home.run("hello", home.seats[1]).exit_code == 0
        assert running.stop() == 0
    told = [(each["provider"], each["attribution"]) for each in lines_of(found.piggyback)]
    assert told == [("team-b", "wrapper")] * 2
