"""The decision that is kept for as long as the same evidence gives it again: `decision.kept` in the state folder.

    tokmon-kept 1 VERSION INSTALLED BOOT ISSUED UNTIL CROSSING OFFSET PROVIDER MODEL EMERGENCY SPENDS
    state STAMP
    home FOLDER
    file STAMP PATH         the configuration, models.json, the file of checks and auth.json if they were needed
    logs FOLDER
    log STAMP NAME          each that holds evidence
    end

A stamp tells one state of a file from another without reading it. ISSUED and UNTIL are hundredths of a second since the
boot, OFFSET how far the wall clock was ahead of that: windows start afresh by the wall clock, and it may be set.

Who asks for a decision reads this before anything else, so it imports what every Python has loaded already, and has its
own, shorter form of the rules of `paths`. In any doubt there is no kept decision, and tokmon decides.
"""

import os
import stat
import time

from tokmon import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:  # without `typing`, which takes longer to import than all of this takes
    from collections.abc import Mapping

NAME = "decision.kept"
FORM = "tokmon-kept 1"
NO_EVIDENCE = frozenset({"decisions.jsonl"})
"""Of the logs."""

OVERRIDES = frozenset({"TOKMON_PIN", "TOKMON_RESUME", "BUDGET_SWITCH_THRESHOLD"})
"""And whatever begins with TOKMON_SELECT_."""

DEFAULTS = ("TOKMON_DEFAULT_PROVIDER", "VIGILIO_PROVIDER", "TOKMON_DEFAULT_MODEL")
_SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/@+-")
_LONGEST = 200
_LARGEST = 1 << 16
_AT_MOST = 3 * 3600 * 100
_DIGITS = 18
_MOST_LOGS = 200
_FIELDS = 13
_FILES = 4
_SET_BY = 200
"""Hundredths by which the wall clock may differ from what it would show: more, and somebody has set it."""

_NOBODY_ELSE = 0o022
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Places:
    """Where everything lies, as `paths.find` says it; ValueError where that takes more than the variables.

    Folders are compared as text, so one that can be written in two ways is as good as none.
    """

    def __init__(self, env: "Mapping[str, str]") -> None:
        self.home = _folder(env.get("HOME", ""))
        self.state = _folder(env.get("TOKMON_STATE_DIR") or self._based(env, "XDG_STATE_HOME", ".local/state"))
        self.logs = _folder(env.get("TOKMON_LOG_DIR") or f"{self.home}/.logs/token-monitor")
        config = _folder(env.get("TOKMON_CONFIG_DIR") or self._based(env, "XDG_CONFIG_HOME", ".config"))
        agent = _folder(env.get("PI_CODING_AGENT_DIR") or f"{self.home}/.pi/agent")
        self.files = [f"{config}/config.toml", f"{agent}/models.json"]
        runtime = env.get("XDG_RUNTIME_DIR", "")
        runtime = runtime if runtime.startswith("/") else f"/run/user/{os.getuid()}"
        folder = f"{runtime}/tokmon" if os.path.isdir(runtime) else self.state
        self.decision = env.get("TOKMON_DECISION") or f"{folder}/decision"

    def _based(self, env: "Mapping[str, str]", name: str, default: str) -> str:
        base = env.get(name, "")
        return (base if base.startswith("/") else f"{self.home}/{default}") + "/tokmon"

    @property
    def kept(self) -> str:
        """The file."""
        return f"{self.state}/{NAME}"


def _folder(path: str) -> str:
    found = os.path.normpath(path)
    if not path.startswith("/") or found.startswith("//") or found == "/" or "\n" in path or ".." in path.split("/"):
        raise ValueError
    return found


class Kept:
    """A kept decision. Times in hundredths of a second since the boot, `crossing` in seconds."""

    def __init__(self, header: str, body: str) -> None:
        """Take the file apart; ValueError if it is not one."""
        words = header.split(" ")
        if len(words) != _FIELDS or " ".join(words[:2]) != FORM or not all(map(plain, words)):
            raise ValueError
        self.version, self.installed, self.boot = words[2:5]
        self.issued, self.until, self.crossing, self.offset = map(number, words[5:9])
        self.provider, self.model = words[9:11]
        self.emergency, self.spends = map(("no", "yes").index, words[11:])
        self.body = body
        if not self.issued < self.until <= self.issued + _AT_MOST:
            raise ValueError

    def holds(self, boot: str, now: int) -> bool:
        """Whether it is of this boot, of this tokmon and of now, and no clock was set."""
        return (
            (self.version, self.installed, self.boot) == (__version__, INSTALLED, boot)
            and self.issued <= now < self.until
            and abs(wall() - now - self.offset) <= _SET_BY
        )

    def unchanged(self, places: Places) -> bool:
        """Whether the evidence is what it was."""
        files = [line.split(" ", 6)[6] for line in self.body.split("\n") if line.startswith("file ")]
        return (
            len(files) <= _FILES
            and files[:2] == places.files
            and self.body == body(places.state, places.home, file_stamps(files), log_stamps(places.logs))
        )


