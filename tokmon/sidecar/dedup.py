"""Which ids have been stored lately, so that an event sent twice is stored once."""

from collections.abc import Iterable, Sequence


class Recent:
    """The last `size` ids at least, in two generations: memory is bounded, and nothing is sorted."""

    def __init__(self, size: int = 8_192) -> None:
        self.size = size
        self.young: set[str] = set()
        self.old: set[str] = set()

    def add(self, event_id: str) -> bool:
        """Remember the id; False if it was remembered already."""
        if event_id in self.young or event_id in self.old:
            return False
        self.young.add(event_id)
        return True

    def add_all(self, ids: Sequence[str]) -> bool:
        """Remember these ids; or none of them, and False, if one is remembered already or is there twice."""
        young = self.young
        if not young.isdisjoint(ids) or not self.old.isdisjoint(ids):
            return False
        before = len(young)
        young.update(ids)
        if len(young) - before == len(ids):
            return True
        young.difference_update(ids)
        return False

    def turn(self) -> None:
        """Forget the older generation if the younger one is full."""
        if len(self.young) >= self.size:
            self.old = self.young
            self.young = set()

    def update(self, ids: Iterable[str]) -> None:
        """Remember many."""
        for event_id in ids:
            self.add(event_id)
            self.turn()

    def forget(self) -> None:
        """Remember nothing: what comes again is stored again."""
        self.young, self.old = set(), set()
