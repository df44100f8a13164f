"""Of many wakes at once one asks `tokmon select`, and the others wait for the decision file that it leaves."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.hooks.wake import ASKED, DECIDED, LAST, SLACK_S, Process, Wake, alone, boot, finished, uptime
from tests.install.capabilities import without_root

WAITS: Final = """
echo asked >>"$CALLS"
until [ -e "$GO" ]; do /bin/sleep 0.02; done
"""
"""A tokmon that waits for the test; its number of lines in CALLS is how often it was asked."""

DECIDES: Final = f"""
read -r now _ </proc/uptime
{{
  echo "tokmon-decision/2 $BOOT ${{now%.*}} $((${{now%.*}} + 3000)) {DECIDED} end"
  cat "$REST"
}} >"$DECISION.new"
mv "$DECISION.new" "$DECISION"
echo from-select itself
"""

NEXT_SECOND: Final = """
read -r started _ </proc/uptime
until read -r now _ </proc/uptime && [ "${now%.*}" != "${started%.*}" ]; do /bin/sleep 0.02; done
"""


class Crowd:
    """A wake's folder, with what the fake tokmon and the test tell each other."""

    def __init__(self, wake: Wake) -> None:
        self.wake = wake
        self.calls, self.go, self.naps = (wake.folder / name for name in ("calls", "go", "naps"))
        rest = wake.folder / "rest"
        rest.write_text(wake.text().split("\n", 1)[1], encoding="ascii")
        wake.environment.update(
            CALLS=str(self.calls),
            GO=str(self.go),
            NAPS=str(self.naps),
            BOOT=boot(),
            REST=str(rest),
            DECISION=str(wake.decision),
        )
        wake.tokmon('echo nap >>"$NAPS"\nexec /bin/sleep "$@"', wake.programs / "sleep")

    def times(self, path: Path) -> int:
        """How often the fake tokmon was asked, or a wake went to sleep."""
        return len(path.read_text().splitlines()) if path.exists() else 0

    def asking(self) -> Process:
        """A wake that is asking."""
        before = self.times(self.calls)
        process = self.wake.start()
        until(lambda: self.times(self.calls) > before)
        return process

    def waiting(self) -> Process:
        """A wake that waits for another."""
        before = self.times(self.naps)
        process = self.wake.start()
        until(lambda: self.times(self.naps) > before)
        return process


def until(condition: Callable[[], bool]) -> None:
    """Wait for it."""
    end = time.monotonic() + SLACK_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def crowd(wake: Wake) -> Crowd:
    """By every shell."""
    return Crowd(wake)


@pytest.fixture
def text_crowd(text_wake: Wake) -> Crowd:
    """By one."""
    return Crowd(text_wake)


def test_the_others_wait_for_the_one_that_asks(crowd: Crowd) -> None:
    crowd.wake.tokmon(WAITS + DECIDES)
    with alone():
        first = crowd.asking()
        others = [crowd.waiting() for _ in range(2)]
        crowd.go.touch()
        assert finished(first).line == "from-select itself"
        assert {finished(other).line for other in others} == {DECIDED}
    assert crowd.times(crowd.calls) == 1
    assert not crowd.wake.lock.exists()


def test_what_was_decided_while_a_wake_waited_counts_although_an_input_has_changed(crowd: Crowd) -> None:
    crowd.wake.tokmon(WAITS + NEXT_SECOND + DECIDES + f'touch -d "+1 hour" "{crowd.wake.config}"')
    with alone():
        first = crowd.asking()
        other = crowd.waiting()
        crowd.go.touch()
        assert (finished(first).line, finished(other).line) == ("from-select itself", DECIDED)
    assert crowd.times(crowd.calls) == 1


def test_where_the_one_that_asks_fails_the_next_asks(crowd: Crowd) -> None:
    crowd.wake.tokmon(f'[ -e "$GO" ] && echo {ASKED} && exit\n{WAITS}\nexit 1')
    with alone():
        first = crowd.asking()
        other = crowd.waiting()
        crowd.go.touch()
        assert (finished(first).line, finished(other).line) == (LAST, ASKED)
    assert not crowd.wake.lock.exists()


def test_a_decision_that_the_sidecar_makes_meanwhile_ends_the_waiting(text_crowd: Crowd) -> None:
    wake = text_crowd.wake
    wake.lock.write_text(f"{os.getpid()} {uptime() + 50}\n", encoding="ascii")
    process = text_crowd.waiting()
    wake.decide()
    wake.lock.unlink()
    assert finished(process).line == DECIDED
    assert not wake.lock.exists()


def test_a_wake_whose_time_is_over_takes_a_decision_that_others_hold_the_lock_for(text_crowd: Crowd) -> None:
    wake = text_crowd.wake
    wake.lock.write_text(f"{os.getpid()} {uptime() + 50}\n", encoding="ascii")
    wake.environment["TOKMON_DEADLINE_MS"] = "1000"
    process = text_crowd.waiting()
    wake.decide()
    assert finished(process).line == DECIDED


def test_of_thirty_at_once_one_asks(text_crowd: Crowd) -> None:
    text_crowd.wake.tokmon(WAITS + DECIDES)
    with alone():
        processes = [text_crowd.wake.start() for _ in range(30)]
        until(lambda: text_crowd.times(text_crowd.naps) > 10)
        text_crowd.go.touch()
        lines = [finished(process).line for process in processes]
    assert sorted(lines) == ["from-select itself"] + [DECIDED] * 29
    assert text_crowd.times(text_crowd.calls) == 1


