"""The owner's preferences: the chain, the thresholds, what may be spent."""

from dataclasses import dataclass
from typing import Final

POLICIES: Final = ("forecast", "threshold")
SPENDING: Final = ("never", "after-plan", "first")


@dataclass(frozen=True, slots=True)
class Policy:
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
    """Provider and model, where it is not `model`."""

    session_minutes: float = 60.0
    five_hour_guard: float = 0.85
    spend_credit: str = "after-plan"
    default_provider: str | None = None
    """Printed when nothing can be decided; without it, the first of the chain."""

    default_model: str | None = None
    pin: str | None = None
    """A person's one-shot override."""

    resume_account: str | None = None
    """The account of the session that is resumed: it stays there if it can."""

    @property
    def accounts(self) -> tuple[str, ...]:
        """Every account of the configuration, in order of preference, once."""
        last = () if self.emergency is None else (self.emergency,)
        return tuple(dict.fromkeys((*self.chain, *self.fallback, *last)))

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Every account with its model, in order."""
        return tuple((name, self.model_of(name)) for name in self.accounts)

    def model_of(self, provider: str) -> str:
        """The model that a session on that account runs."""
        return dict(self.models).get(provider, self.model)

    @property
    def default(self) -> tuple[str, str] | None:
        """Provider and model when nothing can be decided; None where no account is configured."""
        provider = self.default_provider or next(iter(self.accounts), None)
        return None if provider is None else (provider, self.default_model or self.model_of(provider))
