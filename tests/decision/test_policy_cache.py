"""The policy as the wake reads it: validated once, kept while nothing changes, and never the reason to fail."""

import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.commands.logbook import configure
from tests.configuration import WHOLE, pool, select, write_config
from tests.patience import PATIENCE_S
from tokmon import paths
from tokmon.decision.policy_cache import LoadedPolicy, PolicyOrigin, cached, load, path_of, propose
from tokmon.pool.settings import PoolSettings
from tokmon.selection.overrides import PER_CALL
from tokmon.selection.policy import Policy

ANY_FILE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def loaded(**env: str) -> LoadedPolicy:
    return load(paths.find(), env)


def quickly(**env: str) -> Policy | None:
    found = cached(paths.find(), env)
    return None if found is None or found.errors else found.policy


def policy_file() -> Path:
    return path_of(paths.find())


def test_a_policy_is_validated_once_and_then_read_as_it_is() -> None:
    write_config(WHOLE)
    assert quickly() is None
    first = loaded()
    assert first.policy.chain == ("team-a", "team-b")
    assert quickly() == first.policy
    assert loaded() == first
    assert first.check_file == paths.find().home / "checks.json"


def test_no_configuration_is_a_policy_too() -> None:
    assert loaded() == LoadedPolicy(Policy())
    assert quickly() == Policy()


def test_the_file_is_private_and_no_other_is_left() -> None:
    select(chain=["a"])
    loaded()
    assert stat.S_IMODE(policy_file().stat().st_mode) == 0o600
    assert stat.S_IMODE(policy_file().parent.stat().st_mode) == 0o700
    assert sorted(path.name for path in policy_file().parent.iterdir()) == ["decision", "policy.json"]


def test_every_field_of_a_policy_is_kept_but_those_of_one_call() -> None:
    write_config(WHOLE)
    loaded()
    cached_fields = json.loads(policy_file().read_bytes())["entries"][0]["policy"]
    assert {*cached_fields, *PER_CALL} == {field.name for field in fields(Policy)}


def test_pool_settings_are_cached_and_outlive_an_invalid_file() -> None:
    wanted = PoolSettings(share=False, ignore=("nadja",), alias=("team-a",))
    write_config("[select]\nchain = ['a']\n[pool]\nshare = false\nignore = ['nadja']\nalias = ['team-a']\n")
    assert loaded().pool == wanted
    again = cached(paths.find(), {})
    assert again is not None
    assert again.pool == wanted
    pool(share="no")
    invalid = loaded()
    assert (invalid.pool, invalid.source) == (wanted, PolicyOrigin.LAST_VALID)
    pool(ignore=["ludo"])
    assert loaded().pool == PoolSettings(ignore=("ludo",))


def test_nothing_is_kept_for_who_only_looks() -> None:
    select(chain=["a"])
    assert load(paths.find(), {}, keep=False).policy.chain == ("a",)
    assert not policy_file().parent.exists()


@pytest.mark.parametrize("change", ["same size", "same times", "removed"])
def test_another_file_is_another_policy(change: str) -> None:
    path = select(chain=["a"])
    loaded()
    before = path.stat()
    if change == "same times":
        other = path.with_name("new")
        other.write_bytes(path.read_bytes().replace(b"61", b"62"))
        os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
        other.replace(path)
    elif change == "same size":
        path = select(chain=["b"])
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    else:
        path.unlink()
    assert quickly() is None
    assert loaded().policy.chain == (() if change == "removed" else ("b",))
    assert quickly() == loaded().policy


def test_each_set_of_variables_has_its_own_and_none_undoes_another() -> None:
    select(chain=["a"])
    for threshold in ("0.5", "0.6"):
        assert loaded(BUDGET_SWITCH_THRESHOLD=threshold).policy.threshold == float(threshold)
    assert loaded().policy.threshold == 0.9
    assert quickly(BUDGET_SWITCH_THRESHOLD="0.5") == Policy(chain=("a",), threshold=0.5)
    assert quickly(TOKMON_SELECT_CHAIN="a") is None
    assert quickly() == Policy(chain=("a",))


def test_the_file_stays_small_however_many_variables_come() -> None:
    for minutes in range(1, 30):
        loaded(TOKMON_SELECT_SESSION_MINUTES=str(minutes))
    assert len(json.loads(policy_file().read_bytes())["entries"]) == 8
    assert quickly(TOKMON_SELECT_SESSION_MINUTES="29") is not None


