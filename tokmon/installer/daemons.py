"""On macOS root has launchd run each member's sidecar. Nothing of this was run on macOS: docs/macos.md."""

import functools
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tokmon.installer import launchd, running
from tokmon.installer.members import Member
from tokmon.installer.placing import Placing
from tokmon.installer.plan import Step
from tokmon.installer.receipt import Receipt

_SUFFIX: Final = ".plist"


def on_this_system() -> bool:
    """Whether launchd runs services here."""
    return platform.system() == "Darwin"


def install(each: Member, program: Path, receipt: Receipt) -> Iterator[Step]:
    """Have a daemon that runs the member's sidecar."""
    variables = {"PI_CODING_AGENT_DIR": str(each.agent)} if each.relocated else {}
    text = launchd.plist(each.name, each.name, each.home, program, variables)
    place = launchd.place(each.name)
    written = list(Placing(receipt).file(place, text.encode(), 0o644))
    yield from written
    if written or running.ask(["launchctl", "print", f"system/{launchd.label(each.name)}"]).returncode != 0:

        def load() -> None:
            stop(place)
            running.ensure(["launchctl", "bootstrap", "system", place], timeout=60)

        yield Step(f"have launchd run the sidecar of {each.name}", load)


def remove(receipt: Receipt) -> Iterator[Step]:
    """Stop the daemons that are in the receipt; their files go with the rest."""
    for name in sorted(receipt.files):
        place = Path(name)
        if place.parent == launchd.FOLDER and place.suffix == _SUFFIX and place.exists():
            yield Step(f"have launchd stop {place.stem}", functools.partial(stop, place))


def stop(place: Path) -> None:
    """Have launchd end a daemon, if it runs it."""
    running.ask(["launchctl", "bootout", f"system/{place.name.removesuffix(_SUFFIX)}"])
