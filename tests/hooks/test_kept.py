"""What is kept is told again while nothing has changed, and by no other means than `tokmon select` itself."""

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.commands.logbook import configure, tokmon, write
from tests.configuration import select
from tests.hooks.test_decision_file import OVERRIDES
from tests.hooks.wake import uptime
from tests.install.capabilities import without_root
from tokmon import paths
from tokmon.decision import decision_file
from tokmon.wire.instants import rfc3339

ANSWER = "team-b claude-sonnet-4-6\n"


def turn(provider: str, used: float, **fields: Any) -> dict[str, Any]:
    """A turn of a minute ago, by the clock of now."""
    now = time.time()
    window = {"name": "7d", "utilization": used, "resets_at": rfc3339(now + 86400)}
    said = {"ts": rfc3339(now - 60), "id": f"turn-{provider}", "source": "piggyback", "provider": provider}
    return {**said, "status": "allowed", "windows": [window], **fields}


@pytest.fixture(autouse=True)
def decided() -> None:
    """Two seats, of which the second was taken."""
    select(chain=["team-a", "team-b"], emergency="gate", policy="threshold", check_file="~/checks.json")
    write("piggyback.jsonl", turn("team-a", 0.95), turn("team-b", 0.30))
    write("probe.jsonl", turn("gate", 0.1))
    assert tokmon("select").stdout == ANSWER


def kept() -> Path:
    return paths.find().state / "decision.kept"


def lines() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (paths.find().logs / "decisions.jsonl").read_bytes().splitlines()]


def told_again(**env: str) -> tuple[str, bool]:
    """What is answered now, and whether it was decided anew."""
    before = len(lines())
    done = tokmon("select", **env)
    assert (done.stderr, done.returncode) == ("", 0)
    (line,) = lines()[before:]
    assert line["source"] == "select"
    assert done.stdout == f"{line['provider']} {line['model']}\n"
    return done.stdout, "alternatives" in line


def edit(place: int, change: Callable[[str], str]) -> None:
    """Change one of the words in the first line of the file."""
    head, rest = kept().read_text("utf-8").split("\n", 1)
    words = head.split(" ")
    words[place] = change(words[place])
    kept().write_text(" ".join(words) + "\n" + rest, encoding="utf-8")


def test_the_same_evidence_is_told_again_and_not_decided_anew() -> None:
    place = decision_file.place(paths.find(), os.environ)
    for _ in range(3):
        place.unlink()
        assert told_again() == (ANSWER, False)
        assert place.read_text("ascii").split(" ")[5:] == ["team-b", "claude-sonnet-4-6", "end\n"]
    assert json.loads(tokmon("select", "--json").stdout)["provider"] == "team-b"
    first, *others = lines()
    since = {line["decided_at"] for line in others[:3]}
    assert since == {first["decided_at"][:19] + "Z"}
    assert {place.stat().st_mode & 0o777, kept().stat().st_mode & 0o777} == {0o600}


def _more_evidence() -> None:
    write("piggyback.jsonl", turn("team-a", 0.1, ts=rfc3339(time.time()), id="late"))


def _removed(name: str) -> Callable[[], None]:
    def remove() -> None:
        (paths.find().logs / name).unlink()

    return remove


def _touched(path: Callable[[], Path]) -> Callable[[], None]:
    return lambda: os.utime(path())


def _rotated() -> None:
    log = paths.find().piggyback
    log.rename(log.with_suffix(".1"))
    write(log.name, *log.with_suffix(".1").read_bytes().splitlines(keepends=True))


def _restored() -> None:
    """Something else of the same length, under the same time of change."""
    log = paths.find().piggyback
    before = log.stat()
    log.write_bytes(log.read_bytes().replace(b"0.95", b"0.15"))
    os.utime(log, ns=(before.st_atime_ns, before.st_mtime_ns))


def _moved(hundredths: int) -> None:
    for place in (5, 6):
        edit(place, lambda at: str(int(at) + hundredths))


