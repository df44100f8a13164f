"""The sidecar as a service of the user's systemd: a socket that listens, and a service that it starts."""

import functools
import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Final

from tokmon.installer.user import files, running_sidecar, units
from tokmon.installer.user.plan import Step
from tokmon.installer.user.subprocesses import Done, capture, require
from tokmon.installer.user.writer import Writer
from tokmon.paths import Paths

_BOOTED: Final = Path("/run/systemd/system")


def is_booted() -> bool:
    """Whether this system runs systemd."""
    return _BOOTED.is_dir() and capture(["systemctl", "--version"]).returncode == 0


def is_reachable(env: MutableMapping[str, str]) -> bool:
    """Whether this user's manager answers; sets XDG_RUNTIME_DIR in `env` if it is missing, as under cron or su."""
    if not is_booted():
        return False
    runtime = f"/run/user/{os.getuid()}"
    if not env.get("XDG_RUNTIME_DIR") and Path(runtime).is_dir():
        env["XDG_RUNTIME_DIR"] = runtime
    return _systemctl("show-environment").returncode == 0


def _systemctl(*words: str) -> Done:
    return capture(["systemctl", "--user", *words])


def _property(name: str, *unit_names: str) -> str:
    return _systemctl("show", "--property", name, "--value", *unit_names).stdout.strip()


def _do(*words: str) -> None:
    require(["systemctl", "--user", "--quiet", *words], timeout=90)


def install(writer: Writer, folder: Path, texts: dict[str, str], paths: Paths, version: Path) -> Iterator[Step]:
    """Have the units as in `texts`, have the socket listen, and have no sidecar of another version than `version`."""
    written: list[Step] = []
    for name, text in texts.items():
        written += writer.file(folder / name, text.encode(), 0o644, lambda path: units.is_ours(files.text_of(path)))
    yield from written
    if written or not _listens():
        yield Step("have systemd listen for the sidecar (tokmon.socket)", lambda: _listen(paths))
        return
    pid = _property("MainPID", "tokmon.service")
    if pid.isdecimal() and int(pid):
        # The manager's groups are those of what it starts.
        reason = running_sidecar.reason_to_restart(int(pid), version, paths, parent_has_group=True)
        if reason is not None:
            yield Step(reason, lambda: _do("restart", "tokmon.service"))


def _listens() -> bool:
    return (
        "yes" not in _property("NeedDaemonReload", *units.NAMES)
        and _systemctl("--quiet", "is-enabled", "tokmon.socket").returncode == 0
        and _systemctl("--quiet", "is-active", "tokmon.socket").returncode == 0
    )


def _listen(paths: Paths) -> None:
    _systemctl("--quiet", "stop", *units.NAMES)
    pid = running_sidecar.running(paths)
    if pid is not None:
        # A sidecar that an extension started would remove the socket when it ends.
        running_sidecar.end(pid, paths)
    _do("daemon-reload")
    _systemctl("reset-failed", *units.NAMES)
    _do("enable", "--now", "tokmon.socket")


def without_systemd(paths: Paths, program: Path, version: Path) -> Iterator[Step]:
    """The extension starts the sidecar; but one of another version is replaced now."""
    pid = running_sidecar.running(paths)
    reason = None if pid is None else running_sidecar.reason_to_restart(pid, version, paths)
    if pid is not None and reason is not None:
        yield Step(reason, functools.partial(_replace, pid, paths, program))


def _replace(pid: int, paths: Paths, program: Path) -> None:
    running_sidecar.end(pid, paths)
    require([program, "sidecar", "--detach"], timeout=60)


def stop(folder: Path, paths: Paths, *, listed: bool) -> Iterator[Step]:
    """Have nothing listen, and the sidecar end once it has stored all; `listed`: the receipt has units."""
    if listed and is_reachable(os.environ):
        disable = functools.partial(_systemctl, "--quiet", "disable", "--now", *units.NAMES)
        yield Step("have systemd stop listening (tokmon.socket)", disable)
    wants = folder / "sockets.target.wants" / units.NAMES[0]
    if listed and wants.is_symlink():
        yield Step(f"remove {wants}", functools.partial(wants.unlink, missing_ok=True), wants)
    pid = running_sidecar.running(paths)
    if pid is not None and running_sidecar.is_outdated(pid, None):
        yield Step(f"end the sidecar (pid {pid})", functools.partial(running_sidecar.end, pid, paths))


def reload() -> None:
    """Have the manager forget units that have gone."""
    _systemctl("daemon-reload")
    _systemctl("reset-failed", *units.NAMES)
