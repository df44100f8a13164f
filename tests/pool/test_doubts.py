"""`tokmon doctor` names the accounts of other members that may be the same, and the line that merges them."""

from pathlib import Path

import pytest

from tests.commands.clinic import finding_of
from tests.commands.screens import providers
from tests.commands.test_one_verdict import MINUTE, at, week
from tests.configuration import write_config
from tests.pool.publishing import SEATS, be_member, publish
from tokmon.report.findings import Finding

NAMELESS = {"account": "", "credential": ""}
"""Evidence that says nothing of whose it is."""


@pytest.fixture(autouse=True)
def _ludo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    be_member("ludo", tmp_path, monkeypatch, SEATS)


def finding() -> Finding:
    return finding_of("pool_identity")


def test_the_doctor_has_no_doubt_where_nobody_else_has_an_account_of_the_name() -> None:
    publish("nadja", at(MINUTE, "other", "allowed"))
    assert finding().level == "ok"


def test_the_doctor_has_no_doubt_about_an_account_with_the_same_key_or_with_another_one() -> None:
    publish("nadja", at(MINUTE, "team-a", "allowed", windows=[week(0.5)]))
    publish("molto", at(MINUTE, "team-a", "allowed", credential="another", windows=[week(0.5)]))
    assert finding().level == "ok"


def test_the_doctor_names_an_account_in_doubt_and_the_line_that_merges_it() -> None:
    write_config('[pool]\nalias = ["gate"]\n')
    for name in ("nadja", "molto"):
        publish(name, at(MINUTE, "team-a", "no_credit") | NAMELESS)
    doubt = finding()
    assert doubt.level == "warn"
    assert doubt.text.endswith("not merged: `team-a` here and of molto, nadja")
    assert doubt.fix is not None
    assert 'alias = ["gate", "team-a"]' in doubt.fix
    assert providers()["team-a"]["fitness"] == "unknown"
    write_config('[pool]\nalias = ["gate", "team-a"]\n')
    assert finding().level == "ok"
    assert providers()["team-a"]["reason"] == "no credit"


def test_the_doctor_counts_members_beyond_the_first_five() -> None:
    for number in range(7):
        publish(f"m{number}", at(MINUTE, "team-a", "no_credit") | NAMELESS)
    assert finding().text.endswith("`team-a` here and of m0, m1, m2, m3, m4 and 2 other members")
