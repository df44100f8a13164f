"""The ids of the events of the last two weeks, so that an event sent twice is stored once.

In memory an id is a fingerprint of 63 bits in an open hash table: 11 to 23 bytes of memory for an id, where a set of
strings needs 150. The fingerprint is the id's bytes as a number, multiplied and modulo a prime; both were chosen at
random, so two ids have the same one with a chance of about 1 in 10^18.
"""

from array import array
from collections.abc import Iterable
from typing import Final

_PRIME: Final = 4852176394228814039
_FACTOR: Final = 3106874921746180937
"""Spreads ids that differ in a few characters over the whole table."""

_SIZES: Final = tuple(1 << bits for bits in range(18, 24))
"""Slots of the table. The first size has room for what is usual in two weeks."""

_FULL: Final = 0.7
_REMOVED: Final = 1
"""A slot whose id was removed; 0 is an empty slot."""


def fingerprints(ids: Iterable[str]) -> list[int]:
    """The fingerprint of every id."""
    return [_fingerprint(event_id) for event_id in ids]


def _fingerprint(event_id: str) -> int:
    return int.from_bytes(event_id.encode()) * _FACTOR % _PRIME


def _empty(size: int) -> "array[int]":
    return array("Q", (0,)) * size


class RecentIds:
    """A set of ids. `unstored` has the fingerprints of those whose lines are not in a log yet, in their order."""

    def __init__(self) -> None:
        self.unstored: list[int] = []
        self._slots = _empty(_SIZES[0])
        self._used = 0

    def add(self, event_id: str) -> bool:
        """Add the id; False if it is in the set already."""
        fingerprint = _fingerprint(event_id)
        if not self.insert(fingerprint):
            return False
        self.unstored.append(fingerprint)
        return True

    def insert(self, fingerprint: int) -> bool:
        """Add a fingerprint; False if it is in the set already."""
        slots = self._slots
        mask = len(slots) - 1
        slot = fingerprint & mask
        while known := slots[slot]:
            if known == fingerprint:
                return False
            slot = slot + 1 & mask
        slots[slot] = fingerprint
        self._used += 1
        if self._used > len(slots) * _FULL:
            self._grow()
        return True

    def insert_new(self, added: Iterable[int]) -> list[int]:
        """Add fingerprints; returns those that were not in the set."""
        return [fingerprint for fingerprint in added if self.insert(fingerprint)]

    def remove(self, removed: Iterable[int]) -> None:
        """Remove fingerprints, so that their events can be stored again."""
        for fingerprint in removed:
            slot = self._slot_of(fingerprint)
            if slot is not None:
                self._slots[slot] = _REMOVED

    def clear(self) -> None:
        """Remove all ids but those of `unstored`."""
        self._slots = _empty(_SIZES[0])
        self._used = 0
        self.insert_new(self.unstored)

    @property
    def is_full(self) -> bool:
        """True if the table is at its largest size: ids that are too old must go."""
        return self._used > _SIZES[-1] * _FULL

    def _slot_of(self, fingerprint: int) -> int | None:
        mask = len(self._slots) - 1
        slot = fingerprint & mask
        while known := self._slots[slot]:
            if known == fingerprint:
                return slot
            slot = slot + 1 & mask
        return None

    def _grow(self) -> None:
        """Move to a larger table, or to one without removed ids."""
        count = sum(fingerprint > _REMOVED for fingerprint in self._slots)
        size = next((size for size in _SIZES if size * _FULL > count), None)
        if size is None:
            size = 1 << (2 * count).bit_length()
        old, slots = self._slots, _empty(size)
        for fingerprint in old:
            if fingerprint > _REMOVED:
                slot = fingerprint & size - 1
                while slots[slot]:
                    slot = slot + 1 & size - 1
                slots[slot] = fingerprint
        self._slots, self._used = slots, count
