"""Which ids have been stored lately, so that an event sent twice is stored once."""

from collections.abc import Iterable


class Recent:
    """The last `size` ids at least, twice that at most, in two generations: memory is bounded, nothing is sorted."""

    def __init__(self, size: int = 16_384) -> None:
        self._size = size
        self._young: set[str] = set()
        self._old: set[str] = set()

    def add(self, event_id: str) -> bool:
        """Remember the id; False if it was remembered already."""
        young = self._young
        if event_id in young or event_id in self._old:
            return False
        young.add(event_id)
        if len(young) >= self._size:
            self._old = young
            self._young = set()
        return True

    def update(self, ids: Iterable[str]) -> None:
        """Remember many."""
        for event_id in ids:
            self.add(event_id)

    def forget(self) -> None:
        """Remember nothing: what comes again is stored again."""
        self._young, self._old = set(), set()
