"""A small random number generator (SplitMix64), which gives the same numbers for a seed on every Python."""

import math
from typing import Final

_MASK: Final = (1 << 64) - 1
_STEP: Final = 0x9E3779B97F4A7C15


class Chance:
    """A stream of random numbers. Streams of the same seed are independent of each other."""

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
        """A number from 0 to just below 1."""
        return (self._next() >> 11) / (1 << 53)

    def between(self, low: float, high: float) -> float:
        """A number between `low` and `high`, uniformly distributed."""
        return low + (high - low) * self.unit()

    def below(self, bound: int) -> int:
        """An integer from 0 to just below the bound, uniformly distributed."""
        return int(self.unit() * bound)

    def happens(self, probability: float) -> bool:
        """True with that probability."""
        return self.unit() < probability

    def waiting(self, mean: float) -> float:
        """A waiting time with that mean, exponentially distributed."""
        return -mean * math.log(1 - self.unit())