CHANGES: dict[str, tuple[Callable[[], object], str]] = {
    "a line more": (_more_evidence, "team-a"),
    "a torn line": (lambda: write("piggyback.jsonl", b'{"ts":"20'), "team-b"),
    "a new log": (lambda: write("other.jsonl", turn("team-b", 0.99, ts=rfc3339(time.time()), id="late")), "team-a"),
    "a hidden log": (lambda: write(".x.jsonl", turn("team-a", 0.1, ts=rfc3339(time.time()), id="late")), "team-a"),
    "a log gone": (_removed("probe.jsonl"), "team-b"),
    "a log rotated": (_rotated, "team-b"),
    "a log rewritten": (_restored, "team-a"),
    "a log touched": (_touched(lambda: paths.find().piggyback), "team-b"),
    "the configuration": (lambda: select(chain=["team-a"], policy="threshold", check_file="~/checks.json"), "team-a"),
    "the configuration touched": (_touched(lambda: paths.find().config), "team-b"),
    "models.json": (lambda: configure(grok={"baseUrl": "https://api.x.ai/v1"}), "team-b"),
    "the checks": (lambda: (paths.find().home / "checks.json").write_text("{}", encoding="ascii"), "team-b"),
    "state.json": (lambda: paths.find().snapshot.write_text("{}", encoding="ascii"), "team-b"),
    "another last decision": (
        lambda: decision_file.last_place(paths.find()).write_text(
            "tokmon-decision 1 b 1 2 team-a claude-sonnet-4-6 end\n", encoding="ascii"
        ),
        "team-b",
    ),
    "no last decision": (lambda: decision_file.last_place(paths.find()).unlink(), "team-b"),
    "another version": (lambda: edit(2, lambda version: version + "0"), "team-b"),
    "another installation": (lambda: edit(3, lambda installed: installed + "0"), "team-b"),
    "another boot": (lambda: edit(4, lambda boot: boot[::-1]), "team-b"),
    "its time is over": (lambda: _moved(-800_000), "team-b"),
    "its time has not come": (lambda: _moved(6000), "team-b"),
    "the wall clock set on": (lambda: edit(8, lambda ahead: str(int(ahead) - 500)), "team-b"),
    "the wall clock set back": (lambda: edit(8, lambda ahead: str(int(ahead) + 500)), "team-b"),
    "readable by all, writable by some": (lambda: kept().chmod(0o664), "team-b"),
}


SEAT = {"baseUrl": "http://127.0.0.1:9", "api": "anthropic-messages", "models": [{"id": "claude-sonnet-4-6"}]}
TEAM_A = "team-a claude-sonnet-4-6\n"


def nothing_is_known(**seats: dict[str, Any]) -> None:
    for name in ("probe.jsonl", "piggyback.jsonl"):
        _removed(name)()
    configure(**seats)


@pytest.mark.parametrize("key", ["!a command", "", "two words", None])
def test_nobody_is_waited_for_who_cannot_be_asked_anywhere(key: str | None) -> None:
    nothing_is_known(**({} if key is None else {"team-a": SEAT | {"apiKey": key}, "team-b": SEAT | {"apiKey": key}}))
    assert [told_again(), told_again()] == [(TEAM_A, True), (TEAM_A, False)]


def test_who_can_be_asked_elsewhere_ends_it() -> None:
    nothing_is_known(**{name: SEAT | {"apiKey": "$A_KEY_OF_MINE"} for name in ("team-a", "team-b")})
    assert [told_again(), told_again()] == [(TEAM_A, True), (TEAM_A, True)]


def test_who_was_just_asked_in_vain_is_not_waited_for_until_it_may_be_asked_again() -> None:
    nothing_is_known(**{name: SEAT | {"apiKey": "sk-ant-oat01-key"} for name in ("team-a", "team-b")})
    assert [told_again(), told_again(), told_again()] == [(TEAM_A, True), (TEAM_A, True), (TEAM_A, False)]
    assert [len(line.get("asked", ())) for line in lines()[1:]] == [2, 0, 0]
    turns = json.loads((paths.find().state / "probes.json").read_bytes())["accounts"]
    until = int(kept().read_text("utf-8").split(" ")[6]) / 100 + time.time() - uptime()
    assert turns["team-a"]["next_at"] <= until + 31 <= turns["team-a"]["next_at"] + 62


def test_a_login_changes_who_can_be_asked() -> None:
    nothing_is_known(**{"team-a": SEAT | {"apiKey": "!a command"}, "team-b": SEAT | {"apiKey": "!a command"}})
    assert [told_again(), told_again()] == [(TEAM_A, True), (TEAM_A, False)]
    login = {"team-a": {"type": "api_key", "key": "sk-ant-oat01-key"}}
    (paths.find().agent / "auth.json").write_text(json.dumps(login), encoding="ascii")
    assert told_again() == (TEAM_A, True)
    assert lines()[-1]["asked"]


@pytest.mark.parametrize(("change", "provider"), CHANGES.values(), ids=CHANGES)
def test_whatever_changes_is_decided_anew(change: Callable[[], object], provider: str) -> None:
    change()
    assert told_again() == (f"{provider} claude-sonnet-4-6\n", True)
    torn = paths.find().piggyback.exists() and not paths.find().piggyback.read_bytes().endswith(b"\n")
    assert torn or told_again() == (f"{provider} claude-sonnet-4-6\n", False)


@pytest.mark.parametrize("name", OVERRIDES)
def test_what_one_call_asks_for_is_neither_taken_from_there_nor_kept(name: str) -> None:
    value = {"PIN": "team-b", "CHAIN": "team-b", "FALLBACK": "x", "EMERGENCY": "x", "POLICY": "threshold"}
    value |= {"MODEL": "m", "MODELS": "team-b=m", "SPEND_CREDIT": "never", "SESSION_MINUTES": "5"}
    value["CHECK_FILE"] = "/no/checks"
    before = kept().read_bytes()
    said = value.get(name.removeprefix("TOKMON_").removeprefix("SELECT_"), "0.97")
    assert told_again(**{name: said})[1]
    assert kept().read_bytes() == before
    kept().unlink()
    assert told_again(**{name: said})[1]
    assert not kept().exists()
    assert told_again(**{name: ""})[1]
    assert kept().exists()


