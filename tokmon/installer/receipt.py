"""What was put where, so that it can be taken away again: written before each change, so that a kill loses nothing.

No times and no order of events are in it: an install that was interrupted and finished leaves the same receipt.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from tokmon.errors import InstallError
from tokmon.installer import files

_FORMAT: Final = 1


@dataclass(slots=True)
class Entry:
    """One file or link: what we put there (as `files.state` says it), and where what we found there is kept.

    `earlier` is what we had put there before: it may still be there if we were killed.
    """

    content: str
    earlier: str | None = None
    kept: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Receipt:
    """The receipt at `path`, of the program (`previous`, `members`) or of a member (`agents`), or of both in one.

    `previous` is the version before the current one, `folders` what was made for us, `agents` the agent folders that
    share this account, and `members` whom root set up, with whether lingering was turned on for them by us.
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
        if not text:
            return cls(path, shared=shared)
        try:
            return cls(path, shared=shared, **_fields(json.loads(text)))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise InstallError(
                f"the receipt `{path}` cannot be read: {error}", hint="move it away: the next install writes another"
            ) from error

    def save(self) -> None:
        """Write it, and remember the folders that were made for it."""
        self.made(self.path.parent)
        files.make_folders(self.path.parent, shared=self.shared)
        content = {
            "format": _FORMAT,
            "previous": self.previous,
            "agents": self.agents,
            "members": dict(sorted(self.members.items())),
            "folders": sorted(self.folders),
            "files": {
                path: {"content": entry.content, "earlier": entry.earlier, "kept": entry.kept}
                for path, entry in sorted(self.files.items())
            },
        }
        text = json.dumps(content, indent=1) + "\n"
        files.write(self.path, text.encode(), 0o644 if self.shared else 0o600, shared=self.shared)

    def made(self, folder: Path) -> None:
        """Remember the folders that are about to be made for `folder`; not saved yet."""
        self.folders += [str(each) for each in files.missing(folder) if str(each) not in self.folders]

    def note(self, path: Path, content: str, kept: Path | None = None) -> None:
        """Remember what is about to be at `path`, and save."""
        found = files.state(path)
        earlier = found if found != content and self.wrote(path, found) else None
        entry = self.files.setdefault(str(path), Entry(content))
        entry.content, entry.earlier = content, earlier
        if kept is not None and str(kept) not in entry.kept:
            entry.kept.append(str(kept))
        self.made(path.parent)
        self.save()

    def wrote(self, path: Path, found: str | None) -> bool:
        """Whether what was found at `path` is what we put there."""
        entry = self.files.get(str(path))
        return found is not None and entry is not None and found in {entry.content, entry.earlier}


def _fields(said: dict[str, Any]) -> dict[str, Any]:
    if said["format"] != _FORMAT:
        raise ValueError(f"its format is {said['format']!r}, not {_FORMAT}")
    entries = {
        _text(path): Entry(_text(each["content"]), _text_or_none(each["earlier"]), _texts(each["kept"]))
        for path, each in said["files"].items()
    }
    return {
        "files": entries,
        "folders": _texts(said["folders"]),
        "agents": _texts(said["agents"]),
        "members": {_text(name): bool(linger) for name, linger in said["members"].items()},
        "previous": _text_or_none(said["previous"]),
    }


def _text(value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise TypeError(f"{value!r} is no text")
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _texts(values: list[object]) -> list[str]:
    if not isinstance(values, list):
        raise TypeError(f"{values!r} is no list")
    return [_text(value) for value in values]