def find(places: Places, boot: str, now: int) -> Kept | None:
    """The decision that is kept, if it holds now and is the last one that was given."""
    try:
        head, rest = own(places.kept, _LARGEST).split("\n", 1)
        kept = Kept(head, rest.removesuffix("end\n") if rest.endswith("\nend\n") else "")
        last = own(f"{places.state}/decision.last", _LARGEST).split(" ")
        given = [*last[:1], *last[5:]] == ["tokmon-decision", kept.provider, kept.model, "end\n"]
        if given and kept.holds(boot, now) and kept.unchanged(places):
            return kept
    except (OSError, ValueError, LookupError):
        pass
    return None


def overridden(env: "Mapping[str, str]") -> bool:
    """Whether the environment asks for another choice than the usual one, or for something that cannot be."""
    if any(env[name] for name in env if name in OVERRIDES or name.startswith("TOKMON_SELECT_")):
        return True
    return not all(plain(env.get(name) or "-") for name in DEFAULTS)


def text(header: list[object], rest: str) -> str:
    """The file, from all of the fields behind INSTALLED; ValueError for what could not be read again."""
    head = " ".join([FORM, __version__, INSTALLED, *map(str, header)])
    Kept(head, rest)
    if len(rest) > _LARGEST // 4:
        raise ValueError
    return f"{head}\n{rest}end\n"


def body(state: str, home: str, files: str, logs: str) -> str:
    """What must be unchanged."""
    return f"state {stamp(f'{state}/state.json')}\nhome {home}\n{files}{logs}"


def file_stamps(files: list[str]) -> str:
    """A line for each file; ValueError or OSError where that cannot be told."""
    return "".join(f"file {stamp(path)} {_line(path)}\n" for path in files)


def log_stamps(folder: str) -> str:
    """A line for the folder and for each log in it that holds evidence (`state.evidence_logs`)."""
    try:
        found = sorted(name for name in os.listdir(folder) if name.endswith(".jsonl") and name not in NO_EVIDENCE)
    except FileNotFoundError:
        found = []
    if len(found) > _MOST_LOGS:
        raise ValueError
    return f"logs {folder}\n" + "".join(f"log {stamp(f'{folder}/{name}')} {_line(name)}\n" for name in found)


def stamp(path: str) -> str:
    """What tells one state of a file from another: five numbers, zeros where there is none."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return "0 0 0 0 0"
    return f"{found.st_dev} {found.st_ino} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"


def _line(text: str) -> str:
    if "\n" in text:
        raise ValueError
    return text


def clock() -> tuple[str, int] | None:
    """Which boot this is, and hundredths of a second since; None where the machine does not say (macOS)."""
    try:
        seconds, hundredths = _read("/proc/uptime", 100).split()[0].split(".")
        boot = _read("/proc/sys/kernel/random/boot_id", 100).strip()
        return (boot, number(seconds) * 100 + number(hundredths)) if len(hundredths) == len("00") else None
    except (OSError, ValueError, LookupError):
        return None


def wall() -> int:
    """Hundredths of a second of the clock on the wall."""
    return int(time.time() * 100)


def _read(path: str, most: int) -> str:
    fd = os.open(path, _READ)
    try:
        return os.fsdecode(os.read(fd, most))
    finally:
        os.close(fd)


def own(path: str, most: int) -> str:
    """A small file that nobody but this user can have written; ValueError or OSError otherwise."""
    fd = os.open(path, _READ)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & _NOBODY_ELSE:
            raise ValueError
        data = os.read(fd, most + 1)
        if len(data) > most:
            raise ValueError
        return os.fsdecode(data)
    finally:
        os.close(fd)


def plain(name: str) -> bool:
    """Whether it can be a provider or a model for the hook too."""
    return 0 < len(name) <= _LONGEST and _SAFE.issuperset(name)


def number(text: str) -> int:
    """A whole number in plain digits."""
    if not (text.isascii() and text.isdigit()) or len(text) > _DIGITS:
        raise ValueError
    return int(text)


INSTALLED = stamp(__file__).replace(" ", ".")
"""Which installation this is: one that is replaced may decide otherwise under the same version."""
