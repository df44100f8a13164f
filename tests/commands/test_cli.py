"""The command line as a whole: help, suggestions, the style of errors, and the last resort."""

import ast
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import tokmon as package
from tests.commands.logbook import tokmon
from tests.commands.screens import run
from tests.configuration import select
from tests.patience import PATIENCE_S
from tokmon import errors
from tokmon.cli import INTERNAL, VERBS
from tokmon.report import arguments


def test_help_lists_every_verb_with_the_summary_of_its_module() -> None:
    listed = run("--help").stdout
    for verb, summary in VERBS.items():
        assert f"  {verb:<10} {summary}\n" in listed
    for verb in VERBS:
        assert VERBS[verb] == importlib.import_module(f"tokmon.commands.{verb}").SUMMARY
    modules = {path.stem for path in (Path(package.__file__).parent / "commands").glob("*.py")} - {"__init__"}
    assert modules == {*VERBS}


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_has_its_summary_and_examples(verb: str) -> None:
    done = run(verb, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert VERBS[verb] in done.stdout
    examples = done.stdout.partition("example")[2].splitlines()[1:]
    assert examples
    assert any(re.search(rf"\btokmon {verb}\b", example) for example in examples)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("stauts",), "tokmon status"),
        (("selct",), "tokmon select"),
        (("select", "--explian"), "--explain"),
        (("guard", "--fail-opne"), "--fail-open"),
        (("sidecar", "--detatch"), "--detach"),
        (("status", "--jsno"), "--json"),
        (("monitor", "--provder=x"), "--provider"),
        (("check", "--dedline", "3"), "--deadline"),
        (("tail", "--no-folow"), "--no-follow"),
        (("replay", "--simulat", "1"), "--simulate"),
        (("doctor", "--fx"), "--fix"),
        (("config", "--outpt", "x"), "--output"),
        (("read", "--hlp"), "--help"),
        (("extension", "--chek"), "--check"),
        (("install", "--dry-rum"), "--dry-run"),
        (("uninstall", "--purg"), "--purge"),
    ],
)
def test_a_mistyped_verb_or_option_gets_a_suggestion(words: tuple[str, ...], meant: str) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[1] == f"hint: did you mean `{meant}`?"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("frobnicate",), "unknown verb `frobnicate`"),
        (("status", "x"), "unexpected argument `x`"),
        (("guard", "a", "b"), "unexpected argument `b`"),
        (
            ("status", "--format", "jsn"),
            "`--format` must be one of `text`, `json`, `wake`, not `jsn`; did you mean `json`?",
        ),
        (("status", "--json", "--format", "wake"), "`--format` not allowed with argument `--json`"),
        (("monitor", "--deadline", "0"), "`--deadline` must be seconds, above 0 and up to 300, not `0`"),
        (("monitor", "--deadline", "soon"), "`--deadline` must be seconds, above 0 and up to 300, not `soon`"),
        (("check", "--jobs", "17"), "`--jobs` must be a whole number from 1 to 16, not `17`"),
        (("tail", "-n", "-3"), "`--lines` must be a whole number from 0 on, not `-3`"),
        (("tail", "--lines"), "`--lines` needs a value"),
        (("select", "--resume"), "`--resume` needs the account of the session"),
        (("sidecar", "--fsync"), "`--fsync` needs a value"),
        (("sidecar", "--fsync", "often"), "`--fsync` must be one of `interval`, `always`, `never`, not `often`"),
    ],
)
def test_a_usage_error_is_one_line_and_a_hint(words: tuple[str, ...], message: str) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    error, hint = done.stderr.splitlines()
    assert error == f"error: {message}"
    assert hint.startswith("hint: ")


def test_an_unknown_account_of_monitor_gets_a_suggestion() -> None:
    models = Path(os.environ["HOME"]) / ".pi" / "agent" / "models.json"
    models.parent.mkdir(parents=True)
    models.write_text('{"providers": {"team-ludo": {"baseUrl": "https://x", "api": "openai-completions"}}}')
    done = run("monitor", "--provider", "team-luod")
    assert done.stderr == "error: pi has no account `team-luod`\nhint: did you mean `team-ludo`?\n"
    assert run("monitor", "--provider", "x").stderr.endswith("hint: pi has `team-ludo`\n")


def test_without_a_verb_the_help_is_a_usage_error() -> None:
    done = run()
    assert done.returncode == 2
    assert done.stdout.startswith("usage: tokmon [--debug] VERB")


class Broken(ModuleType):
    @staticmethod
    def run(_arguments: list[str]) -> int:
        raise TypeError("of ours\nand more")


def test_an_unexpected_exception_is_one_line_with_a_hint_and_exits_70(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokmon.commands.status", Broken("broken"))
    done = run("status", "--json")
    assert (done.returncode, done.stdout) == (INTERNAL, "")
    error, hint = done.stderr.splitlines()
    assert error == "error: internal error: TypeError: of ours and more"
    assert hint.startswith("hint: please report this")
    assert "`tokmon --debug status`" in hint


@pytest.mark.parametrize(("words", "env"), [(("--debug", "status"), {}), (("status",), {"TOKMON_DEBUG": "1"})])
def test_debug_shows_the_traceback_of_an_unexpected_exception(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], env: dict[str, str]
) -> None:
    monkeypatch.setitem(sys.modules, "tokmon.commands.status", Broken("broken"))
    done = run(*words, **env)
    assert done.returncode == INTERNAL
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert "error: internal error: TypeError: of ours and more\n" in done.stderr


def test_an_internal_error_is_caught_in_a_real_process_too() -> None:
    select(chain=["team-a"])
    program = (
        "import tokmon.commands.status as status, tokmon.cli as cli\n"
        "status.run = lambda _: 1 / 0\n"
        "raise SystemExit(cli.main(['status']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
    assert done.returncode == INTERNAL
    assert done.stderr.splitlines()[0] == "error: internal error: ZeroDivisionError: division by zero"
    assert tokmon("status").returncode == 0


def errors_of_tokmon() -> list[tuple[str, str]]:
    """Every literal message and hint of an error that the package raises, with its place."""
    names = {name for name, value in vars(errors).items() if isinstance(value, type) and name.endswith("Error")}
    texts = []
    for path in sorted(Path(package.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names and node.args:
                hints = [keyword.value for keyword in node.keywords if keyword.arg == "hint"]
                texts += [(f"{path.name}:{node.lineno}", literal(part)) for part in (node.args[0], *hints)]
    return texts


def literal(node: ast.expr) -> str:
    """The text of a literal or an f-string, with a placeholder for what is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(literal(part) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return ""


def test_every_error_is_lower_case_and_without_a_full_stop() -> None:
    messages = [(place, text) for place, text in errors_of_tokmon() if text]
    assert len(messages) > 60
    wrong = [
        (place, text)
        for place, text in messages
        if text.endswith(".") or (text[0].isupper() and not re.match(r"[A-Z]{2,}|[A-Z][a-z]+Error", text))
    ]
    assert wrong == []


def test_a_parser_shows_one_example_as_an_example() -> None:
    assert "example:\n  tokmon x" in arguments.parser("x", "do x", examples=("tokmon x",)).format_help()
