"""Asking providers, where no response came that would have told. The only package that speaks HTTP (`httpx`).

credentials  what models.json and auth.json give to ask with; read, and never refreshed, run, written or shown
targets      the providers of models.json, each with what is needed to ask it, or why it cannot be asked
kinds        what is asked of each kind of account, the cheapest first
fetch        one bounded request
asking       all of them at once, within one deadline
turns        who may be asked now: one state file for all processes of the user

`fetch` and `asking` import `httpx`, which takes as long as everything else of a wake: they are imported by whoever has
somebody to ask, and are not named here.
"""

from tokmon.probes.kinds import why_not
from tokmon.probes.rate_limit import Turn, turns_of
from tokmon.probes.targets import Target, targets

__all__ = ["Target", "Turn", "targets", "turns_of", "why_not"]
