"""The evidence that a choice rests on: this member's own, with what the other members of the pool know."""

import os
import time
from collections.abc import Collection, Mapping
from functools import partial
from typing import Final

from tokmon.decision.deadline import seconds_left
from tokmon.errors import StoreError
from tokmon.evidence.shared import Doubt
from tokmon.evidence.snapshot import Snapshot
from tokmon.paths import Paths
from tokmon.pool import folder
from tokmon.pool.folder import Problem
from tokmon.pool.key import hash_of_account, read_key
from tokmon.pool.publication import Encoder, RunningSessions
from tokmon.pool.settings import PoolSettings
from tokmon.pool.view import Known, PoolReader, merge
from tokmon.store.state_file import State

_READ_S: Final = 0.5
"""How long reading the others may take in all: nobody can make another's wake slower than that."""

_READER: Final = PoolReader()
"""What this process has read already, of files that have not changed since."""


def read_others(
    paths: Paths, env: Mapping[str, str], settings: PoolSettings, names: Collection[str] | None, now: float
) -> tuple[list[Known], list[Problem]]:
    """What the other members know of these accounts (of all if None), and what of it is not believed."""
    if not settings.share:
        return [], []
    left = seconds_left(env) - _READ_S if env.get("TOKMON_DEADLINE_MS") else _READ_S
    return _READER.read(folder.look(paths, env), settings, names, now, time.monotonic() + min(_READ_S, max(0.0, left)))


def with_members(
    paths: Paths,
    env: Mapping[str, str],
    settings: PoolSettings,
    own: Snapshot,
    names: Collection[str],
    doubts: list[Doubt] | None = None,
) -> Snapshot:
    """The snapshot with what the other members know of the accounts in it, and of those with these names."""
    now = time.time()
    known, _ = read_others(paths, env, settings, {*own.providers, *names}, now)
    known = [one for one in known if one.publication.snapshot.providers]
    if not known:
        return own
    key = read_key(paths)
    from tokmon.probes.identity import configured_identities  # noqa: PLC0415 - not where no member shares an account

    configured = {} if key is None else configured_identities(paths, env, key, now)
    hashed = partial(hash_of_account, key) if key is not None else str
    return merge(own, known, configured, settings, hashed, doubts)


def publish(paths: Paths, env: Mapping[str, str], settings: PoolSettings, state: State) -> None:
    """Publish what this member knows, unless that is there already: a running sidecar has done so.

    OSError, StoreError or ValueError if it cannot be written.
    """
    key = read_key(paths) if settings.share else None
    target = None if key is None else folder.own_folder(paths, env)
    if key is None or target is None or _published_at(target) >= state.newest:
        return
    publish_all(paths, env, Encoder(key), state, ())


def publish_all(
    paths: Paths, env: Mapping[str, str], encoder: Encoder, state: State, sessions: Collection[RunningSessions]
) -> None:
    """Publish it in any case, with the sessions that run now; errors as `publish`."""
    target = folder.make_own(paths, env)
    if target is None:
        raise StoreError("this member has no folder in the pool", hint="run root's install again")
    from tokmon.probes.identity import configured_identities  # noqa: PLC0415 - not where nothing is published

    now = time.time()
    configured = configured_identities(paths, env, encoder.key, now)
    folder.write(target, "evidence", encoder.value(state.snapshot, sessions, now, configured))


def _published_at(target: os.PathLike[str]) -> float:
    try:
        return os.stat(os.path.join(target, "evidence.json")).st_mtime  # noqa: PTH116, PTH118
    except OSError:
        return 0.0
