"""Probes: requests made to get a reading, for accounts without recent responses. The only package that uses `httpx`.

    credentials  the key or login of an account in models.json and auth.json; read only
    targets      the accounts of pi, each with what a probe needs, or the reason why it cannot be probed
    kinds        the probe steps of each account type, the cheapest first
    fetch        one bounded request
    request      probe several accounts at once, within one deadline
    records      results as log lines, and as outcomes for the rate limit
    rate_limit   which accounts may be probed now: one state file for all processes of the user
    limiter_state   that file
    host_claims  when the other members of the host probed, and what that means for this one
    identity     the keyed hashes of the credentials of pi's accounts

`fetch` and `request` import `httpx`, which takes as long as the rest of a wake. So they are not imported here, but by
the code that has an account to probe.
"""

from tokmon.probes.kinds import unavailable_reason
from tokmon.probes.rate_limit import Slot
from tokmon.probes.targets import ProbeTarget, targets

__all__ = ["ProbeTarget", "Slot", "targets", "unavailable_reason"]
