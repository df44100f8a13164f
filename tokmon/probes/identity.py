"""Whose the accounts of pi are by its configuration alone, before the first turn on them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tokmon.evidence.identities import LOGIN, PartKey
from tokmon.paths import Paths
from tokmon.pi.accounts import LOGIN_NAMES, is_oauth, read_entries, read_logins
from tokmon.pool.key import hash_of
from tokmon.probes.credentials import NoCredentialError, credential

_RENEWED: Final = re.compile(r"eyJ[\w-]*\.[\w-]+\.")
"""A token that is renewed within hours, whoever renews it: it identifies nobody."""


def configured_identities(paths: Paths, env: Mapping[str, str], key: bytes, now: float) -> dict[str, PartKey]:
    """The hash of the key, or of the account of the login, of each account that has one here.

    They are those that `extensions/tokmon/identity.ts` and `login.ts` make of the same credential.
    """
    logins = read_logins(paths)
    identities = {}
    for name, entry in read_entries(paths, env).items():
        hashed = _hash(entry, logins.get(name), env, key, now)
        if hashed is not None:
            identities[name] = PartKey(credential=hashed)
    return identities


def _hash(entry: Mapping[str, Any], login: object, env: Mapping[str, str], key: bytes, now: float) -> str | None:
    if isinstance(login, Mapping) and is_oauth(login):
        account = next(_names(login), None)
        return account and f"{LOGIN}{hash_of(key, f'login:{account}')}"
    try:
        value = credential(entry, login, env, now).key
    except NoCredentialError:
        return None
    return None if value.startswith("<") or _RENEWED.match(value) else hash_of(key, value)


def _names(login: Mapping[str, Any]) -> Iterator[str]:
    """What names one user in a login, or in its `account`."""
    account = login.get("account")
    for source in (login, account if isinstance(account, Mapping) else {}):
        yield from (text for name in LOGIN_NAMES if isinstance(text := source.get(name), str) and text)