def test_a_killed_wake_is_followed_by_one_of_those_that_wait(text_crowd: Crowd) -> None:
    text_crowd.wake.tokmon(f'[ -e "$GO" ] && {{\n{DECIDES}\nexit; }}\n{WAITS}')
    wake = text_crowd.wake
    with alone(allowed=True):
        first = text_crowd.asking()
        others = [text_crowd.waiting() for _ in range(10)]
        first.kill()
        text_crowd.go.touch()
        assert {finished(other).line for other in others} <= {DECIDED, "from-select itself"}
        first.communicate()
    assert not wake.lock.exists()


def test_a_wake_that_is_ended_while_it_asks_prints_a_line_and_removes_its_lock(crowd: Crowd) -> None:
    crowd.wake.tokmon(WAITS)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        crowd.wake.environment["TOKMON_DEADLINE_MS"] = "700"
        with alone():
            process = crowd.asking()
            assert crowd.wake.lock.exists()
            process.send_signal(number)
            assert finished(process).line == LAST
        assert not crowd.wake.lock.exists()


def test_a_wake_waits_no_longer_than_its_own_deadline(crowd: Crowd) -> None:
    lock = f"{os.getpid()} {uptime() + 50}\n"
    crowd.wake.lock.write_text(lock, encoding="ascii")
    run = crowd.wake.run(TOKMON_DEADLINE_MS="400")
    assert (run.line, run.remark[:51]) == (LAST, "budget-select: another wake did not decide in time:")
    assert crowd.wake.lock.read_text(encoding="ascii") == lock


@contextlib.contextmanager
def dead() -> Iterator[int]:
    """A process that has ended and whose parent does not know yet."""
    with subprocess.Popen(["true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        yield process.pid


def test_an_abandoned_lock_is_taken_over(crowd: Crowd) -> None:
    now, own = uptime(), os.getpid()
    with dead() as pid:
        for text in (
            f"{pid} {now + 50}\n",
            f"4194304 {now + 50}\n",
            f"{own} {now - 1}\n",
            f"{own} {now + 5000}\n",
            f"{own} 0{now + 50}\n",
            "rubbish\n",
            "",
        ):
            crowd.wake.lock.write_text(text, encoding="ascii")
            assert crowd.wake.line() == ASKED, text
            assert not crowd.wake.lock.exists()


def test_what_lies_where_the_lock_should_neither_hangs_nor_is_touched(crowd: Crowd) -> None:
    lock, other = crowd.wake.lock, crowd.wake.folder / "other"
    other.write_text("mine")
    lock.symlink_to(other)
    assert crowd.wake.line() == ASKED
    assert (lock.is_symlink(), other.read_text()) == (True, "mine")
    lock.unlink()
    lock.symlink_to(crowd.wake.folder / "nowhere")
    assert crowd.wake.line() == ASKED
    assert not (crowd.wake.folder / "nowhere").exists()
    lock.unlink()
    os.mkfifo(lock)
    assert crowd.wake.line() == ASKED
    assert lock.is_fifo()
    lock.unlink()
    lock.mkdir()
    assert crowd.wake.line() == ASKED
    assert lock.is_dir()


@pytest.mark.skipif(without_root() is not None, reason=str(without_root()))
def test_the_lock_of_another_user_is_none(crowd: Crowd) -> None:
    crowd.wake.lock.write_text(f"{os.getpid()} {uptime() + 50}\n", encoding="ascii")
    os.chown(crowd.wake.lock, 65534, 65534)
    assert crowd.wake.line() == ASKED


def test_a_wake_with_an_override_neither_waits_nor_is_waited_for(text_crowd: Crowd) -> None:
    text_crowd.wake.lock.write_text(f"{os.getpid()} {uptime() + 50}\n", encoding="ascii")
    for name in ("TOKMON_PIN", "TOKMON_RESUME", "TOKMON_SELECT_CHAIN"):
        assert text_crowd.wake.line(**{name: "x"}) == ASKED
    assert text_crowd.wake.lock.exists()
    text_crowd.wake.lock.unlink()
    text_crowd.wake.tokmon('ls "${DECISION%/*}" | grep -q lock && echo with lock || echo without lock')
    assert text_crowd.wake.line(TOKMON_PIN="x") == "without lock"
    assert text_crowd.wake.line() == "with lock"


def test_the_lock_lies_beside_the_decision_file(text_crowd: Crowd) -> None:
    wake, agent = text_crowd.wake, str(text_crowd.wake.folder / "agent")
    wake.tokmon('read -r pid until <"$LOCK" && echo "$pid" "$until"')
    own = wake.folder / "own decision"
    for lock, env in (
        (wake.lock, {}),
        (own.with_name("own decision.lock"), {"TOKMON_DECISION": str(own)}),
        (wake.state / "decision-ludo.lock", {"TOKMON_MEMBER": "ludo", "PI_CODING_AGENT_DIR": agent}),
    ):
        run = wake.run(env=env, LOCK=str(lock))
        assert run.line.split()[0] == str(run.pid)
        assert uptime() <= int(run.line.split()[1]) <= uptime() + 22


def test_where_no_lock_can_be_made_each_asks_by_itself(crowd: Crowd) -> None:
    crowd.wake.decision.unlink()
    crowd.wake.state.rmdir()
    assert crowd.wake.line() == ASKED
