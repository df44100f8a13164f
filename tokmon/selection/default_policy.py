"""A default chain, proposed from the accounts that pi itself is configured with. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from tokmon.selection.overrides import name_problem
from tokmon.selection.policy import Policy

_SEATS: Final = frozenset({"teams-direct", "openai-codex", "github-copilot"})
"""Paid by the month: unused quota is lost."""

_GATEWAY: Final = "gateway"
_ANTHROPIC: Final = frozenset({"teams-direct", "anthropic-api", "anthropic"})
"""They serve Anthropic's models without listing them."""


class ModelsEntry(NamedTuple):
    """An account of pi: its type, and the models listed for it."""

    kind: str | None = None
    models: tuple[str, ...] = ()


def propose(offers: Mapping[str, ModelsEntry], base: Policy | None = None) -> Policy:
    """`base` (thresholds, models, spending) with a chain: plan seats first, then the others, in their order.

    The first gateway is the emergency, a further one the fallback. A provider is left out where its name cannot be
    printed, or where no model is known to ask of it: a session on a model that is not there would not start.
    """
    base = base or Policy()
    chosen = {name: model for name, offer in offers.items() if (model := _model(name, offer, base)) is not None}
    gateways = [name for name in chosen if offers[name].kind == _GATEWAY]
    seats = [name for name in chosen if offers[name].kind in _SEATS]
    others = [name for name in chosen if name not in gateways and name not in seats]
    own = {name: model for name, model in chosen.items() if model != base.model}
    return replace(
        base,
        chain=(*seats, *others),
        fallback=tuple(gateways[1:]),
        emergency=next(iter(gateways), None),
        models=tuple((own | dict(base.models)).items()),
    )


def _model(name: str, offer: ModelsEntry, base: Policy) -> str | None:
    """What to ask of it: what is configured, the usual model if it has that, else the first that it lists."""
    if name_problem(name) is not None:
        return None
    configured = dict(base.models).get(name)
    if configured is not None:
        return configured
    if base.model in offer.models or (not offer.models and offer.kind in _ANTHROPIC):
        return base.model
    return next((model for model in offer.models if name_problem(model) is None), None)
