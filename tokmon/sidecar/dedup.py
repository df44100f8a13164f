"""Which ids have been stored lately, so that an event sent twice is stored once."""

from collections.abc import Iterable, Sequence


class RecentIds:
    """The last `size` ids at least, in two generations: memory is bounded, and nothing is sorted."""

    def __init__(self, size: int = 8_192) -> None:
        self.size = size
        self.current: set[str] = set()
        self.previous: set[str] = set()

    def add(self, event_id: str) -> bool:
        """Remember the id; False if it was remembered already."""
        if event_id in self.current or event_id in self.previous:
            return False
        self.current.add(event_id)
        return True

    def add_all(self, ids: Sequence[str]) -> bool:
        """Remember these ids; or none of them, and False, if one is remembered already or is there twice."""
        young = self.current
        if not young.isdisjoint(ids) or not self.previous.isdisjoint(ids):
            return False
        before = len(young)
        young.update(ids)
        if len(young) - before == len(ids):
            return True
        young.difference_update(ids)
        return False

    def rotate(self) -> None:
        """Forget the older generation if the younger one is full."""
        if len(self.current) >= self.size:
            self.previous = self.current
            self.current = set()

    def update(self, ids: Iterable[str]) -> None:
        """Remember many."""
        for event_id in ids:
            self.add(event_id)
            self.rotate()

    def forget(self) -> None:
        """Remember nothing: what comes again is stored again."""
        self.current, self.previous = set(), set()
