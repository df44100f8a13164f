"""Where nothing can be decided and nothing was: what the environment names, else the first of the chain."""

import os
from pathlib import Path

import pytest

from tests.hooks.wake import BUILT_IN, SLACK_S, Wake
from tokmon.decision import settings

TABLES = {
    "one line": '[select]\nchain = ["team-a", "team-b"]\nmodel = "m"\n',
    "one of it": "[select]\nchain=['team-a']",
    "lines of it": "[select]\n# now\n\tchain = [ # in order\n\n\t  # first\n\t  'team-a',\n 'team-b'\n]\nmodel = 'm'\n",
    "its own model": '[select]\nchain = ["team-a"]\nmodel = "m"\n[select.models]\nteam-ab="q"\n"team-a" = "own" # x\n',
    "models before it": '[select.models]\nteam-a = "own"\nteam-b = "q"\n[ select ] # now\nchain = ["team-b"]\n',
    "models on one line": '[select]\nmodels = { team-b = "q", "team-a" = "own" }\nchain = ["team-a"]\n',
    "keys with points": 'select.chain = ["team-a"]\nselect.model = "m"\nselect.models.team-b = "q"\n',
    "other keys": '[select]\nfallback = ["team-b"]\nemergency = "q"\nthreshold = 0.5\nchain = ["team-a"]\n',
    "every character": '[select]\nchain = ["a.b_c:d/e@f+g-1"]\nmodel = "H.i_J:k/l@m+n-2"\n',
    "lines that end otherwise": "[select]\r\nchain = ['team-a']\r\n[select.models]\r\nteam-a = 'own'\r\n",
    "lists that end otherwise": "[select]\r\nchain = [ # x\r\n\r\n \t'team-a',\r\n]\r\nmodel = 'm'\r\n",
    "named like keys": '[select]\nmodel = "m"\nchain = [\n"team-a",\n"model", # = "no"\n"chain" # = ["no"]\n]\n',
    "comments": '[select]\nchain = ["team-a"] # "b"\nmodels = { team-b = "q" } # a = "x", team-a = "no", b = "y" }\n',
    "points and blanks": '[ select . models ]\nteam-a = "own"\nchain = "no"\n[select]\nmodel = "m"\n',
    "a model alone": '[select]\nmodel = "m"\n',
    "an empty chain": '[select]\nchain = []\nmodel = "m"\n',
    "an empty chain on lines": '[select]\nchain = [\n]\n[select.models]\nteam-a = "own"\n',
    "another table": '[other]\nchain = ["team-a"]\n',
    "nothing": "",
}
VARIABLES: tuple[dict[str, str], ...] = (
    {},
    {"TOKMON_SELECT_CHAIN": "team-x, team-b"},
    {"TOKMON_SELECT_CHAIN": '["team-b","team-x"]', "TOKMON_SELECT_MODEL": "asked"},
    {"TOKMON_SELECT_MODELS": "team-b=q, team-a=theirs"},
    {"TOKMON_SELECT_MODELS": '{"team-b": "q", "team-a": "theirs"}'},
    {"TOKMON_SELECT_CHAIN": '[\n  "team-b"\n]', "TOKMON_SELECT_MODELS": '{\n  "team-a": "q",\n  "team-b": "theirs"\n}'},
    {"TOKMON_SELECT_CHAIN": " ", "TOKMON_SELECT_MODEL": "\t", "TOKMON_SELECT_MODELS": " \n"},
    {"TOKMON_SELECT_CHAIN": ",".join(f"team-{number}" for number in range(10_000))},
)
READ = 1 << 14
"""Bytes of the file that are read."""

NOT_UNDERSTOOD = {
    "an escape": '[select]\nchain = ["team\\u002da"]\n',
    "an escape in a model": '[select]\nchain = ["anthropic"]\nmodel = "m\\u002dn"\n',
    "an escape in models": '[select]\nchain = ["anthropic"]\nmodels = { anthropic = "m\\u002dn" }\n',
    "letters of others": '[select]\nchain = ["team-é"]\n',
    "letters of others in models": '[select]\nchain = ["anthropic"]\n[select.models]\nanthropic = "mé"\n',
    "a blank in it": '[select]\nchain = ["team a"]\n',
    "no quotes": "[select]\nchain = [team-a]\n",
    "a chain that is cut off": "#" * READ + '\n[select]\nchain = ["team-a"]\n',
    "a name that is cut": '[select]\nchain = ["team-a"]\n'.rjust(READ + len('a"]\n'), "\n"),
    "a model that is cut": '[select]\nchain = ["anthropic"]\nmodel = "m-n"\n'.rjust(READ + len('n"\n'), "\n"),
    "models that are cut": '[select]\nchain=["anthropic"]\nmodels.anthropic="m-n"\n'.rjust(READ + len('n"\n'), "\n"),
    "a table that is cut": '[select]\nchain=["anthropic"]\nmodels={anthropic="m-n"}\n'.rjust(READ + len('n"}\n'), "\n"),
}
RUBBISH = {
    "quotes": "[select]\nchain = [" + '"' * 16_000,
    "commas": '[select]\nchain = ["team-a"]\nmodels = ' + "," * 16_000,
    "commas on lines": '[select]\nchain = ["team-a"]\n' + ("models = " + "," * 3_000 + "\n") * 5,
    "short lines": "a\n" * 100_000,
    "one line": "[select]\nchain = " + "x" * 1_000_000,
    "zeros": "\0" * 100_000,
    "equals": "[select]\n" + ("chain" + "=" * 3_990 + "\n") * 4,
    "keys": "[select]\n" + "model=m\n" * 2_000,
    "a command": '[select]\nchain = ["$(id)"]\nmodel = "`id`"\n',
    "letters of others": '[select]\nchain = ["équipe"]\n',
    "no end": "[select]\nchain = [",
}


