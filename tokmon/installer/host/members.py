"""The members of a host: the accounts whose home holds a pi folder, and those that are named.

Root never opens a path inside a member's home, not even to look: its owner decides what the links there point to, and
over a network root may see less than the member does. So each home is looked at as the account that it belongs to.
"""

import contextlib
import os
import pwd
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tokmon.errors import InstallError, UsageError
from tokmon.installer.host.run_as import UnixAccount, run_as

_PATIENCE_S: Final = 20.0
_IS_MEMBER: Final = 0
_IS_NONE: Final = 3
_LOOK: Final = f"""
import os, stat, sys
try:
    agent, home = map(os.stat, sys.argv[1:])
except (FileNotFoundError, NotADirectoryError, PermissionError):
    sys.exit({_IS_NONE})  # what its own account may not see is nobody's agent folder
owned = os.getuid() in (agent.st_uid, home.st_uid)
sys.exit({_IS_MEMBER} if stat.S_ISDIR(agent.st_mode) and owned else {_IS_NONE})
"""


@dataclass(frozen=True, slots=True)
class HostMember:
    """An agent identity: an account, and the folder `agent` that its pi uses."""

    account: UnixAccount
    agent: Path

    @property
    def label(self) -> str:
        """How the member is named in what is printed, and would be named to `--member`."""
        return f"{self.account.name}={self.agent}" if self.is_relocated else self.account.name

    @property
    def is_relocated(self) -> bool:
        """Whether pi has to be given its folder in PI_CODING_AGENT_DIR."""
        return self.agent != usual_agent(self.account.home)

    @property
    def environment(self) -> dict[str, str]:
        """What pi and tokmon need to find that folder."""
        return {"PI_CODING_AGENT_DIR": str(self.agent)} if self.is_relocated else {}


@dataclass(frozen=True, slots=True)
class Discovery:
    """The members, and why it could not be told whether some accounts are members, by their names."""

    members: tuple[HostMember, ...]
    problems: dict[str, InstallError]


def usual_agent(home: Path) -> Path:
    """Where pi keeps its folder unless PI_CODING_AGENT_DIR names another."""
    return home / ".pi" / "agent"


def named(text: str) -> HostMember:
    """Return the member that `NAME` or `NAME=AGENT_DIR` names. Raises UsageError.

    Nothing is looked at: the agent folder need not exist yet, since a person named it.
    """
    name, equals, agent = text.partition("=")
    try:
        entry = pwd.getpwnam(name)
    except (KeyError, ValueError):  # ValueError: a name with a NUL
        raise UsageError(f"no such user: {name!r}", hint="`--member` takes NAME or NAME=AGENT_DIR") from None
    try:
        home = _absolute(entry.pw_dir, "its home")
        place = _absolute(agent, "AGENT_DIR") if equals else usual_agent(home)
    except UsageError as error:
        raise UsageError(f"member `{name}`: {error}", hint=error.hint) from None
    return HostMember(UnixAccount(name, entry.pw_uid, entry.pw_gid, home), place)


def accounts_of(labels: Iterable[str]) -> dict[str, UnixAccount]:
    """The accounts of members that were named before, by their names; those that have gone are left out."""
    accounts: dict[str, UnixAccount] = {}
    for label in labels:
        with contextlib.suppress(UsageError):
            account = named(label).account
            accounts[account.name] = account
    return accounts


def _absolute(text: str, field: str) -> Path:
    # Normal, so that one folder has one name; control characters would forge a line of a unit or of the output.
    if not text.startswith("/") or not text.isprintable():
        raise UsageError(f"{field} is not an absolute path: {text!r}", hint="give a path that starts with `/`")
    return Path(os.path.normpath("/" + text.lstrip("/")))


def discover(python: str | Path, entries: Iterable[pwd.struct_passwd] | None = None) -> Discovery:
    """Find every account whose home holds a pi agent folder, in the order of the accounts; also those without a login.

    The folder counts if it or the home belongs to the account: accounts that share `/` as their home are not members.
    Accounts with the same user id and home are one. Needs root; every account must be able to run `python`.
    """
    members: list[HostMember] = []
    problems: dict[str, InstallError] = {}
    known: set[tuple[int, Path]] = set()
    for entry in pwd.getpwall() if entries is None else entries:
        try:
            account = UnixAccount(entry.pw_name, entry.pw_uid, entry.pw_gid, _absolute(entry.pw_dir, "home"))
        except UsageError:
            continue
        if (account.uid, account.home) in known:
            continue
        known.add((account.uid, account.home))
        agent = usual_agent(account.home)
        done = run_as(account, [python, "-I", "-S", "-c", _LOOK, agent, account.home], timeout_s=_PATIENCE_S)
        if done.problem is None and done.code == _IS_MEMBER:
            members.append(HostMember(account, agent))
        elif done.problem is not None or done.code != _IS_NONE:
            why = done.problem or (done.stderr.splitlines() or ["no reason was given"])[-1]
            problems[account.name] = InstallError(f"cannot look into its home: {why}")
    return Discovery(tuple(members), problems)
