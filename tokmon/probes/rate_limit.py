"""Which accounts may be probed now: each at most once in 20 minutes by any process of the host, later after a 429.

A process claims a slot under a lock before it probes, so that only one of several probes. The state is a small file;
a damaged file, or one with instants in the future, is ignored. It also keeps, for a day, the endpoints that do not
exist or refuse the credential. It identifies credentials by the modification time of their files only.

Every claim is published to the other members of the host, whose claims count too (`host_claims`).
"""

import contextlib
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from tokmon.errors import StoreError
from tokmon.pool.claims import HOUR_S, MOST_RECENT, Claim
from tokmon.probes.host_claims import Believed, HostClaims
from tokmon.probes.limiter_state import LONGEST_S, ProbeRecord, SavedState, read_state, write_state
from tokmon.store.fingerprint import Fingerprint
from tokmon.store.lock import ProcessLock

INTERVAL_S: Final = 20 * 60.0
BACK_OFF_S: Final = 3600.0
BUDGET: Final = 28
"""Probes of an organisation's accounts that Anthropic's usage endpoint accepts in an hour."""

_OWN_BUDGET: Final = 3
"""Of those, what no claims of other members can take: once in 20 minutes."""

_JITTER: Final = 0.1
"""The largest part of the interval that is added at random, so that processes do not stay in step."""

_LOCK_WAIT_S: Final = 2.0
_PROBE_S: Final = 3.0
_MAX_DOUBLINGS: Final = 10
_MAX_WAITED: Final = 64
_POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Slot:
    """Whether an account may be probed. `probed_at` is the last probe, `next_at` the next allowed one (epoch s)."""

    granted: bool
    probed_at: float | None = None
    next_at: float | None = None
    closed_paths: tuple[str, ...] = ()
    """Endpoints that do not exist or refuse the credential."""

    in_progress: bool = False
    """True if the process that claimed the last slot has not released it."""

    member: str | None = None
    """The other member that made the last probe; None if it was this one."""

    def is_in_progress(self, now: float) -> bool:
        """True if another process may be probing the account now: a wake's probe takes 3 seconds at most."""
        return self.in_progress and self.probed_at is not None and now - self.probed_at < _PROBE_S

    def may_be_probed(self, now: float) -> bool:
        """True if a process that looks at this instant can probe the account, or wait for a probe in progress."""
        return self.granted or (self.next_at or 0.0) <= now or self.is_in_progress(now)


class ProbeOutcome(NamedTuple):
    """The outcome of a probe, for the rate limit.

    `wait_s` is None unless the endpoint refused the probe as too frequent; then it is the wait in seconds that it
    asked for, 0 if it named none.
    """

    answered: bool
    wait_s: float | None = None
    closed_paths: tuple[str, ...] = ()


