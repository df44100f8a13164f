"""Two members of one host decide on one view of the accounts that they share."""

import time
from pathlib import Path
from unittest.mock import ANY

from tests.pool.members import KEY, Member, member
from tests.sidecar.running import fresh, sidecar, wait_until
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


def refused(number: int, provider: str, key: str) -> dict[str, object]:
    """A capture of a 429 at the weekly limit, as the extension sends it."""
    used = {
        f"anthropic-ratelimit-unified-7d-{name}": value
        for name, value in (("status", "rejected"), ("utilization", "1"))
    }
    headers = fresh(number)["headers"] | used | {"anthropic-ratelimit-unified-status": "rejected"}
    more = {"account": "org-of-nadja", "credential": hash_of(KEY, key), "session": "session-of-nadja", "mission": "m"}
    return fresh(number, provider=provider, http_status=429, headers=headers, **more)


def test_a_running_sidecar_knows_at_once_what_the_sidecar_of_another_member_has_just_learned(tmp_path: Path) -> None:
    nadja, ludo = members(tmp_path)
    assert (ludo.select(), nadja.select()) == ("team-a", "team-b"), "each begins at another of two alike"
    with sidecar(env=dict(nadja.env)) as hers, sidecar(env=dict(ludo.env)):
        talk = hers.client()
        talk.send(refused(1, "team-a", SEATS["team-a"]))
        talk.acknowledged(1)
        wait_until(lambda: ludo.decided() == "team-b", "the other member's decision file names another account")
    known = nadja.known()
    assert known["sessions"] == [{"provider": "team-a", "count": 1, "since": ANY}]
    assert [*known["accounts"]] == ["team-a"]
    text = (nadja.published / "evidence.json").read_text(encoding="utf-8")
    secrets = ("org-of-nadja", "session-of-nadja", "sk-ant", str(tmp_path), '"m"')
    assert not [secret for secret in secrets if secret in text]


def test_identities_of_one_user_share_one_key_from_when_they_publish(tmp_path: Path) -> None:
    nadja, ludo = member(tmp_path, "nadja", KEY), member(tmp_path, "ludo", b"l" * 32)
    for one in (nadja, ludo):
        one.configure(SEATS)
    nadja.log(line("team-a", "rejected", 1.0, SEATS["team-a"]))
    assert nadja.select() == "team-b"
    assert "by nadja" not in ludo.run("status").stdout, "by its own key the credential is another one"
    ludo.select()
    assert "by nadja" in ludo.run("status").stdout
    keys = {(one.paths.state / "identity.key").read_bytes() for one in (nadja, ludo)}
    assert keys == {KEY}
    assert (tmp_path / "pool" / ".identity.key").stat().st_mode & 0o777 == 0o600
