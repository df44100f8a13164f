"""The command lines of `install` and `uninstall`. A word that is no option of them exits with 2."""

import argparse
import grp
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tokmon.errors import UsageError
from tokmon.installer.user.layout import absolute, own_prefix
from tokmon.report.arguments import Parser

INSTALL: Final = "install or upgrade tokmon, for one user or for every member of the host"
UNINSTALL: Final = "uninstall tokmon"
_INSTALL_MORE: Final = """Asks no questions; a second run changes nothing.

Variables: TOKMON_PREFIX, TOKMON_NO_SYSTEMD=1, TOKMON_PYTHON (the Python that install.sh uses), TOKMON_PI,
PI_CODING_AGENT_DIR, XDG_DATA_HOME, XDG_CONFIG_HOME, and pip's own PIP_… variables.

examples:
  bootstrap/install.sh --dry-run
  tokmon install --from index --version 1.2.3
  tokmon install --rollback"""
_UNINSTALL_MORE: Final = """Files that were changed since they were installed are left, and named.

examples:
  tokmon uninstall --dry-run
  tokmon uninstall --purge"""


@dataclass(frozen=True, slots=True)
class Options:
    """What to install or remove. `host`: as root for members (`member`, or all), else for the user alone.

    `here`: this is the part of one member, run by root as that member, whose systemd `lingers` in the end, and whose
    `identity_key` comes on standard input. `pool_group` is None to leave it as it is, and empty for no group.
    """

    host: bool
    member: tuple[str, ...] = ()
    prefix: Path | None = None
    wheelhouse: Path | None = None
    origin: str | None = None
    version: str | None = None
    rollback: bool = False
    hook_dir: str | None = None
    pi: str = "pi"
    systemd: bool = True
    purge: bool = False
    yes: bool = False
    dry_run: bool = False
    here: bool = False
    lingers: bool = False
    identity_key: bool = False
    pool_group: str | None = None

    def for_a_user(self) -> list[str]:
        """The options that concern a user's part."""
        words = [f"--pi={self.pi}", *([] if self.systemd else ["--no-systemd"])]
        return [*words, *([f"--hook-dir={self.hook_dir}"] if self.hook_dir else [])]

    def for_the_new_version(self) -> list[str]:
        """The command line by which the version that was made does the rest."""
        words = [f"--member={label}" for label in self.member] if self.host else ["--user"]
        if self.pool_group is not None:
            words.append(f"--pool-group={self.pool_group}" if self.pool_group else "--no-pool-group")
        return [*words, *self.for_a_user(), *([f"--prefix={self.prefix}"] if self.prefix else [])]


def parse_install(words: list[str]) -> Options:
    """Read the command line of `install`. Raises UsageError."""
    parsed = _install_parser().parse(words)
    parsed.pi = parsed.pi or os.environ.get("TOKMON_PI") or "pi"
    parsed.systemd = parsed.systemd and os.environ.get("TOKMON_NO_SYSTEMD", "0") in {"", "0"}
    parsed.wheelhouse = Path(parsed.wheelhouse).absolute() if parsed.wheelhouse else None
    _check(parsed)
    parsed.host = _is_for_host(parsed)
    _check_group(parsed)
    return _options(parsed)


def parse_uninstall(words: list[str]) -> Options:
    """Read the command line of `uninstall`. Raises UsageError."""
    parsed = _uninstall_parser().parse(words)
    parsed.host = _is_for_host(parsed)
    return _options(parsed)


def _options(parsed: argparse.Namespace) -> Options:
    values: dict[str, Any] = {name: value for name, value in vars(parsed).items() if name not in {"user", "all"}}
    prefix = parsed.prefix or os.environ.get("TOKMON_PREFIX") or None
    # A member's part lies in their home, wherever root's program lies.
    values["prefix"] = None if parsed.here else absolute(prefix, "--prefix") if prefix else own_prefix()
    return Options(**values | {"member": tuple(parsed.member)})


