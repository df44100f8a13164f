"""A small deterministic generator (SplitMix64): the same numbers for a seed wherever it runs."""

import math
from typing import Final

_MASK: Final = (1 << 64) - 1
_STEP: Final = 0x9E3779B97F4A7C15


class Chance:
    """A stream of numbers. What is drawn from one stream does not move another one of the same seed."""

    def __init__(self, seed: int, stream: int = 0) -> None:
        self._state = (seed * 0xD1342543DE82EF95 + stream * 0xDA942042E4DD58B5) & _MASK
        self._next()

    def _next(self) -> int:
        self._state = (self._state + _STEP) & _MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return mixed ^ (mixed >> 31)

    def unit(self) -> float:
        """From 0 to just below 1."""
        return (self._next() >> 11) / (1 << 53)

    def between(self, low: float, high: float) -> float:
        """Any number between the two, as likely as another."""
        return low + (high - low) * self.unit()

    def below(self, bound: int) -> int:
        """A whole number from 0 to just below the bound."""
        return int(self.unit() * bound)

    def happens(self, probability: float) -> bool:
        """Whether what has that probability happens."""
        return self.unit() < probability

    def waiting(self, mean: float) -> float:
        """How long it takes until what happens once in `mean` does (exponential)."""
        return -mean * math.log(1 - self.unit())
