"""The command line of `install`. What is not an option of it exits with 2 and a line that says so."""

import argparse
import os
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn

from tokmon.errors import UsageError
from tokmon.installer import places

SUMMARY: Final = "install, upgrade or complete tokmon, for the user who runs it or, as root, for every member"
_EPILOG: Final = """Asks nothing; run twice it changes nothing.

Also read: TOKMON_PREFIX, TOKMON_NO_SYSTEMD=1, TOKMON_PYTHON (the Python that install.sh uses), TOKMON_PI,
PI_CODING_AGENT_DIR, XDG_DATA_HOME, XDG_CONFIG_HOME, and pip's own PIP_… variables."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked for. `fleet`: as root for the members (`members`, or all), else for the user alone."""

    fleet: bool
    members: tuple[str, ...] = ()
    prefix: Path | None = None
    wheelhouse: Path | None = None
    origin: str | None = None
    version: str | None = None
    hook_dir: str | None = None
    systemd: bool = True
    dry_run: bool = False
    rollback: bool = False
    pi: str = "pi"
    given: tuple[str, ...] = field(default=())
    """The words that concern members, for the version that was installed: it does their part."""


class Parser(argparse.ArgumentParser):
    """One that raises UsageError."""

    def error(self, message: str) -> NoReturn:
        """Say what is off in one line."""
        raise UsageError(message, hint=f"`{self.prog} --help` lists the options")


def parse(words: list[str]) -> Options:
    """Read the command line of `install`. Raises UsageError."""
    found = _parser().parse_args(words)
    prefix = found.prefix or os.environ.get("TOKMON_PREFIX") or None
    systemd = not found.no_systemd and os.environ.get("TOKMON_NO_SYSTEMD", "0") in {"", "0"}
    pi = found.pi or os.environ.get("TOKMON_PI") or "pi"
    try:
        shlex.split(pi)
    except ValueError as error:
        raise UsageError(f"`{pi}` is no command: {error}", hint="say how to run pi with `--pi COMMAND`") from error
    if agent := os.environ.get("PI_CODING_AGENT_DIR"):
        places.absolute(agent, "PI_CODING_AGENT_DIR")
    if found.hook_dir and not found.hook_dir.startswith("~/"):
        places.absolute(found.hook_dir, "--hook-dir")
    fleet = _fleet(found)
    if found.rollback and (found.wheelhouse or found.origin or found.version):
        raise UsageError("`--rollback` goes to the version before this one", hint="leave out where to install from")
    if found.version and not (found.wheelhouse or found.origin == "index"):
        raise UsageError("`--version` chooses from an index or a wheelhouse", hint="add `--from index`")
    if found.wheelhouse and found.origin:
        raise UsageError("`--wheelhouse` and `--from` name two sources", hint="leave out one of them")
    given = [*(["--user"] if found.user else []), *(["--all"] if found.all else [])]
    given += [f"--member={each}" for each in found.member] + [f"--pi={pi}"]
    given += [f"--prefix={prefix}"] if prefix else []
    given += [f"--hook-dir={found.hook_dir}"] if found.hook_dir else []
    given += [] if systemd else ["--no-systemd"]
    return Options(
        fleet=fleet,
        members=tuple(found.member),
        prefix=places.absolute(prefix, "--prefix") if prefix else None,
        wheelhouse=Path(found.wheelhouse).absolute() if found.wheelhouse else None,
        origin=found.origin,
        version=found.version,
        hook_dir=found.hook_dir,
        systemd=systemd,
        dry_run=found.dry_run,
        rollback=found.rollback,
        pi=pi,
        given=tuple(given),
    )


def _fleet(found: argparse.Namespace) -> bool:
    """Whether it is for members, whom only root can set up."""
    asked = bool(found.all or found.member)
    if asked and found.user:
        raise UsageError("`--user` is for the user who runs this alone", hint="leave it out, or `--all` and `--member`")
    if asked and os.geteuid() != 0:
        raise UsageError("only root can set up other members", hint="run it as root, or leave out whom")
    if found.all and found.member:
        raise UsageError("`--all` has every member in it", hint="leave it out, or `--member`")
    return os.geteuid() == 0 and not found.user


def _parser() -> Parser:
    parser = Parser(
        prog="tokmon install",
        usage="bootstrap/install.sh [OPTION ...] | tokmon install [OPTION ...]",
        description=SUMMARY,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    whom = parser.add_argument_group("for whom")
    whom.add_argument("--user", action="store_true", help="for the user who runs it alone (the default, but for root)")
    whom.add_argument("--all", action="store_true", help="for everyone whose home holds a pi folder (root's default)")
    whom.add_argument(
        "--member",
        action="append",
        default=[],
        metavar="NAME[=DIR]",
        help="for this member, whose pi folder may be elsewhere; may be repeated",
    )
    what = parser.add_argument_group("which version")
    what.add_argument("--from", dest="origin", choices=("checkout", "index"), help="default: where this runs from")
    what.add_argument("--wheelhouse", metavar="DIR", help="from the wheels in DIR, each with its hash in SHA256SUMS")
    what.add_argument("--version", metavar="V", help="of an index or a wheelhouse; default: the newest")
    what.add_argument("--rollback", action="store_true", help="go back to the version before the current one")
    how = parser.add_argument_group("how")
    how.add_argument("--prefix", metavar="DIR", help="under DIR/share/tokmon and DIR/bin")
    how.add_argument("--hook-dir", metavar="DIR", help="the hook there as well; `~/…` is in each member's home")
    how.add_argument("--pi", metavar="COMMAND", help="how to run pi (default: $TOKMON_PI, then `pi`)")
    how.add_argument("--no-systemd", action="store_true", help="leave systemd alone: the extension starts the sidecar")
    how.add_argument("--dry-run", action="store_true", help="print what would be done, and change nothing")
    return parser
