"""Which bytes of a log a snapshot holds: whole lines, in ranges that neither touch nor overlap."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

Range = tuple[int, int]


@dataclass(slots=True)
class Coverage:
    """The ranges of one log, by its file's inode, in their order."""

    inode: int
    ranges: list[Range] = field(default_factory=list)

    def add(self, start: int, end: int) -> None:
        """Cover these bytes too."""
        if start == end:
            return
        apart = []
        for range_ in self.ranges:
            if range_[1] < start or end < range_[0]:
                apart.append(range_)
            else:
                start, end = min(start, range_[0]), max(end, range_[1])
        self.ranges = sorted([*apart, (start, end)])

    @property
    def unfinished(self) -> bool:
        """Whether older lines than those covered are still to be read."""
        return len(self.ranges) > 1 or (len(self.ranges) == 1 and self.ranges[0][0] > 0)

    def gaps(self, size: int) -> list[Range]:
        """The ranges that are not covered, up to `size`; the last one first."""
        starts = [0, *(end for _, end in self.ranges)]
        ends = [*(start for start, _ in self.ranges), size]
        return [(start, end) for start, end in zip(starts, ends, strict=True) if start < end][::-1]

    def fits(self, fd: int) -> bool:
        """Whether the open file can be the one that was read: with that inode, as long, and with the same borders."""
        status = os.fstat(fd)
        if status.st_ino != self.inode or (self.ranges and self.ranges[-1][1] > status.st_size):
            return False
        return all(os.pread(fd, 1, border - 1) == b"\n" for range_ in self.ranges for border in range_ if border)

    def to_json(self) -> dict[str, Any]:
        """The form of `state.json`."""
        return {"inode": self.inode, "ranges": self.ranges}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Self:
        """The reverse; KeyError, TypeError or ValueError if it is not what `to_json` made."""
        coverage = cls(int(entry["inode"]))
        for start, end in entry["ranges"]:
            if not 0 <= int(start) < int(end):
                raise ValueError("not a range")
            coverage.add(int(start), int(end))
        return coverage
