"""What was put where, so that it can be taken away again: written before each change, so that a kill loses nothing.

No times and no order of events are in it: an install that was interrupted and finished leaves the same receipt.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from tokmon.errors import InstallError
from tokmon.installer.user import files

_FORMAT: Final = 1
_KINDS: Final = {"folders": list, "agents": list, "members": dict, "previous": str | None}


@dataclass(slots=True)
class Entry:
    """One file or link: the `files.state` that we put there, and the paths of what was moved aside for it (`backups`).

    `earlier` is the state that we had put there before: it may still be there if we were killed.
    """

    content: str
    earlier: str | None = None
    backups: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Receipt:
    """The receipt at `path`, of the program (`previous`, `members`) or of a user's part (`agents`), or of both in one.

    `previous` is the version before the current one, `folders` what was made for us, `agents` the agent folders that
    share this account, and `members` those that root set up, with whether lingering was turned on for them by us.
    """

    path: Path
    shared: bool = False
    files: dict[str, Entry] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    agents: list[str] = field(default_factory=list)
    members: dict[str, bool] = field(default_factory=dict)
    previous: str | None = None

    @classmethod
    def load(cls, path: Path, *, shared: bool = False) -> Self:
        """Read it; empty where there is none. Raises InstallError if it is damaged: what is ours is not guessed."""
        text = files.text_of(path)
        try:
            return cls(path, shared, **_fields(json.loads(text))) if text else cls(path, shared)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise InstallError(
                f"the receipt `{path}` cannot be read: {error}", hint="move it away: the next install writes another"
            ) from error

    def save(self) -> None:
        """Write it, and record the folders that are made for it."""
        self.record_folders(self.path.parent)
        files.make_folders(self.path.parent, shared=self.shared)
        content = {
            "format": _FORMAT,
            "previous": self.previous,
            "agents": self.agents,
            "members": dict(sorted(self.members.items())),
            "folders": sorted(self.folders),
            "files": {path: asdict(entry) for path, entry in sorted(self.files.items())},
        }
        text = json.dumps(content, indent=1) + "\n"
        files.write(self.path, text.encode(), 0o644 if self.shared else 0o600, shared=self.shared)

    def record_folders(self, folder: Path) -> None:
        """Record the folders that are about to be made for `folder`; not saved yet."""
        self.folders += [str(path) for path in files.missing(folder) if str(path) not in self.folders]

    def record(self, path: Path, content: str, aside: Path | None = None) -> None:
        """Record what is about to be at `path`, and where what was there is moved, and save."""
        state = files.state(path)
        earlier = state if state != content and self.wrote(path, state) else None
        entry = self.files.setdefault(str(path), Entry(content))
        entry.content, entry.earlier = content, earlier
        if aside is not None and str(aside) not in entry.backups:
            entry.backups.append(str(aside))
        self.record_folders(path.parent)
        self.save()

    def wrote(self, path: Path, state: str | None) -> bool:
        """Whether the `state` of `path` is what we put there."""
        entry = self.files.get(str(path))
        return state is not None and entry is not None and state in {entry.content, entry.earlier}


def _fields(parsed: dict[str, Any]) -> dict[str, Any]:
    if parsed.pop("format") != _FORMAT:
        raise ValueError(f"its format is not {_FORMAT}")
    # Up to 0.1.0 the backups were called `kept`.
    parsed["files"] = {
        path: Entry(**{{"kept": "backups"}.get(name, name): value for name, value in entry.items()})
        for path, entry in parsed["files"].items()
    }
    for name, kind in _KINDS.items():
        if not isinstance(parsed[name], kind):
            raise TypeError(f"`{name}` is not what it should be")
    return parsed