def test_a_pin_and_the_defaults_count_for_one_call_and_are_not_kept() -> None:
    select(chain=["a"])
    asked = {"TOKMON_PIN": "b", "TOKMON_DEFAULT_PROVIDER": "c", "VIGILIO_PROVIDER": "d", "TOKMON_DEFAULT_MODEL": "m"}
    expected = Policy(chain=("a",), pin="b", default_provider="c", default_model="m")
    assert loaded(**asked).policy == quickly(**asked) == expected
    assert quickly(VIGILIO_PROVIDER="d") == Policy(chain=("a",), default_provider="d")
    assert quickly(TOKMON_PIN=" ") == Policy(chain=("a",))
    assert b'"pin"' not in policy_file().read_bytes()


def test_a_pin_that_cannot_be_a_name_is_an_error_and_not_a_pin() -> None:
    select(chain=["a"])
    loaded()
    assert quickly(TOKMON_PIN="a b\nc") is None
    found = loaded(TOKMON_PIN="a b\nc")
    assert found.policy == Policy(chain=("a",))
    assert str(found.errors[0]) == r"variable `TOKMON_PIN` is `a b\nc`, which has white space in it"


def test_the_last_valid_one_goes_on_while_the_configuration_is_invalid() -> None:
    select(chain=["a"], threshold=0.5)
    loaded()
    for broken in ("[select]\nchain = ['b']\nthreshold = 90", "[select", "\x00"):
        write_config(broken)
        assert quickly() is None
        found = loaded(TOKMON_PIN="x")
        assert found.policy == Policy(chain=("a",), threshold=0.5, pin="x")
        assert found.source is PolicyOrigin.LAST_VALID
        assert found.errors
    select(chain=["b"])
    assert loaded() == LoadedPolicy(Policy(chain=("b",)))


def test_an_invalid_variable_leaves_the_last_valid_one_of_the_file() -> None:
    select(chain=["a"])
    loaded()
    loaded(TOKMON_SELECT_CHAIN="b")
    found = loaded(BUDGET_SWITCH_THRESHOLD="90")
    assert (found.policy, found.source) == (Policy(chain=("a",)), PolicyOrigin.LAST_VALID)
    assert quickly() == Policy(chain=("a",))


def test_where_none_was_ever_valid_the_keys_that_are_count() -> None:
    loaded()
    select(chain=["a"], threshold=90)
    found = loaded()
    assert (found.policy, found.source) == (Policy(chain=("a",)), PolicyOrigin.VALID_PART)
    assert len(found.errors) == 1


def test_what_is_kept_for_another_file_is_not_the_last_valid_one(tmp_path: Path) -> None:
    select(chain=["a"])
    loaded()
    other = {**os.environ, "TOKMON_CONFIG_DIR": str(tmp_path)}
    (tmp_path / "config.toml").write_text("[select", encoding="utf-8")
    assert load(paths.find(other), {}).policy == Policy()


def test_a_policy_of_another_version_is_not_believed() -> None:
    select(chain=["a"])
    loaded()
    policy_file().write_bytes(policy_file().read_bytes().replace(b'"version":"', b'"version":"9'))
    assert quickly() is None
    assert loaded().policy == Policy(chain=("a",))


def test_a_folder_that_cannot_be_written_costs_nothing_but_time() -> None:
    select(chain=["a"])
    policy_file().parent.parent.mkdir(parents=True, exist_ok=True)
    policy_file().parent.write_bytes(b"")
    assert loaded() == LoadedPolicy(Policy(chain=("a",)))


def test_a_pipe_or_a_folder_in_its_place_is_passed_over() -> None:
    select(chain=["a"])
    policy_file().parent.mkdir(mode=0o700, parents=True)
    os.mkfifo(policy_file())
    assert quickly() is None
    assert loaded().policy == Policy(chain=("a",))
    policy_file().unlink()
    policy_file().mkdir()
    assert quickly() is None
    assert loaded().policy == Policy(chain=("a",))


def test_many_at_once_find_the_same() -> None:
    select(chain=["a"])
    program = (
        "import os; from tokmon import paths; from tokmon.decision import policy_cache as cache; "
        "print(cache.load(paths.find(), os.environ).policy)"
    )
    with ThreadPoolExecutor(8) as pool:
        runs = [
            pool.submit(subprocess.check_output, [sys.executable, "-c", program], timeout=PATIENCE_S) for _ in range(16)
        ]
        assert len({run.result() for run in runs}) == 1
    assert quickly(**os.environ) == Policy(chain=("a",))


