"""The configuration in `tokmon doctor`: invalid keys, what is in use instead, unknown names, the file of checks."""

import os

from tests.commands.clinic import finding_of, level
from tests.commands.logbook import configure, line, write
from tests.commands.screens import run
from tests.configuration import select, write_config
from tokmon import paths
from tokmon.decision import policy_cache
from tokmon.report.findings import Level


def test_a_missing_configuration_is_ok_and_names_the_proposed_accounts() -> None:
    assert "no `chain` in" in finding_of("configuration").text
    configure(team_a={"baseUrl": "https://api.anthropic.com", "api": "anthropic-messages", "apiKey": "x"})
    assert finding_of("configuration").text.endswith("proposed from the accounts of pi: `team-a`")


def test_every_invalid_key_and_value_is_named_with_its_place() -> None:
    path = select(chain=["a", "b c"], threshold=90)
    finding = finding_of("configuration", BUDGET_SWITCH_THRESHOLD="80")
    assert finding.level is Level.FAIL
    for words in (
        f"`{path}`: `select.chain[1]` is `b c`",
        f"`{path}`: `select.threshold` is `90`",
        "variable `BUDGET_SWITCH_THRESHOLD`: `select.threshold` is `80`",
        "in use: the keys that are valid",
    ):
        assert words in finding.text
    assert finding.fix == "90 % is written 0.9; 80 % is written 0.8"


def test_the_last_valid_configuration_is_named_as_the_one_in_use() -> None:
    select(chain=["a"])
    policy_cache.load(paths.find(), os.environ)
    write_config("[select")
    finding = finding_of("configuration")
    assert finding.level is Level.FAIL
    assert finding.text.endswith("in use: the last valid configuration")
    assert "`tokmon config` shows every key" in str(finding.fix)


def test_an_unknown_account_is_a_warning() -> None:
    select(chain=["team-a", "seen"], fallback=["team-z"], emergency="gate")
    configure(team_a={})
    write("piggyback.jsonl", line("seen"))
    finding = finding_of("configuration", TOKMON_PIN="x")
    assert finding.level is Level.WARN
    assert finding.text.startswith("`team-z`, `gate`, `x`: no account of pi (")


def test_a_configuration_of_known_accounts_is_ok_and_a_pin_is_shown() -> None:
    select(chain=["team-a"])
    configure(team_a={}, team_b={})
    assert finding_of("configuration").text == "forecast over `team-a`"
    assert finding_of("configuration", TOKMON_PIN="team-b").text.endswith("TOKMON_PIN pins `team-b`")
    assert level("configuration", TOKMON_PIN="team b") == "fail"


def test_a_model_that_models_json_does_not_list_is_a_warning() -> None:
    offers = {"models": [{"id": "grok-4"}, {"id": "grok-5"}]}
    configure(team_a={"models": []}, xai_a=offers, xai_b=offers)
    select(chain=["team-a", "xai-a"], fallback=["xai-b"], models={"xai-b": "grok-5"})
    finding = finding_of("configuration")
    assert finding.level is Level.WARN
    assert finding.text.startswith("`claude-sonnet-4-6` of `xai-a`: ")
    select(chain=["team-a", "xai-a"], fallback=["xai-b"], models={"xai-a": "grok-4", "xai-b": "grok-5"})
    assert finding_of("configuration").level is Level.OK


def test_doctor_writes_no_policy_cache() -> None:
    select(chain=["a"])
    assert "configuration" in run("doctor").stdout
    assert not policy_cache.path_of(paths.find()).exists()


def test_the_file_of_checks_is_shown_with_its_age_or_the_reason_why_it_is_not_used() -> None:
    assert finding_of("checks").text.startswith("check results: log only")
    path = paths.find().home / "checks.json"
    select(chain=["a"], check_file="~/checks.json")
    assert finding_of("checks").text == f"no results in `{path}` yet; `tokmon check` writes them"
    path.write_text('{"checked_at": 1795330800, "results": {"a": {"status": "ok"}}}', encoding="utf-8")
    assert finding_of("checks", now=1795330920.0).text == f"1 result in `{path}`, the newest 2m ago"
    of_the_future = finding_of("checks", now=1795320000.0)
    assert of_the_future.level is Level.WARN
    assert "(2026-11-22T07:00:00Z), which are not used" in of_the_future.text
    path.write_text("{}", encoding="utf-8")
    finding = finding_of("checks")
    assert finding.level is Level.WARN
    assert finding.text == f"`{path}` does not hold the results of pi checks; it is not used"
