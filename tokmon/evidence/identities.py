"""The accounts behind one provider name: another login or key under the same name is another account.

A response names its account by an organisation or a ChatGPT account (`Evidence.account`). All seats of a team share
an organisation, and tell themselves apart by their windows only: the minute of the week at which 7d resets. A provider
moves that minute now and then, for one seat or for all. So it separates seats only if another window shows it too: a 5h
window that began while another one of that account was open is of another seat, since a reset opens one no earlier than
itself. Or if responses take turns: an end of 7d that comes back after another one was seen is of another seat.

A configured key is another account if it is another key, unless the windows of both agree to the second. A hash of it
tells them apart. A login has such a hash only of the account that auth.json names (`extensions/tokmon/login.ts`), and
then its windows do not count; its token is renewed every few hours.

Evidence that names no account counts for the one in use, if it is newer than all evidence about the others.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tokmon.evidence.history import later
from tokmon.evidence.log_line import SERVED, SOURCE, Evidence, Stamp
from tokmon.evidence.merge import merged
from tokmon.evidence.saved_form import required_text, stamp_from_json, stamp_json

if TYPE_CHECKING:
    from tokmon.evidence.snapshot import Account

_MOST: Final = 16
"""Parts of one provider. Beyond that the one without evidence for the longest time is dropped."""

SEAT: Final = "teams-direct"
"""The type of an account whose windows tell the seats of one organisation apart."""

LOGIN: Final = "login-"
"""How the hash of a login's account begins."""

_WEEK_MIN: Final = 7 * 24 * 60
_FIVE_HOURS: Final = 5 * 3600
_APART_S: Final = 120.0
"""Seconds by which responses of one moment may arrive in another order."""

_GRID_S: Final = 900.0
"""Seconds by which a 5h window may begin before its first request: ends are whole ten minutes."""

_NEVER: Final = (-inf, "")
_USES: Final = ("served", "turn", "newest")

ToJson = Callable[["Account"], dict[str, Any]]
FromJson = Callable[[Mapping[str, Any]], "Account"]


class PartKey(NamedTuple):
    """What evidence says of whose it is."""

    account: str = ""
    """The organisation or ChatGPT account, "" if none is named."""

    seat: int = -1
    """The minute of the week (UTC) at which 7d resets, -1 if it is not known."""

    credential: str = ""
    """The hash of a configured key or of a login's account, "" if it is not known."""


NOBODY: Final = PartKey()


@dataclass(slots=True)
class Part:
    """The evidence with one key: its account, and the newest evidence, turn of pi and served turn."""

    account: "Account"
    served: Stamp | None = None
    turn: Stamp | None = None
    newest: Stamp | None = None

    def add(self, evidence: Evidence) -> None:
        """Fold evidence in."""
        self.account.add(evidence)
        stamp = evidence.stamp
        self.newest = _newer(stamp, self.newest)
        if stamp.source == SOURCE:
            self.turn = _newer(stamp, self.turn)
            if evidence.status in SERVED:
                self.served = _newer(stamp, self.served)

    def to_json(self, account_json: ToJson) -> dict[str, Any]:
        """The part as in `state.json`."""
        stamps = {name: getattr(self, name) for name in _USES}
        used = {name: None if stamp is None else stamp_json(stamp) for name, stamp in stamps.items()}
        return {"used": used, **account_json(self.account)}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any], account_from_json: FromJson) -> "Part":
        """The part in the output of `to_json`; KeyError, TypeError or ValueError if it is anything else."""
        saved = [entry["used"][name] for name in _USES]
        stamps = (None if stamp is None else stamp_from_json(stamp) for stamp in saved)
        return cls(account_from_json(entry), *stamps)

    def copy(self) -> "Part":
        """A copy that can be added to without a change of this one."""
        return Part(self.account.copy(), self.served, self.turn, self.newest)


class Identity(NamedTuple):
    """One account behind a name. `label` is unique among those of the name; `keys` are those of its parts, if any."""

    label: str
    account: "Account"
    keys: tuple[PartKey, ...] = ()