def test_what_is_kept_is_read_without_the_library_that_validates() -> None:
    write_config(WHOLE)
    load(paths.find(), os.environ)
    program = """
import os, sys
from tokmon import paths
from tokmon.decision import policy_cache
assert policy_cache.cached(paths.find(), os.environ) is not None
assert policy_cache.load(paths.find(), os.environ).check_file is not None
slow = {"pydantic", "pydantic_settings", "tomllib", "tokmon.decision.settings"}
print(sorted(slow & {*sys.modules}))
"""
    assert subprocess.check_output([sys.executable, "-c", program], timeout=PATIENCE_S) == b"[]\n"


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place within a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(leaf for key, each in inner for leaf in leaves(each, (*path, key)))]


@ANY_FILE
@given(st.data())
def test_any_value_in_any_place_of_what_is_kept_is_a_policy_or_nothing(data: st.DataObject) -> None:
    write_config(WHOLE)
    policy_file().unlink(missing_ok=True)
    loaded()
    tree = {"whole": json.loads(policy_file().read_bytes())}
    *above, last = data.draw(st.sampled_from(leaves(tree)[1:]))
    inner: Any = tree
    for key in above:
        inner = inner[key]
    inner[last] = data.draw(JSON)
    policy_file().write_text(json.dumps(tree["whole"]), encoding="utf-8")
    policy, kept = quickly(), cached(paths.find(), {})
    assert policy is None or (policy.threshold > 0 and all(name.isprintable() for name in policy.accounts))
    assert kept is None or all(name.isprintable() for name in (*kept.pool.ignore, *kept.pool.alias))
    assert isinstance(loaded().policy, Policy)


@ANY_FILE
@given(st.binary(max_size=100) | st.sampled_from([b"[" * 100_000, b'{"version":1e999}', b"9" * 5000]))
def test_any_bytes_in_its_place_are_passed_over(text: bytes) -> None:
    select(chain=["a"])
    policy_file().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    policy_file().write_bytes(text)
    assert quickly() is None
    assert loaded().policy == Policy(chain=("a",))


def test_a_chain_is_proposed_out_of_models_json_where_none_is_configured() -> None:
    seat = {"baseUrl": "https://api.anthropic.com", "api": "anthropic-messages"}
    configure(
        paid_key={**seat, "apiKey": "sk-ant-" + "api03-x"},
        gate={"baseUrl": "https://llm.exe.dev", "models": [{"id": "claude-sonnet-4-6"}]},
        grok={"baseUrl": "https://api.x.ai/v1", "models": [{"id": 3}, {"id": "grok-4"}]},
        team_a={**seat, "apiKey": "sk-ant-" + "oat01-x"},
        no_models={"baseUrl": "https://api.x.ai/v1"},
        team_b={**seat, "apiKey": "sk-ant-" + "oat01-y", "models": "odd"},
        gate_2={"baseUrl": "https://other.exe.dev", "models": [{"id": "x y"}, {"id": "m"}]},
        **{"two words": {**seat, "apiKey": "sk-ant-" + "oat01-z"}},
    )
    assert propose(paths.find(), Policy(threshold=0.5)) == Policy(
        chain=("team-a", "team-b", "paid-key", "grok"),
        fallback=("gate-2",),
        emergency="gate",
        models=(("grok", "grok-4"), ("gate-2", "m")),
        threshold=0.5,
    )


def test_models_json_may_have_what_pi_allows_in_it() -> None:
    path = configure(grok={"baseUrl": "https://api.x.ai/v1", "models": [{"id": "grok-4"}]})
    path.write_bytes(b"// mine\n" + path.read_bytes())
    assert propose(paths.find(), Policy()) == Policy(chain=("grok",), models=(("grok", "grok-4"),))


def test_a_configured_model_counts_in_what_is_proposed() -> None:
    configure(grok={"baseUrl": "https://api.x.ai/v1", "models": [{"id": "grok-3"}]}, odd={"models": [1]})
    configured = propose(paths.find(), Policy(models=(("grok", "grok-4"), ("other", "m"))))
    assert configured.chain == ("grok",)
    assert configured.model_of("grok") == "grok-4"


def test_nothing_is_proposed_where_models_json_says_nothing() -> None:
    assert propose(paths.find(), Policy()) == Policy()
    paths.find().models.parent.mkdir(parents=True)
    paths.find().models.write_text("[", encoding="utf-8")
    assert propose(paths.find(), Policy()) == Policy()
