"""One user's part, run as that user: the hook, a first configuration, the extension, and how the sidecar is started."""

import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tokmon import paths
from tokmon.errors import InstallError
from tokmon.installer.user import files, identity_key, systemd, units
from tokmon.installer.user.layout import UserPaths
from tokmon.installer.user.options import Options
from tokmon.installer.user.plan import Step, say
from tokmon.installer.user.program import is_our_link
from tokmon.installer.user.receipt import Receipt
from tokmon.installer.user.subprocesses import Done, capture
from tokmon.installer.user.writer import Writer
from tokmon.pi import extension
from tokmon.pool.key import FILE as KEY_FILE

HOOK: Final = "budget-select"
_FROM_OLDER: Final = ("decision.last", "decision.backups", "pi.json")
"""Files of the state folder that only older versions read."""


@dataclass(frozen=True, slots=True)
class UserSetup:
    """What one user gets. `version` is the environment that is in use in the end, and `prefix` that of its program.

    The prefix is None where the program came by other means than this installer. A program that is not the user's own
    (`is_own`) is linked to in their home. `key` is the host's identity key, where root installs for its members.
    """

    home: UserPaths
    prefix: Path | None
    version: Path
    options: Options
    receipt: Receipt
    is_own: bool = True
    key: bytes | None = None

    @property
    def program(self) -> Path:
        """What others call, of whichever version."""
        return (self.version if self.prefix is None else self.prefix / "current") / "bin" / "tokmon"

    @property
    def linked(self) -> bool:
        """Whether the home gets a link to the program."""
        return self.prefix is not None and not self.is_own

    def check(self) -> None:
        """Say what cannot be written before anything is."""
        hint = "its owner can fix that"
        extensions = self.home.tokmon.agent / "extensions"
        files.check(self.home.program.prefix, hint)
        files.check(extensions, f"{hint}; PI_CODING_AGENT_DIR names another")
        for path in (*self._scripts(), self.home.tokmon.config, *([self.home.program.link] if self.linked else [])):
            files.check(path.parent, hint)

    def steps(self) -> Iterator[Step]:
        """What has to be done, in order."""
        writer = Writer(self.receipt)
        if self.linked:
            yield from writer.link(self.home.program.link, str(self.program), is_our_link)
        for path, content in self._scripts().items():
            yield from writer.file(path, content, 0o755)
        yield from self._configuration(writer)
        yield from self._extension(writer)
        yield from self._agent()
        if self.key is not None:
            yield from identity_key.steps(self.home.tokmon.state / KEY_FILE, self.key)
        yield from self._from_older()
        yield from self._sidecar(writer)

    def _scripts(self) -> dict[Path, bytes]:
        """The hook and, beside it, the scripts to copy; in `--hook-dir` the hook alone: a `beat.sh` there is theirs."""
        bootstrap = paths.shipped_folder("bootstrap")
        hook = (paths.shipped_folder("hooks") / HOOK).read_bytes()
        scripts = {self.home.hooks / HOOK: hook}
        scripts |= {self.home.hooks / name: (bootstrap / name).read_bytes() for name in ("beat.sh", "token-status")}
        if folder := self.options.hook_dir:
            place = self.home.home / folder[2:] if folder.startswith("~/") else Path(folder)
            scripts[place / HOOK] = hook
        return scripts

    def _can_run(self) -> bool:
        """Whether the version can be run; in a dry run it may not be there yet."""
        return (self.version / "bin" / "tokmon").is_file()

    def run(self, *words: str) -> Done:
        """Run the version."""
        return capture([self.version / "bin" / "tokmon", *words])

    def _configuration(self, writer: Writer) -> Iterator[Step]:
        target = self.home.tokmon.config
        if os.path.lexists(target):
            return
        if not self._can_run():
            yield Step(f"write {target}", _never_applied, target)
            return
        done = self.run("config")
        if done.returncode != 0:
            say(f"no configuration was written: {_first_line(done)}")
            return
        yield from writer.file(target, done.stdout.encode(), 0o600)

    def _extension(self, writer: Writer) -> Iterator[Step]:
        """The link by which pi loads the extension. The file of an older tokmon goes first: pi must not load both."""
        link, old = self.home.tokmon.extension, self.home.tokmon.old_extension
        if extension.is_own(old):
            yield Step(f"remove {old}, which {link} replaces", lambda: self._remove_old(old), old)
        elif os.path.lexists(old):
            say(f"{old} is not tokmon's: it is left")
        if link.is_dir() and not link.is_symlink() and extension.is_own(link):
            yield Step(f"remove the copy {link}", lambda: files.remove_tree(link), link)
        target = extension.source() if self.prefix is None else self.prefix / "current" / "extensions" / "tokmon"
        yield from writer.link(link, str(target), extension.is_own)

    def _remove_old(self, old: Path) -> None:
        files.trust(old.parent)
        entry = self.receipt.files.get(str(old))
        if entry is not None and not entry.backups:
            # First, so that a killed install leaves a file that the next one knows by its content.
            del self.receipt.files[str(old)]
            self.receipt.save()
        files.remove_tree(old)

    def _agent(self) -> Iterator[Step]:
        agent = str(self.home.tokmon.agent)
        if agent not in self.receipt.agents:

            def record() -> None:
                self.receipt.agents.append(agent)
                # The decision will be put there.
                self.receipt.record_folders(self.home.tokmon.state)
                self.receipt.save()

            yield Step(f"record the agent folder {agent}", record, self.receipt.path)

    def _from_older(self) -> Iterator[Step]:
        """Remove what an older version left that nothing reads any more."""
        state = self.home.tokmon.state
        folders = {socket.parent for socket in self.home.tokmon.sockets if socket.parent.name == "tokmon"} - {state}
        for path in (*(state / name for name in _FROM_OLDER), *(folder / "decision" for folder in sorted(folders))):
            if path.is_file():
                yield Step(f"remove {path}, which an older version left", functools.partial(path.unlink), path)

    def _sidecar(self, writer: Writer) -> Iterator[Step]:
        if not self.options.systemd or not (systemd.is_reachable(os.environ) or self.options.lingers):
            say("without systemd: the extension starts the sidecar with the first session")
            yield from systemd.without_systemd(self.home.tokmon, self.program, self.version)
            return
        files.check(self.home.units, "its owner can fix that; `--no-systemd` does without")
        env = dict(os.environ)
        # Identities that share an account share its sidecar: it keeps to the agent folder that came first.
        agent = next((path for path in self.receipt.agents if Path(path).is_dir()), str(self.home.tokmon.agent))
        env["PI_CODING_AGENT_DIR"] = "" if Path(agent) == self.home.home / ".pi" / "agent" else agent
        texts = {name: units.text(name, self.program, env) for name in units.NAMES}
        yield from systemd.install(writer, self.home.units, texts, self.home.tokmon, self.version)


def _first_line(done: Done) -> str:
    return (done.stderr.strip().splitlines() or ["no answer"])[0].removeprefix("error: ")


def _never_applied() -> None:
    raise InstallError("a step of a dry run was taken", hint="this is a fault of the installer: report it")
