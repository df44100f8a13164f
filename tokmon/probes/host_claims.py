"""The probes of the other members of the host, as far as they hold back one of this member.

A claim of another member for the same account holds this one back, for one interval, or longer after a refusal. A
member may claim and never answer, so that holds once: which claims it has waited for, a member remembers until the
other one answers.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from tokmon.errors import StoreError
from tokmon.evidence.identities import NOBODY, PartKey
from tokmon.paths import Paths
from tokmon.pool import folder
from tokmon.pool.claims import HOUR_S, Claim, ClaimReader, publish
from tokmon.pool.publication import AHEAD_S
from tokmon.pool.settings import PoolSettings
from tokmon.store.lock import folder_lock

_READ_S: Final = 0.3
"""How long reading the others may take in all."""


class Peers(NamedTuple):
    """What the evidence says about a member and an account of this name. Instants are epoch seconds."""

    is_same: Callable[[str, str], bool]
    """Whether the member's account is this one."""

    answered_at: Callable[[str, str], float]
    """When the member last published evidence of it; 0 if never."""


class Believed(NamedTuple):
    """A claim that counts. `until` is when it ceases to hold others back."""

    claim: Claim
    until: float
    is_answered: bool


class HostClaims:
    """The claims of the other members, and where this member publishes its own.

    `identities` are the keyed hashes of this member's accounts: the credential, and the organisation where it has a
    budget of probes. `peers` reads what the evidence says now (epoch seconds).
    """

    def __init__(
        self,
        paths: Paths,
        env: Mapping[str, str],
        settings: PoolSettings,
        identities: Mapping[str, PartKey],
        peers: Callable[[float], Peers],
    ) -> None:
        self._paths = paths
        self._env = env
        self._settings = settings
        self._identities = identities
        self._read_peers = peers
        self._peers = Peers(lambda _member, _account: False, lambda _member, _account: 0.0)
        self._reader = ClaimReader()

    def read(self, now: float) -> list[Claim]:
        """The claims of the members that are believed, now."""
        if not self._settings.share:
            return []
        members = folder.look(self._paths, self._env).others
        believed = [member for member in members if member.name not in self._settings.ignore]
        claims = self._reader.read(believed, now, time.monotonic() + _READ_S)
        if claims:
            self._peers = self._read_peers(now)
        return claims

    def believed(
        self, claims: Iterable[Claim], name: str, waited: Mapping[str, float], longest: Callable[[Claim], float]
    ) -> list[Believed]:
        """Those about this account that count. `waited` are the unanswered ones that were waited for, by member.

        `longest` is the latest instant until which a claim may hold others back.
        """
        believed = []
        for claim in claims:
            if claim.account != name or not self._is_same(claim):
                continue
            # A refusal is no answer: a member could repeat it for ever.
            answered_at = 0.0 if claim.refusals else self._peers.answered_at(claim.member, name)
            is_answered = answered_at >= claim.probed_at
            waited_for = waited.get(claim.member, claim.probed_at)
            if waited_for == claim.probed_at or answered_at >= waited_for:
                believed.append(Believed(claim, min(claim.next_at, longest(claim)), is_answered))
        return believed

    def organisation(self, name: str) -> str:
        """The hash of the organisation whose budget a probe of this account counts against, "" if it is not known."""
        return self._identities.get(name, NOBODY).account

    def recent(self, claims: Iterable[Claim], name: str, now: float) -> list[float]:
        """Instants of the others' probes of the last hour that count against the budget of this account, sorted."""
        organisation = self.organisation(name)
        counted = (
            claim
            for claim in claims
            if (claim.organisation == organisation if organisation else claim.account == name and self._is_same(claim))
        )
        return sorted(at for claim in counted for at in claim.recent if now - HOUR_S < at <= now + AHEAD_S)

    def publish(self, claims: Iterable[Claim]) -> None:
        """Publish the claims of this member, with the identities of its accounts. What fails stops no probe."""
        if not self._settings.share:
            return
        with contextlib.suppress(OSError, StoreError, ValueError):
            if (target := folder.make_own(self._paths, self._env)) is not None:
                publish(target, map(self._with_identity, claims))

    @contextlib.contextmanager
    def lock(self, patience_s: float) -> Iterator[None]:
        """Keep the other members from claiming meanwhile: of several at once, one is then granted a slot.

        A member can hold the lock for ever. So it is not waited for any longer, and then several may be.
        """
        if not self._settings.share:
            yield
            return
        with contextlib.suppress(OSError, StoreError):
            folder.make_own(self._paths, self._env)
        with folder_lock(self._paths.pool, patience_s):
            yield

    def _with_identity(self, claim: Claim) -> Claim:
        identity = self._identities.get(claim.account, NOBODY)
        return claim._replace(credential=identity.credential, organisation=identity.account)

    def _is_same(self, claim: Claim) -> bool:
        if claim.account in self._settings.alias:
            return True
        own = self._identities.get(claim.account, NOBODY)
        if own.account and claim.organisation and own.account != claim.organisation:
            return False
        if own.credential and own.credential == claim.credential:
            return True
        return self._peers.is_same(claim.member, claim.account)
