"""The example of a wake script: pi is started on the account that the hook names, and is started whatever happens."""

import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from tests.hooks.wake import ASKED, DECIDED, HOOK, LAST, SLACK_S, Wake

BEAT: Final = HOOK.parents[1] / "bootstrap" / "beat.sh"

PI: Final = """
for word in "$@"; do printf '<%s>' "$word"; done
echo "|pin=${TOKMON_PIN-unset}|mission=$TOKMON_MISSION"
exit 7
"""


@pytest.fixture
def ready(wake: Wake) -> Wake:
    """With the hook where the installer puts it, and a pi that says how it was started and ends with 7."""
    target = wake.home / ".local" / "share" / "tokmon" / "hooks" / "budget-select"
    target.parent.mkdir(parents=True)
    shutil.copy2(HOOK, target)
    wake.tokmon(PI, wake.programs / "pi")
    return wake


def beat(wake: Wake, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run it, or the copy `script` of it; `more` are variables for it, None takes one away."""
    script = more.pop("script", BEAT)
    changed = {**wake.environment, **more}
    return subprocess.run(
        [*wake.shell, script, *arguments],
        env={name: value for name, value in changed.items() if value is not None},
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=5 + SLACK_S,
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
    said = started(ready, *odd)
    assert said == options(DECIDED) + "".join(f"<{word}>" for word in odd) + "|pin=unset|mission="


def test_the_mission_goes_along_and_the_pin_counts_this_once(ready: Wake) -> None:
    ready.decide()
    ready.tokmon('echo "$TOKMON_PIN pinned-model"')
    said = started(ready, TOKMON_PIN="team-pin", TOKMON_MISSION="fix the login")
    assert said == options("team-pin pinned-model") + "|pin=unset|mission=fix the login"


def test_the_hook_is_looked_for_where_the_installer_puts_it_or_where_it_is_said_to_be(
    ready: Wake, tmp_path: Path
) -> None:
    assert options(ASKED) in started(ready)
    data = tmp_path / "data"
    other = ready.tokmon("echo other model", data / "tokmon" / "hooks" / "budget-select")
    assert options("other model") in started(ready, XDG_DATA_HOME=str(data))
    assert options(ASKED) in started(ready, XDG_DATA_HOME="not/absolute")
    assert options("other model") in started(ready, TOKMON_HOOK=str(other))


@pytest.mark.parametrize("script", ["exit 1", "exec sleep 60", "echo rubbish; echo more", "kill -KILL $$"])
def test_with_tokmon_broken_pi_starts_on_the_last_good_decision(ready: Wake, script: str) -> None:
    ready.tokmon(script)
    assert options(LAST) in started(ready, TOKMON_DEADLINE_MS="300")


@pytest.mark.parametrize(
    "script",
    [
        "exit 1",
        "echo one",
        "echo one two three",
        "echo; echo a b",
        "printf 'a b\\nc d\\n'",
        "echo --help model",
        "echo provider -x",
        "kill -KILL $$",
        "head -c 100000 /dev/zero | tr '\\0' x",
    ],
)
def test_with_a_broken_hook_pi_starts_all_the_same(ready: Wake, script: str) -> None:
    hook = str(ready.tokmon(script, ready.folder / "hook"))
    default = {"TOKMON_DEFAULT_PROVIDER": "default-a", "TOKMON_DEFAULT_MODEL": "default-m"}
    assert started(ready, "-p", "x", TOKMON_HOOK=hook) == "<-p><x>|pin=unset|mission="
    assert started(ready, TOKMON_HOOK=hook, **default).startswith(options("default-a default-m") + "|")
    assert started(ready, TOKMON_HOOK=hook, TOKMON_PIN="pinned", **default).startswith("<--provider><pinned>")
    assert started(ready, TOKMON_HOOK=hook, TOKMON_PIN="-p", VIGILIO_PROVIDER="v").startswith("<--provider><v>|")


@pytest.mark.parametrize("missing", ["hook", "home", "runnable"])
def test_without_a_hook_pi_starts_all_the_same(ready: Wake, missing: str) -> None:
    hook = ready.home / ".local" / "share" / "tokmon" / "hooks" / "budget-select"
    if missing == "hook":
        hook.unlink()
    elif missing == "runnable":
        hook.chmod(0o600)
    more = {"HOME": None} if missing == "home" else {}
    done = beat(ready, **more)
    assert (done.returncode, done.stdout) == (7, "|pin=unset|mission=\n")
    assert done.stderr == "beat: no decision: starting pi without one\n"


def test_pi_may_be_several_words_and_none_of_them_is_a_pattern(ready: Wake) -> None:
    ready.decide()
    program = ready.tokmon(PI, ready.home.parent / "odd" / "pi*")
    ready.environment["PATH"] = f"{program.parent}:{ready.environment['PATH']}"
    assert started(ready, TOKMON_PI="pi* first *").startswith(f"<first><*>{options(DECIDED)}")


def test_a_missing_pi_is_said_by_the_shell(ready: Wake) -> None:
    done = beat(ready, TOKMON_PI="/nowhere/pi")
    assert done.returncode == 127
    assert "/nowhere/pi" in done.stderr


def test_a_truncated_copy_starts_nothing(ready: Wake) -> None:
    ready.decide()
    lines = BEAT.read_text().splitlines(keepends=True)
    copy = ready.folder / "copy"
    for end in range(1, len(lines) - 1, 4):
        copy.write_text("".join(lines[:end]))
        assert beat(ready, script=copy).stdout == ""