def _check(parsed: argparse.Namespace) -> None:
    """Refuse what cannot be, and options that contradict each other."""
    try:
        shlex.split(parsed.pi)
    except ValueError as error:
        raise UsageError(f"`{parsed.pi}` is no command: {error}", hint="name pi with `--pi COMMAND`") from error
    if agent := os.environ.get("PI_CODING_AGENT_DIR"):
        absolute(agent, "PI_CODING_AGENT_DIR")
    if parsed.hook_dir and not parsed.hook_dir.startswith("~/"):
        absolute(parsed.hook_dir, "--hook-dir")
    if parsed.version and not (parsed.wheelhouse or parsed.origin == "index"):
        raise UsageError("`--version` chooses from an index or a wheelhouse", hint="add `--from index`")


def _check_group(parsed: argparse.Namespace) -> None:
    """Refuse a group of the pool that there is not, and one where no pool is made."""
    if parsed.pool_group is None:
        return
    if not parsed.host:
        raise UsageError(
            "`--pool-group` is for root's install for every member", hint="run it as root, without `--user`"
        )
    try:
        if parsed.pool_group:
            grp.getgrnam(parsed.pool_group)
    except (KeyError, ValueError):  # ValueError: a name with a NUL
        hint = f"`groupadd {parsed.pool_group}` makes it; `--no-pool-group` lets every local user read"
        raise UsageError(f"there is no group `{parsed.pool_group}`", hint=hint) from None


def _is_for_host(parsed: argparse.Namespace) -> bool:
    """Whether it is for members, whom only root can set up."""
    if os.geteuid() != 0 and (parsed.member or getattr(parsed, "all", False)):
        raise UsageError("only root can set up other members", hint="run it as root, or leave out `--all`, `--member`")
    return os.geteuid() == 0 and not parsed.user


def _install_parser() -> Parser:
    usage = "bootstrap/install.sh [OPTION ...] | tokmon install [OPTION ...]"
    parser = Parser("install", INSTALL, _INSTALL_MORE, usage)
    users = parser.add_argument_group("for which users").add_mutually_exclusive_group()
    users.add_argument("--all", action="store_true", help="every user whose home holds a pi folder (default for root)")
    version = parser.add_argument_group("which version")
    source = version.add_mutually_exclusive_group()
    source.add_argument("--from", dest="origin", choices=("checkout", "index"), help="default: where this runs from")
    source.add_argument("--wheelhouse", metavar="DIR", help="the wheels in DIR, each with its hash in SHA256SUMS")
    source.add_argument("--rollback", action="store_true", help="go back to the version before the current one")
    version.add_argument("--version", metavar="V", help="a version of the index or wheelhouse; default: the newest")
    how = parser.add_argument_group("how")
    how.add_argument("--hook-dir", metavar="DIR", help="put the hook into DIR too; `~/…` is in each member's home")
    how.add_argument("--pi", metavar="COMMAND", help="how to run pi (default: $TOKMON_PI, then `pi`)")
    how.add_argument(
        "--no-systemd",
        dest="systemd",
        action="store_false",
        help="without systemd: the extension starts the sidecar",
    )
    how.add_argument("--lingers", action="store_true", help=argparse.SUPPRESS)
    how.add_argument("--identity-key", action="store_true", help=argparse.SUPPRESS)
    pool = parser.add_argument_group("who can read what members share").add_mutually_exclusive_group()
    pool.add_argument("--pool-group", metavar="NAME", help="as root: only members of this group; stays until changed")
    pool.add_argument(
        "--no-pool-group",
        dest="pool_group",
        action="store_const",
        const="",
        help="as root: every local user again (the default of a first install)",
    )
    _add_common(users, how)
    return parser


def _uninstall_parser() -> Parser:
    parser = Parser("uninstall", UNINSTALL, _UNINSTALL_MORE)
    parser.add_argument("--purge", action="store_true", help="remove the logs and the state too; asks first")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    _add_common(parser.add_mutually_exclusive_group(), parser)
    return parser


def _add_common(users: argparse._ActionsContainer, how: argparse._ActionsContainer) -> None:
    users.add_argument("--user", action="store_true", help="only the user who runs it (default, except for root)")
    users.add_argument(
        "--member",
        action="append",
        default=[],
        metavar="NAME[=DIR]",
        help="as root: this member, whose pi folder is DIR (default: ~/.pi/agent); may be repeated",
    )
    how.add_argument("--prefix", metavar="DIR", help="the program is in DIR/share/tokmon and DIR/bin")
    how.add_argument("--dry-run", action="store_true", help="print what would be done, and change nothing")
    how.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