class Identities:
    """The evidence about one provider name, by part."""

    def __init__(self, make: Callable[[], "Account"]) -> None:
        self.parts: dict[PartKey, Part] = {}
        self.added = 0
        self._make = make

    def add(self, evidence: Evidence) -> None:
        """Fold evidence in; `added` counts that."""
        self.added += 1
        key = key_of(evidence)
        part = self.parts.get(key)
        if part is None:
            part = self.parts[key] = Part(self._make())
        part.add(evidence)
        if len(self.parts) > _MOST:
            del self.parts[min(self.parts.keys() - {NOBODY}, key=lambda key: _order(self.parts[key].newest))]

    def copy(self) -> "Identities":
        """A copy that can be added to without a change of this one."""
        copied = Identities(self._make)
        copied.parts = {key: part.copy() for key, part in self.parts.items()}
        return copied

    def to_json(self, account_json: ToJson) -> dict[str, Any]:
        """What names no account, with the account's own fields; the parts that name one under `identities`."""
        unnamed = self.parts.get(NOBODY)
        return {
            **({} if unnamed is None else unnamed.to_json(account_json)),
            "identities": [
                {**key._asdict(), **part.to_json(account_json)}
                for key, part in sorted(self.parts.items())
                if key != NOBODY
            ],
        }

    def add_json(self, entry: Mapping[str, Any], account_from_json: FromJson) -> "Identities":
        """Add the parts in the output of `to_json`; KeyError, TypeError or ValueError if it is anything else."""
        if "used" in entry:
            self.parts[NOBODY] = Part.from_json(entry, account_from_json)
        for saved in entry["identities"]:
            seat = int(saved["seat"])
            if not -1 <= seat < _WEEK_MIN:
                raise ValueError("no minute of a week")
            key = PartKey(required_text(saved["account"]), seat, required_text(saved["credential"]))
            self.parts[key] = Part.from_json(saved, account_from_json)
        if not self.parts:
            raise ValueError("a provider without evidence")
        return self

    def accounts(self) -> list[Identity]:
        """The accounts, first the one that sessions use now: that of the newest turn, else of the newest evidence.

        A refused turn does not bring an account back that was served before: it may be the last of an old login.
        """
        groups = sorted(self._groups(), key=lambda group: self._in_use(group[1]), reverse=True)
        if not groups:
            return [Identity("", self.parts[NOBODY].account)]
        in_use, *others = [Identity(label, self._account(keys), tuple(keys)) for label, keys in groups]
        return [in_use._replace(account=self._with_unnamed(in_use.account, [keys for _, keys in groups])), *others]

    def _groups(self) -> Iterator[tuple[str, list[PartKey]]]:
        """The label and the parts of each account. What names no account, or no seat of several, is in none."""
        by_key = self._keys()
        for keys in by_key:
            accounts = {part.account for part in keys}
            rivals = {part.account for others in by_key if others != keys for part in others}
            known = accounts - rivals - {""}
            alone = [part for part in self.parts if not part.credential and part.account in known]
            account = next(iter(sorted(accounts)[-1:]), "")
            yield ", ".join(filter(None, [account, _credential(keys[0].credential)])), keys + sorted(alone)
        with_key = {part.account for keys in by_key for part in keys}
        for account in sorted({part.account for part in self.parts} - with_key - {""}):
            keys = sorted(part for part in self.parts if part.account == account)
            seats = [part for part in keys if part.seat >= 0]
            if any(self._are_two_seats(one, other) for one in seats for other in seats if one != other):
                yield from ((_label(part), [part]) for part in seats)
            else:
                yield account, keys

    def _keys(self) -> list[list[PartKey]]:
        """The parts of each configured key; of several keys if they are of one seat: a key may be renewed too."""
        groups: list[list[PartKey]] = []
        for credential in sorted({part.credential for part in self.parts} - {""}):
            parts = sorted(part for part in self.parts if part.credential == credential)
            same = [group for group in groups if any(self._agree(one, other) for one in group for other in parts)]
            others = [group for group in groups if group not in same]
            groups = [*others, sorted([*parts, *(part for group in same for part in group)])]
        return groups

    def _agree(self, one: PartKey, other: PartKey) -> bool:
        """Whether both reported one end of 5h and one of 7d, to the second, in one organisation."""
        named = one.credential.startswith(LOGIN) and other.credential.startswith(LOGIN)
        if named or not one.account or one.account != other.account:
            return False
        histories = [self.parts[part].account.history for part in (one, other)]
        for window in ("5h", "7d"):
            ends = [{sample.resets_at for sample in history.samples(window)} - {None} for history in histories]
            if ends[0].isdisjoint(ends[1]):
                return False
        return True

    def _are_two_seats(self, one: PartKey, other: PartKey) -> bool:
        return self._alternate(one, other) or self._overlap(one, other)

    def _overlap(self, one: PartKey, other: PartKey) -> bool:
        """Whether a 5h window of the other seat was open already while one of this seat was, and none is its successor.

        Of responses of one moment, which may arrive in another order, either window may be the successor.
        """
        windows, others = ([*self._five_hours(part)] for part in (one, other))
        return any(
            other_end - _FIVE_HOURS < ts - _GRID_S
            and (ts < other_ts - _APART_S or (ts < other_ts + _APART_S and end - _FIVE_HOURS < other_ts - _GRID_S))
            and abs(end - other_end) > _APART_S
            for ts, end in windows
            for other_ts, other_end in others
        )

    def _five_hours(self, part: PartKey) -> Iterator[tuple[float, float]]:
        """When the 5h windows of a part were reported, and their ends."""
        for sample in self.parts[part].account.history.samples("5h"):
            if sample.resets_at is not None and sample.ts < sample.resets_at:
                yield sample.ts, sample.resets_at

    def _alternate(self, one: PartKey, other: PartKey) -> bool:
        """Whether a response of the other seat came between two of this one with the same end of 7d."""
        times: dict[int, list[float]] = {}
        for sample in self.parts[one].account.history.samples("7d"):
            times.setdefault(round((sample.resets_at or 0) / 60), []).append(sample.ts)
        between = [sample.ts for sample in self.parts[other].account.history.samples("7d")]
        return any(min(instants) < ts < max(instants) - _APART_S for instants in times.values() for ts in between)

    def _in_use(self, keys: list[PartKey]) -> tuple[bool, tuple[float, str]]:
        """Orders accounts by how recently sessions used them."""
        parts = [self.parts[key] for key in keys]
        served, turn, newest = (max(_order(getattr(part, name)) for part in parts) for name in _USES)
        used = served if served > _NEVER else turn
        return (True, used) if used > _NEVER else (False, newest)

    def _account(self, keys: list[PartKey]) -> "Account":
        account = self.parts[keys[0]].account
        for key in keys[1:]:
            account = merged(account, self.parts[key].account)
        return account

    def _with_unnamed(self, account: "Account", groups: list[list[PartKey]]) -> "Account":
        """The account in use (the first group), with what names none, if that is newer than the others' evidence."""
        grouped = {part for group in groups for part in group}
        named = {"", *(part.account for part in groups[0])}
        for unnamed in sorted(part for part in self.parts if part not in grouped and part.account in named):
            rivals = [part for group in groups[1:] for part in group if unnamed.account in {"", part.account}]
            since = max((_order(self.parts[part].newest) for part in rivals), default=_NEVER)[0]
            account = merged(account, self.parts[unnamed].account, since)
        return account


