"""Two members of one host decide on one view of the accounts that they share."""

import time
from pathlib import Path

from tests.pool.members import KEY, Member, member
from tokmon.pool.key import hash_of
from tokmon.wire.instants import rfc3339

SEATS = {"team-a": "sk-ant-oat01-aaaaaaaaaaaa", "team-b": "sk-ant-oat01-bbbbbbbbbbbb"}


def line(provider: str, status: str, used: float, key: str, **fields: object) -> dict[str, object]:
    now = time.time()
    return {
        "ts": rfc3339(now - 1),
        "id": f"abc-{provider}",
        "source": "piggyback",
        "provider": provider,
        "type": "teams-direct",
        "http_status": 429 if status == "rejected" else 200,
        "status": status,
        "account": "org-1",
        "credential": hash_of(KEY, key),
        "windows": [
            {"name": "5h", "utilization": used, "resets_at": rfc3339(now // 600 * 600 + 7200)},
            {"name": "7d", "utilization": 0.2, "resets_at": rfc3339(now // 600 * 600 + 200_000)},
        ],
        **fields,
    }


def members(tmp_path: Path) -> tuple[Member, Member]:
    nadja, ludo = member(tmp_path, "nadja"), member(tmp_path, "ludo")
    for one in (nadja, ludo):
        one.configure(SEATS)
    return nadja, ludo


def test_the_429_of_one_member_changes_the_choice_of_another_which_has_used_nothing_yet(tmp_path: Path) -> None:
    nadja, ludo = members(tmp_path)
    assert ludo.select() == "team-a"
    nadja.log(line("team-a", "rejected", 1.0, SEATS["team-a"]))
    assert nadja.select() == "team-b"
    assert ludo.select() == "team-b"