@pytest.fixture
def alone(wake: Wake) -> Wake:
    """A wake without tokmon that never had a decision."""
    (wake.home / ".local" / "bin" / "tokmon").unlink()
    wake.last.unlink()
    return wake


def configure(wake: Wake, text: str) -> Path:
    path = wake.home / ".config" / "tokmon" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize("variables", VARIABLES, ids=range(len(VARIABLES)))
@pytest.mark.parametrize("table", TABLES)
def test_it_is_the_first_of_the_chain_with_its_model(alone: Wake, table: str, variables: dict[str, str]) -> None:
    path = configure(alone, TABLES[table])
    policy = settings.read(path, variables).policy
    expected = f"{policy.chain[0]} {policy.model_of(policy.chain[0])}" if policy.chain else None
    said = alone.said(**variables)  # type: ignore[arg-type]  # variables alone
    assert said.line == (expected or BUILT_IN)
    assert said.errors.endswith("no last good decision: this is the default")


def test_what_the_environment_names_comes_first(alone: Wake) -> None:
    configure(alone, '[select]\nchain = ["team-a"]\nmodel = "m"\n[select.models]\nteam-b = "own"\n')
    assert alone.line(TOKMON_DEFAULT_PROVIDER="team-b") == "team-b own"
    assert alone.line(VIGILIO_PROVIDER="team-c") == "team-c m"
    assert alone.line(TOKMON_DEFAULT_MODEL="named") == "team-a named"
    assert alone.line(TOKMON_PIN="team-b", TOKMON_DEFAULT_PROVIDER="team-c") == "team-b own"
    assert alone.line(TOKMON_DEFAULT_PROVIDER="no name") == "team-a m"


def test_the_configuration_is_found_where_tokmon_finds_it(alone: Wake) -> None:
    for folder in ("one", "two/tokmon"):
        place = alone.folder / folder
        place.mkdir(parents=True)
        (place / "config.toml").write_text(f'[select]\nchain = ["{folder.split("/")[0]}-a"]\n', "utf-8")
    configure(alone, '[select]\nchain = ["home-a"]\n')
    assert alone.line() == "home-a claude-sonnet-4-6"
    assert alone.line(TOKMON_CONFIG_DIR=str(alone.folder / "one")) == "one-a claude-sonnet-4-6"
    assert alone.line(XDG_CONFIG_HOME=str(alone.folder / "two")) == "two-a claude-sonnet-4-6"
    assert alone.line(XDG_CONFIG_HOME="two") == "home-a claude-sonnet-4-6"


@pytest.mark.parametrize("text", NOT_UNDERSTOOD)
def test_what_is_not_understood_is_not_said(alone: Wake, text: str) -> None:
    configure(alone, NOT_UNDERSTOOD[text])
    assert alone.line() == BUILT_IN


@pytest.mark.parametrize("character", ["a", "[", "=", '"', "\\", "\n", ","])
@pytest.mark.parametrize("name", ["TOKMON_SELECT_CHAIN", "TOKMON_SELECT_MODEL", "TOKMON_SELECT_MODELS"])
def test_a_huge_variable_is_read_in_no_time(alone: Wake, name: str, character: str) -> None:
    said = alone.said(TOKMON_DEFAULT_PROVIDER="team-a", TOKMON_DEADLINE_MS="0", **{name: character * 100_000})  # type: ignore[arg-type]
    assert said.line == "team-a claude-sonnet-4-6"
    said = alone.said(TOKMON_DEADLINE_MS="0", **{name: character * 100_000})  # type: ignore[arg-type]  # variables alone
    assert (said.line, said.seconds < SLACK_S) == (BUILT_IN, True)


@pytest.mark.parametrize("rubbish", RUBBISH)
def test_rubbish_is_read_in_no_time_and_gives_a_line(alone: Wake, rubbish: str) -> None:
    configure(alone, RUBBISH[rubbish])
    assert alone.line(TOKMON_DEADLINE_MS="0") in {BUILT_IN, "team-a claude-sonnet-4-6"}


def test_only_a_file_is_read_and_a_link_to_one(alone: Wake) -> None:
    path = configure(alone, '[select]\nchain = ["team-a"]\n')
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")
    assert alone.line() == "team-a claude-sonnet-4-6"
    path.unlink()
    os.mkfifo(path)
    assert alone.line() == BUILT_IN
