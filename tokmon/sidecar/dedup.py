"""The ids of recently stored events, so that an event sent twice is stored once."""

from collections.abc import Iterable, Sequence


class RecentIds:
    """The ids of at least the last `size` events, in two generations, so that memory is bounded without sorting."""

    def __init__(self, size: int = 8_192) -> None:
        self.size = size
        self.current: set[str] = set()
        self.previous: set[str] = set()

    def add(self, event_id: str) -> bool:
        """Add the id; False if it is in the set already."""
        if event_id in self.current or event_id in self.previous:
            return False
        self.current.add(event_id)
        return True

    def add_all(self, ids: Sequence[str]) -> bool:
        """Add all ids; False, and none is added, if one is in the set already or occurs twice."""
        current = self.current
        if not current.isdisjoint(ids) or not self.previous.isdisjoint(ids):
            return False
        before = len(current)
        current.update(ids)
        if len(current) - before == len(ids):
            return True
        current.difference_update(ids)
        return False

    def rotate(self) -> None:
        """Drop the previous generation if the current one is full."""
        if len(self.current) >= self.size:
            self.previous = self.current
            self.current = set()

    def update(self, ids: Iterable[str]) -> None:
        """Add many ids, of which the last ones stay."""
        for event_id in ids:
            self.add(event_id)
            self.rotate()

    def clear(self) -> None:
        """Drop all ids. Events that come again are then stored again."""
        self.current, self.previous = set(), set()