def key_of(evidence: Evidence) -> PartKey:
    """The key of the part that evidence belongs to."""
    if evidence.credential is not None or evidence.account is None:
        return PartKey(evidence.account or "", credential=evidence.credential or "")
    end = next((window.resets_at for window in evidence.windows if window.name == "7d"), None)
    if evidence.type != SEAT or end is None:
        return PartKey(evidence.account)
    return PartKey(evidence.account, round(end / 60) % _WEEK_MIN)


def _label(key: PartKey) -> str:
    """`1a2b3c4d, 7d resets Thu 06:00 UTC`: the label of a seat that its windows alone tell apart."""
    days, minutes = divmod(key.seat, 24 * 60)
    day = ("Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed")[days]  # the epoch began on a Thursday
    return f"{key.account}, 7d resets {day} {minutes // 60:02}:{minutes % 60:02} UTC"


def _credential(name: str) -> str:
    """`key 1a2b3c4d` or `login 1a2b3c4d`: the label of a credential."""
    kind = "login" if name.startswith(LOGIN) else "key"
    return f"{kind} {name.removeprefix(LOGIN)[:8]}"


def _order(stamp: Stamp | None) -> tuple[float, str]:
    return _NEVER if stamp is None else (stamp.ts, stamp.id)


def _newer(stamp: Stamp, known: Stamp | None) -> Stamp:
    return stamp if known is None or later(stamp, "", (known, "")) else known
