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

from tokmon.probes.kinds import unavailable_reason
from tokmon.probes.rate_limit import Slot, probe_limiter
from tokmon.probes.targets import ProbeTarget, targets

__all__ = ["ProbeTarget", "Slot", "probe_limiter", "targets", "unavailable_reason"]
