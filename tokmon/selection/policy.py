"""What the owner wants: the chain, the thresholds, what may be spent."""

from typing import Final

import msgspec

POLICIES: Final = ("forecast", "threshold")
SPENDING: Final = ("never", "after-plan", "first")


class Policy(msgspec.Struct, frozen=True):
    """The configuration of the choice, validated. Fractions are of a window, minutes of a session."""

    chain: tuple[str, ...] = ()
    """Order of preference."""

    fallback: tuple[str, ...] = ()
    """Paid or weaker, before the emergency."""

    emergency: str | None = None
    """Reaching it is a failure."""

    threshold: float = 0.90
    """7d utilization at which to move on."""

    policy: str = "forecast"
    model: str = "claude-sonnet-4-6"
    models: tuple[tuple[str, str], ...] = ()
    """The model of a provider, where it is not `model`."""

    session_minutes: float = 60.0
    five_hour_guard: float = 0.85
    spend_credit: str = "after-plan"
    default_provider: str | None = None
    """Printed when nothing can be decided; without it, the first of the chain."""

    default_model: str | None = None
    pin: str | None = None
    """A person's one-shot override."""

    resumes: str | None = None
    """The account of the session that is resumed: it stays there if it can."""

    @property
    def order(self) -> tuple[str, ...]:
        """Every account of the configuration, in order of preference, once."""
        last = () if self.emergency is None else (self.emergency,)
        return tuple(dict.fromkeys((*self.chain, *self.fallback, *last)))

    def model_of(self, provider: str) -> str:
        """The model to ask of it."""
        return dict(self.models).get(provider, self.model)

    @property
    def default(self) -> tuple[str, str] | None:
        """Provider and model when nothing can be decided; None where the configuration names nobody."""
        provider = self.default_provider or next(iter(self.order), None)
        return None if provider is None else (provider, self.default_model or self.model_of(provider))
