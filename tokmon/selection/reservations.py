"""Sessions that an account's figures do not show yet: those that run, and those that were just sent there. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tokmon.selection.candidates import Candidate

CLOSE: Final = 1.1
"""Within this ratio two accounts are equally urgent."""


@dataclass(frozen=True, slots=True)
class Reservations:
    """How many sessions run on each account or were just sent there, and where this member begins among equals."""

    sessions: Mapping[str, int] = field(default_factory=dict)
    place: int = 0
    """The number of this member, by name, among those of the pool."""

    def on(self, candidate: Candidate) -> int:
        """The sessions on that account."""
        return self.sessions.get(candidate.provider, 0)

    def spread(self, first: Candidate, candidates: Sequence[Candidate], *, stays: bool) -> Candidate:
        """The account with the fewest sessions of those about as good as `first`, which is one of the candidates.

        Of several the next one in order, from `first` on, for each member at another place. With `stays`, `first` gives
        way only to one with fewer sessions. A wake whose last account is the result gets the same result.
        """
        while True:
            equal = equal_to(first, candidates)
            begin = (equal.index(first) + self.place) % len(equal)
            fewest = min([*equal[begin:], *equal[:begin]], key=self.on)
            if stays and self.on(first) <= self.on(fewest):
                return first
            # Accounts about as good as that one need not be about as good as the first.
            first, stays = fewest, True


NONE: Final = Reservations()


def equal_to(chosen: Candidate, candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates about as good for a new session as the chosen one, which is among them, in their order.

    None is much less urgent, has an unknown week where that of the chosen one is known, or was unreachable where the
    chosen one was not.
    """
    week_is_known = chosen.assessment.utilization("7d") is not None
    return [
        one
        for one in candidates
        if one.urgency * CLOSE >= chosen.urgency
        and (one.assessment.utilization("7d") is not None or not week_is_known)
        and (not one.assessment.unreachable or chosen.assessment.unreachable)
    ]