@pytest.mark.parametrize(
    ("name", "again"),
    [
        ("TOKMON_DEADLINE_MS", True),
        ("TOKMON_MISSION", True),
        ("TOKMON_DEFAULT_PROVIDER", True),
        ("TOKMON_LOG_DIR", False),
        ("TOKMON_CONFIG_DIR", False),
        ("TOKMON_STATE_DIR", False),
        ("XDG_STATE_HOME", False),
        ("XDG_CONFIG_HOME", False),
        ("PI_CODING_AGENT_DIR", False),
        ("HOME", False),
    ],
)
def test_the_environment_matters_where_it_names_other_places(name: str, again: bool, tmp_path: Path) -> None:  # noqa: FBT001
    before = len(lines())
    tokmon("select", **{name: "3" if again else str(tmp_path / "elsewhere")})
    assert ["alternatives" in line for line in lines()[before:]] in ([[False]] if again else [[], [True]])


def test_an_invalid_variable_and_an_invalid_configuration_are_said_each_time() -> None:
    assert "warning: variable `VIGILIO_PROVIDER`" in tokmon("select", VIGILIO_PROVIDER="two words").stderr
    assert told_again() == (ANSWER, False)
    select(chain=["team-a", "team-b"], policy="threshold", threshold=90)
    for _ in range(2):
        assert "threshold" in tokmon("select").stderr


def test_a_clock_that_runs_ahead_is_asked_about_each_time() -> None:
    """In five minutes its line may be evidence, and nothing on the disk will have changed."""
    write("piggyback.jsonl", turn("team-b", 0.1, ts=rfc3339(time.time() + 900), id="ahead"))
    assert told_again() == (ANSWER, True)
    assert told_again() == (ANSWER, True)


@pytest.mark.parametrize("way", ["link", "fifo", "folder", "huge", "empty"])
def test_what_lies_in_its_place_is_passed_over(way: str, tmp_path: Path) -> None:
    whole = kept().read_bytes()
    kept().unlink()
    match way:
        case "link":
            (tmp_path / "real").write_bytes(whole)
            kept().symlink_to(tmp_path / "real")
        case "fifo":
            os.mkfifo(kept())
        case "folder":
            kept().mkdir()
        case "huge":
            kept().write_bytes(whole * 5000)
        case _:
            kept().write_bytes(b"")
    assert told_again() == (ANSWER, True)


@pytest.mark.skipif(without_root() is not None, reason=str(without_root()))
def test_a_file_of_another_user_is_passed_over() -> None:
    os.chown(kept(), 65534, 65534)
    assert told_again() == (ANSWER, True)


def test_a_torn_line_of_the_log_is_closed_first() -> None:
    log = paths.find().logs / "decisions.jsonl"
    with log.open("ab") as file:
        file.write(b'{"to')
    assert tokmon("select").stdout == ANSWER
    first, torn, last = log.read_bytes().splitlines()
    assert (json.loads(first)["provider"], torn) == ("team-b", b'{"to')
    assert "alternatives" not in json.loads(last)


def test_who_holds_the_log_is_waited_for() -> None:
    with (paths.find().logs / "decisions.jsonl.lock").open("rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        words = [sys.executable, "-m", "tokmon", "select"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as waiting:
            fcntl.flock(lock, fcntl.LOCK_UN)
            assert waiting.communicate(timeout=60)[0] == ANSWER
    assert len(lines()) == 2


def test_fifty_at_once_are_told_the_same_and_each_is_a_line() -> None:
    with ThreadPoolExecutor(50) as pool:
        said = [done.result() for done in [pool.submit(tokmon, "select") for _ in range(50)]]
    assert {(done.stdout, done.stderr, done.returncode) for done in said} == {(ANSWER, "", 0)}
    assert len(lines()) == 51


def test_what_cannot_be_recorded_is_said_all_the_same() -> None:
    log = paths.find().logs / "decisions.jsonl"
    log.unlink()
    log.mkdir()
    done = tokmon("select")
    assert (done.stdout, done.returncode) == (ANSWER, 0)
    assert "was not recorded" in done.stderr


@pytest.mark.parametrize("output", ["/dev/full", None])
def test_an_answer_that_cannot_be_printed_is_a_failure(output: str | None) -> None:
    words = [sys.executable, "-m", "tokmon", "select"]
    shell = 'exec "$@" >&-' if output is None else f'exec "$@" >{output}'
    done = subprocess.run(["sh", "-c", shell, "sh", *words], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "standard output" in done.stderr


def test_it_takes_no_library_to_tell_again() -> None:
    code = "import sys; from tokmon.entry import main; main()"
    words = [sys.executable, "-X", "importtime", "-c", code, "select"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout == ANSWER
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    bare = subprocess.run([*words[:4], "pass"], capture_output=True, text=True, timeout=30, check=False)
    own = loaded - {line.rpartition("|")[2].strip() for line in bare.stderr.splitlines()}
    assert own == {"tokmon", "tokmon.entry", "tokmon.kept", "fcntl"}
