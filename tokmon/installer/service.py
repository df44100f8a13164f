"""The sidecar as a service of the member's systemd: a socket that listens, and a service that it starts."""

import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Final

from tokmon.installer import files, running, sidecars, units
from tokmon.installer.placing import Placing
from tokmon.installer.plan import Step
from tokmon.paths import Paths

_BOOTED: Final = Path("/run/systemd/system")
_LINGERING: Final = Path("/var/lib/systemd/linger")


def booted() -> bool:
    """Whether this system runs systemd."""
    return _BOOTED.is_dir() and running.ask(["systemctl", "--version"]).returncode == 0


def reachable(env: MutableMapping[str, str]) -> bool:
    """Whether the user manager of whoever runs this answers; `env` is told where, as when cron or su runs this."""
    if not booted():
        return False
    runtime = f"/run/user/{os.getuid()}"
    if not env.get("XDG_RUNTIME_DIR") and Path(runtime).is_dir():
        env["XDG_RUNTIME_DIR"] = runtime
    return _systemctl("show-environment").returncode == 0


def _systemctl(*words: str) -> running.Done:
    return running.ask(["systemctl", "--user", *words])


def _shown(what: str, *names: str) -> str:
    return _systemctl("show", "--property", what, "--value", *names).stdout.strip()


def _do(*words: str) -> None:
    running.ensure(["systemctl", "--user", "--quiet", *words], timeout=90)


def install(placing: Placing, folder: Path, texts: dict[str, str], found: Paths, version: Path) -> Iterator[Step]:
    """Have the units as `texts` say, have the socket listen, and have no sidecar of another version than `version`."""
    written: list[Step] = []
    for name, text in texts.items():
        path = folder / name
        written += placing.file(path, text.encode(), 0o644, lambda path: units.is_ours(files.text_of(path)))
    yield from written
    if written or not _listens():
        yield Step("have systemd listen for the sidecar (tokmon.socket)", lambda: _listen(found))
        return
    pid = _shown("MainPID", "tokmon.service")
    if pid.isdecimal() and int(pid) and sidecars.outdated(int(pid), version):
        yield Step("start the sidecar again, with the new version", lambda: _do("restart", "tokmon.service"))


def _listens() -> bool:
    return (
        "yes" not in _shown("NeedDaemonReload", *units.NAMES)
        and _systemctl("--quiet", "is-enabled", "tokmon.socket").returncode == 0
        and _systemctl("--quiet", "is-active", "tokmon.socket").returncode == 0
    )


def _listen(found: Paths) -> None:
    _systemctl("--quiet", "stop", *units.NAMES)
    pid = sidecars.answering(found)
    if pid is not None:
        # One that an extension started would take its socket away with it when it ends.
        sidecars.end(pid, found)
    _do("daemon-reload")
    _systemctl("reset-failed", *units.NAMES)
    _do("enable", "--now", "tokmon.socket")


def needs_linger(name: str, uid: int) -> bool:
    """Whether a user has no manager for want of a login: sessions of theirs are woken without one."""
    if not booted() or (_LINGERING / name).exists():
        return False
    return running.ask(["systemctl", "is-active", "--quiet", f"user@{uid}.service"]).returncode != 0


def linger(name: str, uid: int) -> None:
    """Have a user's manager run without a login, from now on. As root."""
    running.ensure(["loginctl", "enable-linger", name], timeout=60)
    running.ensure(["systemctl", "start", f"user@{uid}.service"], timeout=60)


def stop_lingering(name: str) -> None:
    """Have a user's manager end with their last login again. As root."""
    running.ensure(["loginctl", "disable-linger", name], timeout=60)


def remove() -> None:
    """Stop listening, and stop the sidecar once it has stored all."""
    _systemctl("--quiet", "disable", "--now", *units.NAMES)


def reload() -> None:
    """Have the manager forget units that have gone."""
    _systemctl("daemon-reload")
    _systemctl("reset-failed", *units.NAMES)


def without(found: Paths, program: Path, version: Path) -> Iterator[Step]:
    """Without systemd the extension starts the sidecar; but one of another version is replaced now."""
    pid = sidecars.answering(found)
    if pid is None or not sidecars.outdated(pid, version):
        return

    def replace() -> None:
        sidecars.end(pid, found)
        running.ensure([program, "sidecar", "--detach"], timeout=60)

    yield Step("start the sidecar again, with the new version", replace)
