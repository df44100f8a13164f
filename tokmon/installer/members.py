"""The members of a host: who they are, and `become`, by which root does a member's part as that member.

Root never opens a path inside a member's home, not even to look: whoever owns the home decides what its links
point to, and over a network root may see less than the member does. So discovery looks as the member, too.
"""

import os
import pwd
import re
import stat
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from tokmon.errors import UsageError
from tokmon.installer import child

_LOOK_S: Final = 20.0
PATIENCE_S: Final = 600.0

_PROGRAMS: Final = (
    ".local/bin",
    "bin",
    ".nvm/versions/node/*/bin",
    ".volta/bin",
    ".bun/bin",
    ".npm-global/bin",
    ".local/share/pnpm",
    ".local/share/mise/shims",
    ".asdf/shims",
)
"""Where members keep programs such as pi, below their home: a shell that nobody started would have said so."""

_SYSTEM: Final = ("/usr/local/bin", "/opt/homebrew/bin", "/usr/bin", "/bin")


@dataclass(frozen=True, slots=True)
class Member:
    """An agent identity: the account `name` and the folder `agent` that its pi uses."""

    name: str
    uid: int
    gid: int
    home: Path
    agent: Path

    @property
    def label(self) -> str:
        """How the member is named in what is printed, and would be named to `--member`."""
        return f"{self.name}={self.agent}" if self.relocated else self.name

    @property
    def relocated(self) -> bool:
        """Whether pi has to be told where its folder is."""
        return self.agent != usual_agent(self.home)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a member's part: the `answer` of the work, or the `problem` that ended it and a `hint`."""

    member: Member
    answer: object = None
    problem: str | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The members that were found, and the accounts of which it could not be seen whether they are some."""

    members: tuple[Member, ...]
    unseen: tuple[Outcome, ...]


def usual_agent(home: Path) -> Path:
    """Where pi keeps its folder unless PI_CODING_AGENT_DIR names another."""
    return home / ".pi" / "agent"


def oneself(environment: Mapping[str, str]) -> Member:
    """The user who runs this, at home where `environment` says. Raises UsageError if nobody knows the home."""
    uid = os.geteuid()
    home, agent = environment.get("HOME"), environment.get("PI_CODING_AGENT_DIR")
    try:
        account = pwd.getpwuid(uid)
    except KeyError:
        if not home:
            raise UsageError(f"user {uid} is not known to the system", hint="set HOME to an absolute path") from None
        account = pwd.struct_passwd((str(uid), "", uid, os.getegid(), "", home, ""))
    place = _absolute(home or account.pw_dir, "HOME")
    found = _absolute(agent, "PI_CODING_AGENT_DIR") if agent else usual_agent(place)
    return Member(account.pw_name, uid, os.getegid(), place, found)


def named(text: str) -> Member:
    """The member that `NAME` or `NAME=AGENT_DIR` names. Raises UsageError.

    Nothing is looked at: the agent folder need not be there yet, since who names it means it.
    """
    name, equals, agent = text.partition("=")
    try:
        account = pwd.getpwnam(name)
    except (KeyError, ValueError):  # ValueError: a name with a NUL
        raise UsageError(f"no such user: {name!r}", hint="`--member` takes NAME or NAME=AGENT_DIR") from None
    try:
        home = _absolute(account.pw_dir, "its home")
        place = _absolute(agent, "AGENT_DIR") if equals else usual_agent(home)
    except UsageError as error:
        raise UsageError(f"member `{name}`: {error}", hint=error.hint) from None
    return Member(name, account.pw_uid, account.pw_gid, home, place)


def _absolute(text: str, field: str) -> Path:
    # Normal, so that one folder has one name; control characters would forge a line of a unit or of the output.
    if not text.startswith("/") or not text.isprintable():
        raise UsageError(f"{field} is not an absolute path: {text!r}", hint="give one that starts with `/`")
    return Path(os.path.normpath("/" + text.lstrip("/")))


def discover(accounts: Iterable[pwd.struct_passwd] | None = None) -> Found:
    """Everybody whose home holds a pi agent folder, in the order of the accounts; those without a login too.

    The folder counts if it or the home is theirs: accounts that share `/` as their home are not members.
    Accounts with the same user id and home are one. Needs root, but for the account that runs this.
    """
    members: dict[tuple[int, Path], Member] = {}
    unseen: list[Outcome] = []
    seen: set[tuple[int, Path]] = set()
    for account in pwd.getpwall() if accounts is None else accounts:
        try:
            home = _absolute(account.pw_dir, "home")
        except UsageError:
            continue
        key = (account.pw_uid, home)
        if key in seen:
            continue
        seen.add(key)
        member = Member(account.pw_name, account.pw_uid, account.pw_gid, home, usual_agent(home))
        outcome = become(member, partial(_has_agent, member), patience_s=_LOOK_S)
        if outcome.problem is not None:
            unseen.append(outcome)
        elif outcome.answer is True:
            members[key] = member
    return Found(tuple(members.values()), tuple(unseen))


def _has_agent(member: Member) -> bool:
    try:
        found = member.agent.stat()
        owners = {found.st_uid, member.home.stat().st_uid}
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return False  # what its own account may not see is nobody's agent folder
    return stat.S_ISDIR(found.st_mode) and member.uid in owners


def become(
    member: Member,
    work: Callable[[], object],
    environment: Mapping[str, str] | None = None,
    *,
    patience_s: float = PATIENCE_S,
    say: Callable[[str], None] | None = None,
) -> Outcome:
    """Run `work` in a child process that is that member and nothing else, and hand back what it answers.

    The child has the member's user and groups and no way back, no terminal, no open file of ours, an empty stdin,
    `/` as its folder, the umask 077, and of our environment nothing but the language; `environment` is added to
    what a login would have given. Each line it writes goes to `say` (stdout unless given), with the member's label
    before it and control characters escaped. The answer must be JSON. Whatever happens to the child (an error, a
    signal, more than `patience_s` seconds) is the outcome of this member alone.

    Import what `work` needs beforehand: the member may not be able to read where it would be imported from. And
    let it print what it is about to do: if we are killed, the child ends with the next line that it prints.

    Raises UsageError if we are neither root nor that member.
    """
    if os.geteuid() not in {0, member.uid}:
        raise UsageError(f"only root can set up another user: `{member.name}`", hint="run this as root")

    def work_as_member() -> object:
        if os.geteuid() == 0:
            _change_to(member)
        os.environ.clear()
        os.environ.update(login(member) | dict(environment or {}))
        return work()

    def say_it(line: str) -> None:
        (say or _print)(f"{member.label}: {line}")

    language = {name: os.environ[name] for name in ("LANG", "LC_ALL") if name in os.environ}
    environment = {**language, **(environment or {})}
    end = child.run(work_as_member, patience_s, say_it)
    return Outcome(member, end.answer, end.problem, end.hint)


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _change_to(member: Member) -> None:
    os.initgroups(member.name, member.gid)
    # As root these set the real, the effective and the saved id.
    os.setgid(member.gid)
    os.setuid(member.uid)
    if member.uid == 0:
        return
    try:
        os.setuid(0)
    except OSError:
        return
    raise RuntimeError("the rights of root could not be given up")


def login(member: Member) -> dict[str, str]:
    """What a login would set for the member. To be called as the member: it looks into the home."""
    places = [str(place) for pattern in _PROGRAMS for place in _newest_first(member.home.glob(pattern))]
    variables = {
        "HOME": str(member.home),
        "USER": member.name,
        "LOGNAME": member.name,
        "SHELL": "/bin/sh",  # the account's own may be nologin
        "PATH": ":".join((*(place for place in places if ":" not in place), *_SYSTEM)),
    }
    runtime = Path("/run/user") / str(member.uid)
    if runtime.is_dir() and runtime.stat().st_uid == member.uid:
        variables["XDG_RUNTIME_DIR"] = str(runtime)
    if member.relocated:
        variables["PI_CODING_AGENT_DIR"] = str(member.agent)
    return variables


def _newest_first(places: Iterable[Path]) -> list[Path]:
    return sorted(places, key=lambda place: [int(number) for number in re.findall(r"[0-9]+", str(place))], reverse=True)
