"""The probe limit of this member, with what the other members of the host have probed."""

import time
from collections.abc import Collection, Mapping

from tokmon.decision.sharing import read_others
from tokmon.evidence.account import Account
from tokmon.evidence.identities import NOBODY, SEAT, Identity, PartKey
from tokmon.evidence.shared import identities_with, is_same
from tokmon.evidence.snapshot import Snapshot
from tokmon.paths import Paths
from tokmon.pool.key import hash_of_account, read_key
from tokmon.pool.settings import PoolSettings
from tokmon.probes.host_claims import HostClaims, Peers
from tokmon.probes.identity import configured_identities
from tokmon.probes.rate_limit import ProbeLimiter
from tokmon.store.fingerprint import fingerprint


def limiter(
    paths: Paths, env: Mapping[str, str], settings: PoolSettings, own: Snapshot, names: Collection[str]
) -> ProbeLimiter:
    """The limiter for the credentials that pi has now; `own` is this member's evidence, `names` are more accounts."""
    key = read_key(paths)
    configured = {} if key is None else configured_identities(paths, env, key, time.time())
    names = {*own.providers, *names}
    keys = {} if key is None else {name: _keys(own, name, configured, key) for name in {*names, *configured}}

    def peers(now: float) -> Peers:
        known, _ = read_others(paths, env, settings, names, now)
        publications = {one.member.name: one.publication for one in known}

        def identities_of(member: str, name: str) -> list[Identity]:
            if member not in publications:
                return []
            one = publications[member]
            return identities_with(one.snapshot.identities(name), one.credentials.get(name, ""))

        def same(member: str, name: str) -> bool:
            theirs, mine = identities_of(member, name), own.accounts.get(name)
            return any(is_same(keys.get(name, ()), mine, identity) for identity in theirs)

        def answered_at(member: str, name: str) -> float:
            return max((_answered_at(identity.account) for identity in identities_of(member, name)), default=0.0)

        return Peers(same, answered_at)

    identities = {name: _identity(own.accounts.get(name), keys[name]) for name in keys}
    host = HostClaims(paths, env, settings, identities, peers)
    return ProbeLimiter(paths.state, map(fingerprint, (paths.models, paths.agent / "auth.json")), host)


def _keys(own: Snapshot, name: str, configured: Mapping[str, PartKey], key: bytes) -> list[PartKey]:
    """What identifies this member's account, hashed as others publish it."""
    mine = next(iter(own.identities(name)), None)
    keys = [part._replace(account=hash_of_account(key, part.account)) for part in (mine.keys if mine else ())]
    return [*keys, configured[name]] if name in configured else keys


def _identity(account: Account | None, keys: list[PartKey]) -> PartKey:
    """The credential that is configured, and the organisation of a seat: only those share a budget of probes."""
    is_seat = account is not None and account.type is not None and account.type[1] == SEAT
    organisation = max((part.account for part in keys), default="") if is_seat else ""
    return PartKey(organisation, credential=keys[-1].credential) if keys else NOBODY


def _answered_at(account: Account) -> float:
    """The instant of the newest evidence of the account that is more than a failure to reach it; 0 if there is none."""
    history = account.history
    stamps = [evidence.stamp for evidence in (*history.by_source.values(), *history.key_refusals.values())]
    stamps += [window.stamp for window in account.windows.values()]
    stamps += [] if history.last_served is None else [history.last_served]
    return max((stamp.ts for stamp in stamps), default=0.0)
