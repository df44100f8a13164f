"""`tokmon config`: its output is read back as the active configuration, and no file is overwritten."""

import json
import os
import re
import stat
import string
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.configuration import WHOLE, select, write_config
from tokmon import cli, paths
from tokmon.decision import policy_cache
from tokmon.decision import settings as configuration
from tokmon.decision.settings import MEANINGS
from tokmon.pool.settings import PoolSettings
from tokmon.report.configuration import configuration_text
from tokmon.selection.overrides import LONGEST, name_problem
from tokmon.selection.policy import POLICIES, SPENDING, Policy

ANY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

ODD = st.text(
    st.one_of(st.sampled_from("\"\\'#=[]{},.\n\t\0\u2028\ufeff\x7f\ud800~é日🙂"), st.characters()),
    min_size=0,
    max_size=40,
)
CHARACTERS = st.characters(exclude_categories=["C", "Z"])
NAMES = st.text(f"{string.ascii_letters}{string.digits}._:/@+-", min_size=1, max_size=40).filter(
    lambda name: not name.startswith("-")
)
FRACTIONS = st.floats(0, 1, exclude_min=True)
PRINTABLE = st.text(st.just(" ") | CHARACTERS, max_size=30)


def models(*names: str, **more: object) -> None:
    path = paths.find().models
    path.parent.mkdir(parents=True, exist_ok=True)
    entry = {"api": "anthropic-messages", "baseUrl": "https://api.anthropic.com", "apiKey": "sk-ant-oat01-x", **more}
    path.write_text(json.dumps({"providers": dict.fromkeys(names, entry)}), encoding="utf-8")


def read_back(text: str) -> configuration.Read:
    return configuration.read(write_config(text.encode()), {})


def printed(capsysbinary: pytest.CaptureFixture[bytes], *words: str) -> str:
    assert cli.main(["config", *words]) == 0
    out, errors = capsysbinary.readouterr()
    assert errors == b""
    return out.decode()


def test_every_key_has_a_comment() -> None:
    text = configuration_text(Policy(), None, PoolSettings(), ["head"], MEANINGS)
    for table, meanings in MEANINGS.items():
        assert "None" not in meanings.values(), "every key has a comment"
        part = text.partition(f"\n[{table}]\n")[2]
        assert [key for key in meanings if not re.search(rf"^#(\[{table}\.)?{key}\b", part, re.MULTILINE)] == []


def test_every_commented_key_shows_its_default_or_a_valid_example() -> None:
    text = configuration_text(Policy(), None, PoolSettings(), ["head"], MEANINGS)
    assert read_back(text) == configuration.Read(Policy(), None, ())
    example = read_back(re.sub(r"^#(?=\S)", "", text, flags=re.MULTILINE))
    assert example.errors == ()
    assert example.check_file == "~/.logs/checks.json"
    assert example.pool == PoolSettings(ignore=("nadja",), alias=("team-a",))
    named = {"chain", "fallback", "emergency", "models"}
    names = {field.name for field in fields(Policy)}
    same = {name for name in names if getattr(example.policy, name) == getattr(Policy(), name)}
    assert same == names - named


@ANY
@given(
    st.builds(
        Policy,
        chain=st.lists(NAMES, unique=True, max_size=12).map(tuple),
        fallback=st.lists(NAMES, unique=True, max_size=3).map(tuple),
        emergency=st.none() | NAMES,
        threshold=FRACTIONS,
        policy=st.sampled_from(POLICIES),
        model=NAMES,
        models=st.dictionaries(NAMES, NAMES, max_size=4).map(lambda models: tuple(models.items())),
        session_minutes=st.floats(0, 7 * 24 * 60, exclude_min=True),
        five_hour_guard=FRACTIONS,
        spend_credit=st.sampled_from(SPENDING),
    ),
    st.none() | PRINTABLE.map(lambda name: f"/{name}") | PRINTABLE.map(lambda name: f"~/{name}"),
    st.builds(
        PoolSettings,
        share=st.booleans(),
        ignore=st.lists(NAMES, unique=True, max_size=3).map(tuple),
        alias=st.lists(NAMES, unique=True, max_size=3).map(tuple),
    ),
)
def test_any_settings_are_read_back_unchanged(policy: Policy, check_file: str | None, pool: PoolSettings) -> None:
    text = configuration_text(policy, check_file, pool, ["head"], MEANINGS)
    assert read_back(text) == configuration.Read(policy, check_file, (), pool)