class ProbeLimiter:
    """The slots of all accounts, saved in the state folder.

    `credentials` are fingerprints of the files with credentials: closed paths hold for these only. `host` are the
    claims of the other members.
    """

    def __init__(self, folder: Path, credentials: Iterable[Fingerprint] = (), host: HostClaims | None = None) -> None:
        self._path = folder / "probes.json"
        self._lock = folder / "probes.lock"
        self._credentials = [list(entry) for entry in credentials]
        self._host = host

    def slots(self, names: Iterable[str], now: float) -> dict[str, Slot]:
        """The slots of these accounts, without a claim."""
        names, state, claims = list(names), read_state(self._path, now), self._claims(now)
        slots = {name: self._slot(name, state, claims, now) for name in names}
        if self._wait_for(names, state, claims, now):
            # Not only in a claim: whoever is held back claims nothing.
            with contextlib.suppress(StoreError), ProcessLock(self._lock) as lock:
                if lock.acquire():
                    state = read_state(self._path, now)
                    self._wait_for(names, state, claims, now)
                    write_state(self._path, state)
        return slots

    def claim(
        self, names: Iterable[str], now: float, *, force: bool = False, patience_s: float = _LOCK_WAIT_S
    ) -> dict[str, Slot]:
        """Claim the slots of these accounts that are due, or all with `force`. Raises StoreError if it cannot save."""
        slots: dict[str, Slot] = {}
        with ProcessLock(self._lock) as lock:
            if not lock.acquire(patience_s):
                raise StoreError(f"`{self._lock}` is locked by another process", hint="try again later")
            with self._host.lock(patience_s) if self._host else contextlib.nullcontext():
                state, claims = read_state(self._path, now), self._claims(now)
                for name in names:
                    slots[name] = self._slot(name, state, claims, now, force=force)
                    if slots[name].granted:
                        self._add_claim(name, state, claims, now)
                is_granted = any(slot.granted for slot in slots.values())
                if self._wait_for([*slots], state, claims, now) or is_granted:
                    write_state(self._path, state)
                if is_granted:
                    self._publish(state)
        return slots

    def release(self, outcomes: Mapping[str, ProbeOutcome], now: float, *, patience_s: float = _LOCK_WAIT_S) -> None:
        """Save the outcomes of probes and end their claims."""
        with ProcessLock(self._lock) as lock:
            if not outcomes or not lock.acquire(patience_s):
                return
            state = read_state(self._path, now)
            for name, outcome in outcomes.items():
                if name in state.accounts:
                    self._apply(state.accounts[name], outcome, now)
                    if outcome.wait_s is not None:
                        state.waited.pop(name, None)  # those that were refused did not lie
            write_state(self._path, state)
            self._publish(state)

    def wait(self, names: Iterable[str], until: float) -> None:
        """Wait until no process probes these accounts, or `until` (`time.monotonic`)."""
        names = list(names)
        while time.monotonic() < until:
            now = time.time()
            if not any(slot.is_in_progress(now) for slot in self.slots(names, now).values()):
                return
            time.sleep(_POLL_S)

    def _add_claim(self, name: str, state: SavedState, claims: Sequence[Claim], now: float) -> None:
        """Enter a claim of this process. The back-off goes on from the last probe of any member."""
        entry = state.accounts.setdefault(name, ProbeRecord(0.0, 0.0))
        last = max(self._believed(name, state, claims), key=lambda one: one.claim.probed_at, default=None)
        if last is not None and last.claim.probed_at > entry.probed_at:
            entry.refusals = last.claim.refusals
        entry.probed_at, entry.next_at, entry.in_progress = now, now + _interval(), True
        entry.recent = [*(at for at in entry.recent if now - HOUR_S < at), now][-MOST_RECENT:]

    def _claims(self, now: float) -> list[Claim]:
        return [] if self._host is None else self._host.read(now)

    def _believed(self, name: str, state: SavedState, claims: Sequence[Claim]) -> list[Believed]:
        """The claims of other members for this account that count."""
        if self._host is None:
            return []
        return self._host.believed(claims, name, state.waited.get(name, {}), _longest)

    def _wait_for(self, names: Iterable[str], state: SavedState, claims: Sequence[Claim], now: float) -> bool:
        """Enter which unanswered claims hold these accounts back, and drop those answered; True if that changes any."""
        is_changed = False
        for name in names:
            waited = state.waited.setdefault(name, {})
            for claim, until, is_answered in self._believed(name, state, claims):
                if is_answered:
                    is_changed |= waited.pop(claim.member, None) is not None
                elif until > now and waited.get(claim.member) != claim.probed_at:
                    waited[claim.member] = claim.probed_at
                    is_changed = True
            for member in [*waited][:-_MAX_WAITED]:
                del waited[member]
        return is_changed

    def _publish(self, state: SavedState) -> None:
        if self._host is not None:
            self._host.publish(
                Claim("", name, entry.probed_at, entry.next_at, entry.refusals, entry.in_progress, tuple(entry.recent))
                for name, entry in state.accounts.items()
            )

    def _budget_opens_at(self, name: str, state: SavedState, claims: Sequence[Claim], now: float) -> float:
        """When the organisation's budget allows a probe of this account (epoch seconds); 0 if it does now."""
        host, organisation = self._host, "" if self._host is None else self._host.organisation(name)
        recent = [
            at
            for other, entry in state.accounts.items()
            if other == name or (organisation and host and host.organisation(other) == organisation)
            for at in entry.recent
            if now - HOUR_S < at
        ]
        if host is not None:
            recent += host.recent(claims, name, now)[-(BUDGET - _OWN_BUDGET) :]
        return 0.0 if len(recent) < BUDGET else sorted(recent)[-BUDGET] + HOUR_S

    def _apply(self, entry: ProbeRecord, outcome: ProbeOutcome, now: float) -> None:
        entry.in_progress = False
        if outcome.closed_paths:
            entry.closed_paths, entry.closed_at = list(outcome.closed_paths), now
            entry.credentials = self._credentials
        if not outcome.answered:
            return
        if outcome.wait_s is None:
            entry.refusals = 0
            return
        entry.refusals = min(entry.refusals + 1, _MAX_DOUBLINGS)
        wait = max(outcome.wait_s, BACK_OFF_S * 2 ** (entry.refusals - 1))
        entry.next_at = now + min(wait, LONGEST_S) + _interval() - INTERVAL_S

    def _slot(self, name: str, state: SavedState, claims: Sequence[Claim], now: float, *, force: bool = False) -> Slot:
        entry = state.accounts.get(name)
        rivals = [one for one in self._believed(name, state, claims) if one.until > now]
        opens_at = self._budget_opens_at(name, state, claims, now)
        if entry is None and not rivals:
            return Slot(granted=opens_at <= now, next_at=opens_at or None)
        next_at = max(opens_at, entry.next_at if entry else 0.0, *(one.until for one in rivals))
        last = max((one.claim for one in rivals), key=lambda claim: claim.probed_at, default=None)
        if last is not None and entry is not None and entry.probed_at >= last.probed_at:
            last = None
        probe = last or entry
        return Slot(
            granted=(force or next_at <= now) and opens_at <= now,
            probed_at=None if probe is None else probe.probed_at,
            next_at=next_at,
            closed_paths=() if entry is None or force else self._closed_paths(entry, now),
            # Nobody waits for what another member will begin.
            in_progress=probe is not None and probe.in_progress and (last is None or last.probed_at <= now),
            member=None if last is None else last.member,
        )

    def _closed_paths(self, entry: ProbeRecord, now: float) -> tuple[str, ...]:
        is_current = entry.credentials == self._credentials and 0 <= now - entry.closed_at < LONGEST_S
        return tuple(entry.closed_paths) if is_current else ()


def _longest(claim: Claim) -> float:
    """Until when a claim of another member can hold back others, whatever it says itself (epoch seconds)."""
    return claim.probed_at + INTERVAL_S * (1 + _JITTER) + (LONGEST_S if claim.refusals else 0.0)


def _interval() -> float:
    return INTERVAL_S * (1 + random.SystemRandom().uniform(0, _JITTER))
