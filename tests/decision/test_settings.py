"""What the configuration may say, where each error is found, and that nothing else ever comes of it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.configuration import WHOLE, pool, select, toml, write_config
from tokmon import paths
from tokmon.decision.keys import Select
from tokmon.decision.settings import KEYS, TABLES, WANTED, Read, read
from tokmon.errors import SettingsError
from tokmon.pool.settings import PoolSettings
from tokmon.selection.overrides import LONGEST, PER_CALL, PREFIX, THRESHOLD, name_problem
from tokmon.selection.policy import POLICIES, SPENDING, Policy

ANY_FILE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

WHOLE_POLICY = Policy(
    chain=("team-a", "team-b"),
    fallback=("xai-a",),
    emergency="gate",
    threshold=0.8,
    policy="threshold",
    models=(("xai-a", "grok-4"),),
    session_minutes=90.0,
    five_hour_guard=0.7,
    spend_credit="never",
)


WHOLE_POOL = PoolSettings(share=False, ignore=("nadja", "host-b/ludo"), alias=("team-a",))


def found(env: Mapping[str, str] | None = None) -> Read:
    return read(paths.find().config, env or {})


def only(env: Mapping[str, str] | None = None) -> SettingsError:
    errors = found(env).errors
    assert len(errors) == 1, errors
    return errors[0]


def test_without_a_file_the_policy_is_that_of_the_defaults() -> None:
    assert found() == Read(Policy(), None, ())


def test_a_file_with_every_key_is_the_policy_that_it_says() -> None:
    write_config(WHOLE)
    assert found() == Read(WHOLE_POLICY, "~/checks.json", (), WHOLE_POOL)


def test_every_key_is_also_a_variable() -> None:
    said = {
        "CHAIN": "team-a, team-b",
        "FALLBACK": '["xai-a"]',
        "EMERGENCY": "gate",
        "THRESHOLD": "0.8",
        "POLICY": "threshold",
        "MODEL": "claude-sonnet-4-6",
        "MODELS": "xai-a=grok-4",
        "SESSION_MINUTES": "90",
        "FIVE_HOUR_GUARD": ".7",
        "SPEND_CREDIT": "never",
        "CHECK_FILE": "/x/checks.json",
    }
    assert {name.lower() for name in said} == set(KEYS) == set(WANTED["select"])
    env = {f"{PREFIX}{name}": value for name, value in said.items()}
    assert found(env) == Read(WHOLE_POLICY, "/x/checks.json", ())
    assert found({**env, f"{PREFIX}MODELS": '{"xai-a": "grok-4"}'}).policy == WHOLE_POLICY


def test_a_variable_overrides_the_file_and_the_older_name_of_the_threshold_overrides_both() -> None:
    select(threshold=0.5, chain=["a"])
    assert found({f"{PREFIX}THRESHOLD": "0.6"}).policy.threshold == 0.6
    assert found({f"{PREFIX}THRESHOLD": "0.6", THRESHOLD: "0.7"}).policy == Policy(chain=("a",), threshold=0.7)


def test_a_variable_that_is_empty_says_nothing() -> None:
    assert found({f"{PREFIX}CHAIN": "", THRESHOLD: " "}) == Read(Policy(), None, ())


def test_the_words_and_the_defaults_are_those_of_the_policy() -> None:
    assert get_args(Select.model_fields["policy"].annotation) == POLICIES
    assert get_args(Select.model_fields["spend_credit"].annotation) == SPENDING
    write_config("[select]\n")
    assert found().policy == Policy()


@pytest.mark.parametrize(
    ("keys", "field", "words"),
    [
        ({"threshold": 90}, "select.threshold", "`90`, and must be a fraction, over 0 and up to 1"),
        ({"five_hour_guard": 85.0}, "select.five_hour_guard", "`85.0`, and must be a fraction"),
        ({"threshold": 0}, "select.threshold", "`0`, and must be a fraction"),
        ({"threshold": True}, "select.threshold", "`true`, and must be a fraction"),
        ({"threshold": "0.9"}, "select.threshold", "`0.9`, and must be a fraction"),
        ({"threshold": float("nan")}, "select.threshold", "`nan`, and must be a fraction"),
        ({"session_minutes": 0}, "select.session_minutes", "`0`, and must be minutes"),
        ({"session_minutes": -1.5}, "select.session_minutes", "`-1.5`, and must be minutes"),
        ({"session_minutes": 1 << 20000}, "select.session_minutes", "`int`, and must be minutes"),
        ({"session_minutes": float("inf")}, "select.session_minutes", "`inf`, and must be minutes"),
        ({"policy": "forcast"}, "select.policy", "`forcast`, and must be `forecast` or `threshold`"),
        ({"spend_credit": "always"}, "select.spend_credit", "`always`, and must be `never`, `after-plan` or `first`"),
        ({"chain": "team-a"}, "select.chain", "`team-a`, and must be a list of provider names"),
        ({"chain": ["a", "b", "a"]}, "select.chain", "with `a` in it more than once"),
        ({"chain": ["a", ""]}, "select.chain[1]", "``, an empty name"),
        ({"chain": ["a", "b c"]}, "select.chain[1]", "`b c`, which has white space in it"),
        ({"fallback": ["a\nb"]}, "select.fallback[0]", r"`a\nb`, which has white space in it"),
        ({"chain": ["a\x1b[31m"]}, "select.chain[0]", r"`a\x1b[31m`, which has characters in it that do not print"),
        ({"chain": ["a\u202eb"]}, "select.chain[0]", "which has characters in it that do not print"),
        ({"emergency": "x" * (LONGEST + 1)}, "select.emergency", f"which is longer than {LONGEST} characters"),
        ({"emergency": ["a"]}, "select.emergency", "`['a']`, and must be a provider name"),
        ({"model": ""}, "select.model", "``, an empty name"),
        ({"models": {"a": "b c"}}, "select.models.a", "`b c`, which has white space in it"),
        ({"model": "opus[1m]"}, "select.model", "`opus[1m]`, which has other characters than A-Z a-z 0-9"),
        ({"chain": ["é"]}, "select.chain[0]", "`é`, which has other characters than"),
        ({"models": {"a": 1}}, "select.models.a", "`1`, and must be a name"),
        ({"models": "a"}, "select.models", "`a`, and must be a table of models by provider"),
        ({"check_file": "checks.json"}, "select.check_file", "`checks.json`, and must be a path that begins with"),
        ({"chian": ["a"]}, "select.chian", "`['a']`, unknown key"),
    ],
)
def test_a_value_that_cannot_be_is_told_with_its_key_its_value_and_its_file(
    keys: dict[str, Any], field: str, words: str
) -> None:
    path = select(**keys)
    error = only()
    assert error.field == field
    assert str(error).startswith(f"`{path}`: `{field}` is `")
    assert words in str(error)


@pytest.mark.parametrize(
    ("keys", "field", "words"),
    [
        ({"share": "no"}, "pool.share", "`no`, and must be `true` or `false`"),
        ({"share": 1}, "pool.share", "`1`, and must be `true` or `false`"),
        ({"ignore": "nadja"}, "pool.ignore", "`nadja`, and must be a list of member names"),
        ({"ignore": ["nadja", "a b"]}, "pool.ignore[1]", "`a b`, which has white space in it"),
        ({"ignore": ["nadja", "nadja"]}, "pool.ignore", "with `nadja` in it more than once"),
        ({"alias": {"a": "b"}}, "pool.alias", "and must be a list of account names"),
        ({"alias": [7]}, "pool.alias[0]", "`7`, and must be a name"),
        ({"ignroe": ["nadja"]}, "pool.ignroe", "`['nadja']`, unknown key"),
    ],
)
def test_error_in_the_pool_table_names_key_value_and_file_and_leaves_the_other_keys(
    keys: dict[str, Any], field: str, words: str
) -> None:
    path = pool(**keys, **({} if "alias" in keys else {"alias": ["team-a"]}))
    error = only()
    assert error.field == field
    assert str(error).startswith(f"`{path}`: `{field}` is `")
    assert words in str(error)
    assert found().pool == PoolSettings(alias=() if "alias" in keys else ("team-a",))


def test_pool_defaults_are_those_of_the_settings_and_have_no_variable() -> None:
    write_config("[pool]\n")
    assert found().pool == PoolSettings()
    error = only({f"{PREFIX}SHARE": "false"})
    assert "unknown key" in str(error)
    assert found({"TOKMON_POOL_SHARE": "false"}) == Read(Policy(), None, ())


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[select]\nthreshold = 90", "90 % is written 0.9"),
        ("[select]\nfive_hour_guard = 85", "85 % is written 0.85"),
        ("[select]\npolicy = 'forcast'", "did you mean `forecast`?"),
        ("[select]\nfive-hour-guard = 0.8", "did you mean `five_hour_guard`?"),
        ("[selct]\nchain = []", "did you mean `select`?"),
        ("chain = ['a']", "did you mean `chain` in the table `[select]`?"),
        ("[select]\nqqq = 1", f"the keys are {', '.join(KEYS)}"),
        ("[pol]\nshare = true", "did you mean `pool`?"),
        ("[pool]\nShare = true", "did you mean `share`?"),
        ("[pool]\nchain = ['a']", "did you mean `chain` in the table `[select]`?"),
        ("[select]\nshare = true", "did you mean `share` in the table `[pool]`?"),
        ("share = true", "did you mean `share` in the table `[pool]`?"),
        ("[pool]\nqqq = 1", "the keys are share, ignore, alias"),
    ],
)
def test_the_hint_names_what_was_meant(text: str, hint: str) -> None:
    write_config(text)
    assert only().hint == hint


def test_an_error_in_a_variable_names_the_variable() -> None:
    error = only({THRESHOLD: "90"})
    assert str(error).startswith(f"variable `{THRESHOLD}`: `select.threshold` is `90`, and must be a fraction")
    assert error.hint == "90 % is written 0.9"
    assert only({f"{PREFIX}CHIAN": "a"}).hint == f"did you mean `{PREFIX}CHAIN`?"
    assert "`ninety`" in str(only({f"{PREFIX}THRESHOLD": "ninety"}))
    assert only({f"{PREFIX}CHAIN": "a,,b"}).field == "select.chain[1]"
    assert only({f"{PREFIX}CHAIN": "[a"}).field == "select.chain"


def test_all_errors_are_told_at_once_also_of_what_is_overridden() -> None:
    select(chain=["a", "a", "b c"], threshold=90, qqq=1)
    errors = found({THRESHOLD: "0.9", f"{PREFIX}POLICY": "x"}).errors
    fields = ["select.chain", "select.chain[2]", "select.policy", "select.qqq", "select.threshold"]
    assert sorted(error.field for error in errors) == fields


def test_the_keys_that_are_valid_are_read_beside_those_that_are_not() -> None:
    select(chain=["a"], threshold=90, policy="threshold")
    assert found().policy == Policy(chain=("a",), policy="threshold")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"[select", "is not TOML: expected"),
        (b"a = 1\na = 2\n", "is not TOML: cannot overwrite a value (at"),
        (b"\xff", "is not TOML: it is not UTF-8"),
        (b"a = " + b"[" * 100_000, "is not TOML"),
        (b"# " + b"x" * (1 << 20), "has more than"),
        (b"select = 1", "`select` is `1`, and must be a table"),
        (b"pool = [true]", "`pool` is `[True]`, and must be a table"),
    ],
)
def test_a_file_that_is_not_a_configuration_is_one_error_that_names_it(text: bytes, words: str) -> None:
    path = write_config(text)
    assert str(only()).startswith(f"`{path}`")
    assert words in str(only())


def test_a_pipe_and_a_folder_in_its_place_are_told_and_not_waited_for() -> None:
    path = paths.find().config
    path.mkdir(parents=True)
    assert "is not a file" in str(only())
    path.rmdir()
    os.mkfifo(path)
    assert "is not a file" in str(only())


@pytest.mark.skipif(os.geteuid() == 0, reason="needs a user without the rights of root")
def test_a_file_that_may_not_be_read_is_told() -> None:
    write_config(WHOLE).chmod(0)
    assert "cannot be read: permission denied" in str(only())


def test_no_error_shows_a_credential_or_the_whole_of_a_long_value() -> None:
    secret = "sk-ant-" + "oat01-abcdefghijkl"
    select(threshold=secret, policy="y" * 5000)
    errors = " ".join(map(str, found().errors))
    assert secret not in errors
    assert len(errors) < 1000


def test_options_of_the_library_are_no_keys(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("select={}", encoding="utf-8")
    write_config(f'_env_file = "{tmp_path / "env"}"\n_secrets_dir = "/"\n_cli_parse_args = true\n')
    assert {error.field for error in found().errors} == {"_env_file", "_secrets_dir", "_cli_parse_args"}


def test_the_documented_example_is_valid_and_the_documented_keys_variables_and_defaults_are_all() -> None:
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    write_config(page.partition("```toml\n")[2].partition("```")[0])
    assert found().errors == ()
    for key in TABLES["pool"].model_fields:
        assert f"| `{key}` |" in page
    rows = [line.split(" | ") for line in page.splitlines() if PREFIX in line and line.startswith("| `")]
    assert {row[0].strip("|` ") for row in rows} == set(KEYS)
    for key, default, _, variables in rows:
        name = key.strip("|` ")
        assert f"`{PREFIX}{name.upper()}`" in variables
        value = getattr(Select(), name)
        assert default == (f"`{value:g}`" if isinstance(value, float) else f"`{value}`" if value else "none")
    assert all(variable in page for names in PER_CALL.values() for variable in names)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SCALAR = (
    st.booleans()
    | st.integers()
    | st.integers(10**299, 10**310)
    | st.floats()
    | TEXT
    | st.sampled_from([*POLICIES, *SPENDING, "a", "~/x"])
    | st.dates()
    | st.datetimes()
    | st.times()
)
VALUE = st.recursive(SCALAR, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4))
KEY = st.sampled_from(KEYS) | TEXT
POOL_KEY = st.sampled_from([*TABLES["pool"].model_fields]) | TEXT


def sound(read_: Read) -> None:
    """Whatever the errors are, what is left is a policy that can be chosen by."""
    policy = read_.policy
    named = [*policy.accounts, policy.model, *(name for pair in policy.models for name in pair)]
    assert not any(name_problem(name) for name in named)
    assert 0 < policy.threshold <= 1
    assert 0 < policy.five_hour_guard <= 1
    assert policy.session_minutes > 0
    assert policy.policy in POLICIES
    assert policy.spend_credit in SPENDING
    assert len(set(policy.chain)) == len(policy.chain)
    assert isinstance(read_.pool.share, bool)
    assert not any(name_problem(name) for name in (*read_.pool.ignore, *read_.pool.alias))
    assert all(str(error).isprintable() for error in read_.errors)


@ANY_FILE
@given(
    st.dictionaries(KEY, VALUE, max_size=5),
    st.dictionaries(POOL_KEY, VALUE, max_size=3),
    st.dictionaries(TEXT, VALUE, max_size=2),
)
def test_any_value_in_any_key_is_a_policy_or_an_error_that_names_it(
    table: dict[str, Any], pool_table: dict[str, Any], above: dict[str, Any]
) -> None:
    above = {key: value for key, value in above.items() if key not in TABLES}
    parts = [("", above), ("[select]\n", table), ("[pool]\n", pool_table)]
    write_config(
        "".join(head + "".join(f"{toml(key)} = {toml(value)}\n" for key, value in keys.items()) for head, keys in parts)
    )
    read_ = found()
    sound(read_)
    assert len(read_.errors) >= len(above)


@ANY_FILE
@given(st.binary(max_size=200))
def test_any_bytes_are_a_policy_or_an_error(text: bytes) -> None:
    write_config(text)
    sound(found())


@ANY_FILE
@given(
    st.dictionaries(
        st.sampled_from([THRESHOLD, *(f"{PREFIX}{key.upper()}" for key in KEYS)])
        | TEXT.map(lambda name: PREFIX + name),
        st.text(max_size=20) | VALUE.map(str) | st.sampled_from(["9" * 5000, "1e999", "[" * 9999, "{", "a=b,c=d"]),
        max_size=4,
    )
)
def test_any_variable_is_a_policy_or_an_error(env: dict[str, str]) -> None:
    sound(found(env))