@ANY
@given(st.lists(ODD | st.text('a"\\ ', max_size=LONGEST + 2), max_size=8), st.lists(ODD, max_size=3))
def test_the_proposal_is_valid_for_any_names_in_models_json_and_is_the_one_that_select_uses(
    capsysbinary: pytest.CaptureFixture[bytes], names: list[str], ids: list[str]
) -> None:
    paths.find().config.unlink(missing_ok=True)
    models(*names, models=[{"id": model} for model in ids])
    wanted = policy_cache.propose(paths.find(), Policy())
    printed_configuration = read_back(printed(capsysbinary))
    assert printed_configuration.errors == ()
    assert printed_configuration.policy == wanted
    if not ids:
        assert set(wanted.accounts) == {name for name in names if name_problem(name) is None}


def test_the_active_configuration_includes_variables_but_no_pin(
    capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_config(WHOLE)
    monkeypatch.setenv("TOKMON_SELECT_CHAIN", "team-x, team-y")
    monkeypatch.setenv("TOKMON_SELECT_FIVE_HOUR_GUARD", "0.5")
    monkeypatch.setenv("TOKMON_PIN", "pinned")
    monkeypatch.setenv("TOKMON_DEFAULT_MODEL", "only-now")
    wanted = configuration.read(paths.find().config, dict(os.environ))
    assert wanted.policy.chain == ("team-x", "team-y")
    text = printed(capsysbinary)
    assert "TOKMON_SELECT_CHAIN, TOKMON_SELECT_FIVE_HOUR_GUARD" in text
    assert "pinned" not in text
    assert "only-now" not in text
    assert read_back(text) == wanted


def test_an_invalid_configuration_is_a_warning_and_the_one_in_use_is_printed(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    select(chain=["team-a"], threshold=90)
    assert cli.main(["config"]) == 0
    out, errors = capsysbinary.readouterr()
    assert b"`select.threshold` is `90`" in errors
    assert read_back(out.decode()).policy == Policy(chain=("team-a",))


@pytest.mark.parametrize("name", ["TOKMON_SELECT_\nthreshold: 2", "TOKMON_SELECT_É"])
def test_a_variable_with_an_odd_name_does_not_leave_its_comment(
    capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "1")
    assert cli.main(["config"]) == 0
    assert read_back(capsysbinary.readouterr().out.decode()).errors == ()


def test_the_file_is_private_and_written_once(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    models("team-a", "team-b")
    config = paths.find().config
    assert printed(capsysbinary, "--output", str(config)) == f"wrote `{config}`\n"
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert stat.S_IMODE(config.parent.stat().st_mode) == 0o700
    assert list(config.parent.iterdir()) == [config]
    assert configuration.read(config, {}).policy.chain == ("team-a", "team-b")
    before = config.read_bytes(), config.stat()
    models("team-c")
    assert printed(capsysbinary, "--output", str(config)).endswith("exists already; nothing was changed\n")
    assert (config.read_bytes(), config.stat()) == before
    assert tmp_path in config.parents


@pytest.mark.parametrize("lead", ["to a file", "nowhere"])
def test_a_link_in_place_of_the_file_is_neither_replaced_nor_followed(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes], lead: str
) -> None:
    victim, target = tmp_path / "victim", tmp_path / "config.toml"
    if lead == "to a file":
        victim.write_text("mine")
    target.symlink_to(victim)
    assert "exists already" in printed(capsysbinary, "--output", str(target))
    assert target.is_symlink()
    assert victim.exists() == (lead == "to a file")


def test_a_folder_that_cannot_be_written_is_an_error(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    (tmp_path / "file").write_text("")
    assert cli.main(["config", "--output", str(tmp_path / "file" / "config.toml")]) == 1
    assert b"hint: check the owner" in capsysbinary.readouterr().err


def test_an_existing_folder_keeps_its_mode(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    assert "wrote" in printed(capsysbinary, "--output", str(shared / "config.toml"))
    assert stat.S_IMODE(shared.stat().st_mode) == 0o755
