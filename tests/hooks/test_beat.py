"""The example of a wake script: pi starts on the account that the hook names, and starts whatever happens."""

import shutil
import subprocess
from typing import Any, Final

import pytest

from tests.hooks.wake import ASKED, DECIDED, HOOK, LAST, SLACK_S, Wake

BEAT: Final = HOOK.parents[1] / "bootstrap" / "beat.sh"

PI: Final = """
for word in "$@"; do printf '<%s>' "$word"; done
echo "|pin=${TOKMON_PIN-unset}|mission=$TOKMON_MISSION"
exit 7
"""


def _installed(wake: Wake) -> Wake:
    """With the hook where the installer puts it, and a pi that prints how it was started and ends with 7."""
    target = wake.home / ".local" / "share" / "tokmon" / "hooks" / "budget-select"
    target.parent.mkdir(parents=True)
    shutil.copy2(HOOK, target)
    wake.tokmon(PI, wake.programs / "pi")
    return wake


@pytest.fixture
def ready(wake: Wake) -> Wake:
    """By every shell."""
    return _installed(wake)


@pytest.fixture
def text_ready(text_wake: Wake) -> Wake:
    """By one."""
    return _installed(text_wake)


def beat(wake: Wake, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run it, or the copy `script` of it; `more` are variables for it, None removes one."""
    script = more.pop("script", BEAT)
    changed = {**wake.environment, **more}
    return subprocess.run(
        [*wake.shell, script, *arguments],
        env={name: value for name, value in changed.items() if value is not None},
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SLACK_S,
        check=False,
    )


def started(wake: Wake, *arguments: str, **more: str) -> str:
    """How pi was started; its exit code is that of the script."""
    done = beat(wake, *arguments, **more)
    assert done.returncode == 7, done.stderr
    return done.stdout.strip()


def options(pair: str) -> str:
    provider, model = pair.split()
    return f"<--provider><{provider}><--model><{model}>"


def test_pi_becomes_the_wake_on_the_account_that_was_decided(ready: Wake) -> None:
    ready.decide()
    odd = ("-p", "a 'quoted' * $prompt\nof two lines", "", "--model")
    line = started(ready, *odd)
    assert line == options(DECIDED) + "".join(f"<{word}>" for word in odd) + "|pin=unset|mission="


def test_the_mission_goes_along_and_the_pin_counts_this_once(ready: Wake) -> None:
    ready.decide()
    ready.tokmon('echo "$TOKMON_PIN pinned-model"')
    line = started(ready, TOKMON_PIN="team-pin", TOKMON_MISSION="fix the login")
    assert line == options("team-pin pinned-model") + "|pin=unset|mission=fix the login"


def test_the_hook_is_the_one_of_the_installer_or_the_one_that_is_named(text_ready: Wake) -> None:
    ready = text_ready
    assert options(ASKED) in started(ready)
    data = ready.folder / "data"
    other = ready.tokmon("echo other model", data / "tokmon" / "hooks" / "budget-select")
    assert options("other model") in started(ready, XDG_DATA_HOME=str(data))
    assert options(ASKED) in started(ready, XDG_DATA_HOME="not/absolute")
    assert options("other model") in started(ready, TOKMON_HOOK=str(other))


@pytest.mark.parametrize("script", ["exit 1", "exec sleep 60", "echo rubbish; echo more", "kill -KILL $$"])
def test_with_tokmon_broken_pi_starts_on_the_last_decision(text_ready: Wake, script: str) -> None:
    text_ready.tokmon(script)
    assert options(LAST) in started(text_ready, TOKMON_DEADLINE_MS="300")


BROKEN: Final = (
    "exit 1",
    "echo one",
    "echo one two three",
    "echo; echo a b",
    "printf 'a b\\nc d\\n'",
    "echo --help model",
    "echo provider -x",
    "kill -KILL $$",
    "head -c 100000 /dev/zero | tr '\\0' x",
)


def test_with_a_broken_hook_pi_starts_all_the_same(ready: Wake) -> None:
    hook = str(ready.tokmon("echo one two three", ready.folder / "hook"))
    assert started(ready, "-p", "x", TOKMON_HOOK=hook) == "<-p><x>|pin=unset|mission="
    assert started(ready, TOKMON_HOOK=hook, TOKMON_PIN="pinned").startswith("<--provider><pinned>|")


@pytest.mark.parametrize("script", BROKEN)
def test_with_a_broken_hook_the_environment_names_the_account(text_ready: Wake, script: str) -> None:
    hook = str(text_ready.tokmon(script, text_ready.folder / "hook"))
    default = {"TOKMON_DEFAULT_PROVIDER": "default-a", "TOKMON_DEFAULT_MODEL": "default-m"}
    assert started(text_ready, "-p", "x", TOKMON_HOOK=hook) == "<-p><x>|pin=unset|mission="
    assert started(text_ready, TOKMON_HOOK=hook, **default).startswith(options("default-a default-m") + "|")
    assert started(text_ready, TOKMON_HOOK=hook, TOKMON_PIN="pinned", **default).startswith("<--provider><pinned>")
    assert started(text_ready, TOKMON_HOOK=hook, TOKMON_PIN="-p", VIGILIO_PROVIDER="v").startswith("<--provider><v>|")


@pytest.mark.parametrize("missing", ["hook", "home", "runnable"])
def test_without_a_hook_pi_starts_all_the_same(text_ready: Wake, missing: str) -> None:
    hook = text_ready.home / ".local" / "share" / "tokmon" / "hooks" / "budget-select"
    if missing == "hook":
        hook.unlink()
    elif missing == "runnable":
        hook.chmod(0o600)
    more = {"HOME": None} if missing == "home" else {}
    done = beat(text_ready, **more)
    assert (done.returncode, done.stdout) == (7, "|pin=unset|mission=\n")
    assert done.stderr == "beat: no decision: starting pi without one\n"


def test_stderr_says_whether_the_account_is_the_one_of_the_last_session(ready: Wake) -> None:
    for pair, message in (
        ("team-a m", "starting on team-a"),
        ("team-a m", "team-a confirmed"),
        ("team-b m", "switching team-a → team-b"),
        ("team-b other", "team-b confirmed"),
    ):
        ready.decide(pair=pair)
        assert beat(ready).stderr == f"Budget-select: {message}\n"
    assert beat(ready, TOKMON_PIN="team-c").stderr == "Budget-select: switching team-b → from-tokmon\n"


def test_the_last_account_is_remembered_for_each_member(text_ready: Wake) -> None:
    agent = str(text_ready.folder / "agent")
    places = f"{text_ready.config} {text_ready.logs} {agent}"
    for member, message in (
        ("ludo", "starting on team-a"),
        ("nadja", "starting on team-a"),
        ("ludo", "team-a confirmed"),
    ):
        (text_ready.state / f"decision-{member}").write_text(text_ready.text(pair="team-a m", places=places))
        done = beat(text_ready, TOKMON_MEMBER=member, PI_CODING_AGENT_DIR=agent)
        assert done.stderr == f"Budget-select: {message}\n"
    assert (text_ready.state / "last-account-ludo").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", ["", "-x\n", "two words\n", "x" * 1000 + "\n", "\x1b[1m\n\n"])
def test_what_is_no_account_is_not_the_last_one(text_ready: Wake, content: str) -> None:
    text_ready.decide()
    (text_ready.state / "last-account").write_text(content)
    assert DECIDED.split()[0] in beat(text_ready).stderr
    assert beat(text_ready).stderr == "Budget-select: team-ludo confirmed\n"


def test_a_last_account_that_cannot_be_kept_stops_nothing(text_ready: Wake) -> None:
    text_ready.decide()
    (text_ready.state / "last-account").mkdir()
    for _ in range(2):
        done = beat(text_ready)
        assert (done.returncode, done.stderr) == (7, "Budget-select: starting on team-ludo\n")


def test_pi_may_be_several_words_and_none_of_them_is_a_pattern(ready: Wake) -> None:
    ready.decide()
    program = ready.tokmon(PI, ready.home.parent / "odd" / "pi*")
    ready.environment["PATH"] = f"{program.parent}:{ready.environment['PATH']}"
    assert started(ready, TOKMON_PI="pi* first *").startswith(f"<first><*>{options(DECIDED)}")


def test_a_missing_pi_is_said_by_the_shell(ready: Wake) -> None:
    done = beat(ready, TOKMON_PI="/nowhere/pi")
    assert done.returncode == 127
    assert "/nowhere/pi" in done.stderr


def test_a_truncated_copy_starts_nothing(text_ready: Wake) -> None:
    ready = text_ready
    ready.decide()
    lines = BEAT.read_text(encoding="ascii").splitlines(keepends=True)
    copy = ready.folder / "copy"
    for end in range(1, len(lines) - 1, 4):
        copy.write_text("".join(lines[:end]))
        assert beat(ready, script=copy).stdout == ""
