"""Where everything lies. The only module that knows folder names, and standard library only (wake path).

Each rule reads the environment it is given, so a test or a command can ask "where would it be for them?".
The extension follows the same rules in TypeScript; `tests/test_paths.py` compares the two.
"""

import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tokmon.errors import StoreError, reason_of

FOLDER_MODE = 0o700
FILE_MODE = 0o600
HOST_POOL = Path("/var/lib/tokmon/pool")
_PACKAGE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Paths:
    """The paths of one member. `sockets` are tried in order; the sidecar listens on the first that can exist."""

    home: Path
    logs: Path
    state: Path
    config: Path
    agent: Path
    sockets: tuple[Path, ...]
    pool: Path

    @property
    def pool_is_shared(self) -> bool:
        """Whether the pool is root's, in which root's install makes the folders."""
        return self.pool == HOST_POOL

    @property
    def piggyback(self) -> Path:
        """One line per response seen by pi."""
        return self.logs / "piggyback.jsonl"

    @property
    def probe(self) -> Path:
        """One line per answer to a question of ours."""
        return self.logs / "probe.jsonl"

    @property
    def check(self) -> Path:
        """One line per pi check."""
        return self.logs / "check.jsonl"

    @property
    def usage(self) -> Path:
        """One line per billed thing."""
        return self.logs / "usage.jsonl"

    @property
    def decisions(self) -> Path:
        """One line per decision. It is no evidence of any account."""
        return self.logs / "decisions.jsonl"

    @property
    def spool(self) -> Path:
        """Captures kept by extensions while no sidecar listens (maildir: `tmp/`, `new/`)."""
        return self.state / "spool"

    @property
    def ids(self) -> Path:
        """The index of the ids that the logs hold or held, as far back as two weeks."""
        return self.state / "ids"

    @property
    def snapshot(self) -> Path:
        """The snapshot and the byte offsets it covers."""
        return self.state / "state.json"

    @property
    def lock(self) -> Path:
        """Held by the one sidecar of this member for as long as it lives."""
        return self.state / "sidecar.lock"

    @property
    def extension(self) -> Path:
        """Where pi loads tokmon's extension from: a link to a folder."""
        return self.agent / "extensions" / "tokmon"

    @property
    def old_extension(self) -> Path:
        """Where tokmon 0.1.0 put its extension, a single file."""
        return self.agent / "extensions" / "tokmon.ts"

    @property
    def models(self) -> Path:
        """Pi's own account configuration."""
        return self.agent / "models.json"


def find(env: Mapping[str, str] | None = None) -> Paths:
    """Resolve every path from `env` (the process environment unless given). Changes nothing."""
    env = os.environ if env is None else env
    home = Path(env.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111 - HOME may be unset
    state = _folder(env, "TOKMON_STATE_DIR", "XDG_STATE_HOME", home / ".local" / "state", "tokmon")
    return Paths(
        home=home,
        logs=Path(env.get("TOKMON_LOG_DIR") or home / ".logs" / "token-monitor"),
        state=state,
        config=_folder(env, "TOKMON_CONFIG_DIR", "XDG_CONFIG_HOME", home / ".config", "tokmon") / "config.toml",
        agent=Path(env.get("PI_CODING_AGENT_DIR") or home / ".pi" / "agent"),
        sockets=_sockets(env, state),
        pool=_pool(env, home),
    )


def _folder(env: Mapping[str, str], own: str, xdg: str, default: Path, name: str) -> Path:
    if env.get(own):
        return Path(env[own])
    base = env.get(xdg, "")
    return (Path(base) if base.startswith("/") else default) / name


def _pool(env: Mapping[str, str], home: Path) -> Path:
    """`TOKMON_POOL_DIR`, else the host's if root's install made it, else one for the identities of this user."""
    if env.get("TOKMON_POOL_DIR"):
        return Path(env["TOKMON_POOL_DIR"])
    # Not `is_dir`: it raises where a folder above cannot be entered.
    is_made = os.path.isdir(HOST_POOL)  # noqa: PTH112
    return HOST_POOL if is_made else home / ".local" / "share" / "tokmon-pool"


def _sockets(env: Mapping[str, str], state: Path) -> tuple[Path, ...]:
    """`TOKMON_SOCKET` alone if it is set; else the runtime folder, its usual place, then the state folder.

    A session woken by cron has no XDG_RUNTIME_DIR although the sidecar, started by systemd, has one: the
    usual place stands in for it.
    """
    if env.get("TOKMON_SOCKET"):
        return (Path(env["TOKMON_SOCKET"]),)
    runtime = env.get("XDG_RUNTIME_DIR", "")
    if not runtime.startswith("/"):
        runtime = f"/run/user/{os.getuid()}"
    return (Path(runtime) / "tokmon" / "sock", state / "sock")


def private_folder(path: Path) -> Path:
    """Make `path` (and parents) as a 0700 folder of ours, or raise StoreError if it is somebody else's."""
    try:
        path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        mode = path.lstat().st_mode
    except OSError as error:
        raise StoreError(
            f"cannot make the folder `{path}`: {reason_of(error)}",
            hint="check its owner and permissions, or choose another with the TOKMON_… variables",
        ) from error
    if not is_own_folder(path):
        raise StoreError(f"`{path}` is not a folder of this user", hint="move it away: tokmon follows no links there")
    if stat.S_IMODE(mode) & 0o077:
        path.chmod(FOLDER_MODE)
    return path


def is_own_folder(path: Path) -> bool:
    """Whether `path` is a folder of this user. A link to one is not: another user may have placed it."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()


def installed_prefix() -> Path | None:
    """The prefix of the installed program that runs (`versions/`, `current`, …); None outside of one."""
    versions = Path(sys.prefix).parent
    return versions.parent if versions.name == "versions" and versions.parent.name == "tokmon" else None


def shipped_folder(name: str, package: Path = _PACKAGE) -> Path:
    """The folder `extensions`, `hooks` or `bootstrap`: inside an installed package, else beside it in a checkout.

    StoreError where it is in neither place.
    """
    for folder in (package / "_shipped" / name, package.parent / name):
        if folder.is_dir():
            return folder
    raise StoreError(f"the folder `{name}` of tokmon is missing", hint="install tokmon again")
