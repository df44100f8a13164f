"""The snapshot of one member with what other members know of the same accounts.

A name is not an account, and the same organisation proves nothing. Two accounts of one name are the same if they have
the same credential, or if a 5h and a 7d window of both end at the same second; in doubt they are two. What differs in
its organisation is never the same. A refused key says nothing about another member's key, nor does a check of its pi.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

from tokmon.evidence.identities import Identity, PartKey
from tokmon.evidence.merge import merged
from tokmon.evidence.model import Status
from tokmon.evidence.snapshot import Account, Snapshot

_WINDOWS = ("5h", "7d")


class Doubt(NamedTuple):
    """An account of another member that may be the one of the same name here, and may not."""

    provider: str
    member: str


def with_others(
    own: Snapshot,
    others: Mapping[str, Snapshot],
    configured: Mapping[str, PartKey],
    aliases: Collection[str] = (),
    hashed: Callable[[str], str] = str,
    doubts: list[Doubt] | None = None,
    credentials: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> Snapshot:
    """A snapshot: `own`, with what `others` (by member) know of the accounts in it and of those `configured`.

    `configured` has what this member's configuration says of the identity of its accounts. `aliases` are names that
    mean one account for all, unless the organisations differ. `hashed` is how others name an organisation. Whose
    identity is not known is added to `doubts`. `credentials` are those that others have configured, by member and
    provider. The order of `others` does not matter.
    """
    accounts: dict[str, Account] = {}
    for provider in sorted({*own.providers, *configured, *aliases}):
        mine = next(iter(own.identities(provider)), None)
        known = [key._replace(account=key.account and hashed(key.account)) for key in (mine.keys if mine else ())]
        known += [configured[provider]] if provider in configured else []
        before = account = None if mine is None else mine.account
        for member in sorted(others):
            configured_there = credentials.get(member, {}).get(provider, "")
            for theirs in identities_with(others[member].identities(provider), configured_there):
                same = is_same(known, mine and mine.account, theirs, is_alias=provider in aliases)
                if same:
                    addition = theirs.account if _share_a_key(known, theirs.keys) else _without_key(theirs.account)
                    account = addition if account is None else merged(account, addition)
                elif same is None and doubts is not None:
                    doubts.append(Doubt(provider, member))
        if account is not None and account is not before:
            accounts[provider] = account
    return own.with_accounts(accounts) if accounts else own


def identities_with(identities: list[Identity], credential: str) -> list[Identity]:
    """The identities, of which the one in use has this credential if its evidence names none (that of probes does not).

    "" is a credential that is not known.
    """
    if not identities or not credential or _named(identities[0].keys, "credential"):
        return identities
    in_use, *others = identities
    return [in_use._replace(keys=(*in_use.keys, PartKey(credential=credential))), *others]


def is_same(
    known: Iterable[PartKey], account: Account | None, theirs: Identity, *, is_alias: bool = False
) -> bool | None:
    """Whether another member's identity is the account of these keys; None if that cannot be told.

    An alias is the owner's word that it is, which another organisation contradicts.
    """
    known = tuple(known)
    organisations, credentials = _named(known, "account"), _named(known, "credential")
    if organisations and (others := _named(theirs.keys, "account")) and organisations.isdisjoint(others):
        return False
    if is_alias or _share_a_key(known, theirs.keys):
        return True
    if account is not None and all(_share_an_end(account, theirs.account, window) for window in _WINDOWS):
        return True
    return False if credentials and _named(theirs.keys, "credential") else None


def _named(keys: Iterable[PartKey], field: str) -> set[str]:
    return {getattr(key, field) for key in keys} - {""}


def _share_a_key(keys: Iterable[PartKey], others: Iterable[PartKey]) -> bool:
    return not _named(keys, "credential").isdisjoint(_named(others, "credential"))


def _share_an_end(account: Account, other: Account, window: str) -> bool:
    """Whether both reported a window that ends at the same second."""
    return not {*_ends(account, window)}.isdisjoint(_ends(other, window))


def _ends(account: Account, window: str) -> Iterator[float]:
    known = account.windows.get(window)
    if known is not None and known.window.resets_at is not None:
        yield known.window.resets_at
    yield from (sample.resets_at for sample in account.history.samples(window) if sample.resets_at is not None)


def _without_key(account: Account) -> Account:
    """The account without what concerns the key or the pi of that member alone."""
    last = None if account.last is not None and account.last.status is Status.INVALID_KEY else account.last
    history = replace(account.history, key_refusals={}, key_refusal_times={}, last_failed_check=None)
    return replace(account, last=last, history=history)
