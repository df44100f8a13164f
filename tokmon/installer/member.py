"""One member's part, done as that member: the hook, a first configuration, the extension, and the sidecar's start."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tokmon.errors import InstallError
from tokmon.installer import files, locking, running, service, units
from tokmon.installer.places import Home
from tokmon.installer.placing import Placing
from tokmon.installer.plan import Step, carry_out, say
from tokmon.installer.program import is_our_link
from tokmon.installer.receipt import Receipt
from tokmon.pi import extension, installed


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a member is to have. All of it was read beforehand: the member may not see where it comes from.

    `program` is what others call, `version` the environment that is in use in the end, `extension` the folder that pi
    loads by a link; `link`: the program is root's, and is to be found in the member's home as well. `manager` says that
    their systemd will be there in the end.
    """

    program: Path
    version: Path
    extension: Path
    hook: bytes
    units: units.Units
    pi: str = "pi"
    hook_dir: str | None = None
    link: bool = False
    systemd: bool = True
    manager: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """The part of the member at `home`, who runs this."""

    home: Home
    wanted: Wanted
    receipt: Receipt

    def check(self) -> None:
        """Say what cannot be written before anything is."""
        hint = "its owner can mend that"
        agent = f"{hint}; PI_CODING_AGENT_DIR names another"
        places = [(self.home.data, hint), (self.home.found.agent / "extensions", agent)]
        places += [(path.parent, hint) for path in (*self._hooks(), self.home.found.config)]
        if self.wanted.link:
            places += [(self.home.link.parent, hint)]
        for folder, told in places:
            files.trust(folder)
            files.check(folder, told)

    def steps(self) -> Iterator[Step]:
        """What has to be done, in order."""
        placing = Placing(self.receipt)
        if self.wanted.link:
            yield from placing.link(self.home.link, str(self.wanted.program), is_our_link)
        for hook in self._hooks():
            yield from placing.file(hook, self.wanted.hook, 0o755)
        yield from self._configuration(placing)
        yield from self._extension(placing)
        yield from self._agent()
        yield from self._sidecar(placing)

    def _hooks(self) -> list[Path]:
        """Where the hook is put; a folder that begins with `~/` is in the member's own home."""
        found = [self.home.hook]
        if self.wanted.hook_dir:
            folder = self.wanted.hook_dir
            found.append(
                (self.home.home / folder[2:] if folder.startswith("~/") else Path(folder)) / self.home.hook.name
            )
        return found

    def _ready(self) -> bool:
        """Whether the version in question can be asked; in a dry run it may not be there yet."""
        return (self.wanted.version / "bin" / "tokmon").is_file()

    def _ask(self, *words: str) -> running.Done:
        return running.ask([self.wanted.version / "bin" / "tokmon", *words])

    def _configuration(self, placing: Placing) -> Iterator[Step]:
        target = self.home.found.config
        if os.path.lexists(target):
            return
        if not self._ready():
            yield Step(f"write {target}", _nothing, target)
            return
        said = self._ask("config")
        if said.returncode != 0:
            say(f"no configuration was written: {_first_line(said)}")
            return
        yield from placing.file(target, said.stdout.encode(), 0o600)

    def _extension(self, placing: Placing) -> Iterator[Step]:
        """The link by which pi loads the extension. The file of an older tokmon goes first: pi must not load both."""
        link, old = self.home.found.extension, self.home.found.old_extension
        if extension.is_own(old):
            yield Step(f"remove {old}, which {link} replaces", lambda: self._remove_old(old), old)
        elif os.path.lexists(old):
            say(f"{old} is not tokmon's: it is left")
        if link.is_dir() and not link.is_symlink() and extension.is_own(link):
            yield Step(f"remove the copy {link}", lambda: files.remove_tree(link), link)
        yield from placing.link(link, str(self.wanted.extension), extension.is_own)
        self._tell_support()

    def _remove_old(self, old: Path) -> None:
        files.trust(old.parent)
        entry = self.receipt.files.get(str(old))
        if entry is not None and not entry.kept:
            # First, so that a killed install leaves a file that the next one knows by its content.
            del self.receipt.files[str(old)]
            self.receipt.save()
        files.remove_tree(old)

    def _tell_support(self) -> None:
        """Say if the installed pi is older than what the installed tokmon supports; it knows, this one may not."""
        words = installed.command({**os.environ, "TOKMON_PI": self.wanted.pi})
        version = installed.package_version(words) if words else None
        if version is not None and self._ready():
            answer = self._ask("extension", "--supports", version)
            if answer.stdout.strip() not in {"", "supported"}:
                say(f"pi {version} is {answer.stdout.strip()}")

    def _agent(self) -> Iterator[Step]:
        agent = str(self.home.found.agent)
        if agent not in self.receipt.agents:

            def remember() -> None:
                self.receipt.agents.append(agent)
                self.receipt.save()

            yield Step(f"record the agent folder {agent}", remember, self.receipt.path)

    def _sidecar(self, placing: Placing) -> Iterator[Step]:
        if not self.wanted.systemd or not (self.wanted.manager or service.reachable(os.environ)):
            say("without systemd: the extension starts the sidecar with the first session")
            yield from service.without(self.home.found, self.wanted.program, self.wanted.version)
            return
        files.trust(self.home.units)
        files.check(self.home.units, "its owner can mend that; `--no-systemd` does without")
        env = dict(os.environ)
        # Identities that share an account share its sidecar: it keeps to the agent folder that it was first given.
        agent = next((each for each in self.receipt.agents if Path(each).is_dir()), str(self.home.found.agent))
        env["PI_CODING_AGENT_DIR"] = "" if Path(agent) == self.home.home / ".pi" / "agent" else agent
        texts = {name: self.wanted.units.text(name, self.wanted.program, env) for name in units.NAMES}
        yield from service.install(placing, self.home.units, texts, self.home.found, self.wanted.version)


def set_up(home: Home, wanted: Wanted, *, dry_run: bool) -> int:
    """Do the part of a member whose program is root's, under a lock of its own; how many steps it took."""
    part = Part(home, wanted, Receipt.load(home.receipt))
    part.check()
    if dry_run:
        return carry_out(part.steps(), dry_run=True)
    made = files.missing(home.data)
    files.make_folders(home.data)
    with locking.held(home.lock):
        part = Part(home, wanted, load(home.receipt, made))
        return carry_out(part.steps(), dry_run=False)


def load(path: Path, made: list[Path], *, shared: bool = False) -> Receipt:
    """Read the receipt, and record in it the folders that were made for it."""
    receipt = Receipt.load(path, shared=shared)
    if made:
        receipt.folders += [str(each) for each in made]
        receipt.save()
    return receipt


def _first_line(said: running.Done) -> str:
    return (said.stderr.strip().splitlines() or ["no answer"])[0].removeprefix("error: ")


def _nothing() -> None:
    raise InstallError("a step of a dry run was taken", hint="this is a fault of the installer: report it")
