"""Every command, option, variable, file and module that a page names exists."""

import importlib.util
import re
import shlex
from functools import cache
from pathlib import Path

from scripts.docs.commands import help_of
from tests.docs.pages import ROOT, commands, every_page, spans
from tokmon.cli import VERBS
from tokmon.decision.settings import KEYS
from tokmon.doctor_checks import TABLE
from tokmon.selection.overrides import PREFIX

_TOKMON = re.compile(r"(?:^|[\s/$(\"';])tokmon ([^|&;#)]*)")
_OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")
_VARIABLE = re.compile(r"\b(?:TOKMON|BUDGET|VIGILIO)_[A-Z_]+")
_PATH = re.compile(r"(?:tokmon|scripts|tests|hooks|bootstrap|extensions|docs|[a-z_]+)/[\w./-]*\.(?:py|ts|sh|md|json)")
_MODULE = re.compile(r"python -m ([a-z_.]+)")
_GLOBAL = {"--debug", "--help", "--version"}
_SOURCES = ("tokmon/**/*.py", "extensions/**/*.ts", "hooks/*", "bootstrap/*", "scripts/*", "tests/conftest.py")


@every_page
def test_commands_and_options_exist(page: Path) -> None:
    for line in commands(page):
        for match in _TOKMON.finditer(line):
            words = _words(match[1])
            verb = next((word for word in words if not word.startswith("-")), "VERB")
            if not verb.islower():  # a placeholder, as in `tokmon VERB --help`
                continue
            assert verb in VERBS, f"`{line}`: no such verb"
            options = {option[0] for word in words if (option := _OPTION.match(word))}
            assert options <= _options(verb) | _GLOBAL, f"`{line}`: no such option"


def _words(text: str) -> list[str]:
    """The words as a shell takes them, without what it would not understand."""
    try:
        return shlex.split(text, comments=True)
    except ValueError:
        return text.split()


@cache
def _options(verb: str) -> set[str]:
    return set(_OPTION.findall(help_of(verb)))


@every_page
def test_variables_are_read_somewhere(page: Path) -> None:
    named = set(_VARIABLE.findall(page.read_text(encoding="utf-8")))
    known = _variables()
    assert {name for name in named if name not in known} == set()


@cache
def _variables() -> set[str]:
    files = (
        path for pattern in _SOURCES for path in ROOT.glob(pattern) if path.is_file() and "_shipped" not in path.parts
    )
    read = {name for path in files for name in _VARIABLE.findall(path.read_text(encoding="utf-8"))}
    return read | {f"{PREFIX}{key.upper()}" for key in KEYS} | {PREFIX}


@every_page
def test_files_and_modules_exist(page: Path) -> None:
    for span in spans(page):
        if _PATH.fullmatch(span) and span == span.lower():
            assert (ROOT / span).exists() or (ROOT / "tokmon" / span).exists(), f"`{span}`: no such file"
    for line in commands(page):
        for module in _MODULE.findall(line):
            assert importlib.util.find_spec(module) is not None, f"`{line}`: no such module"


def test_troubleshooting_explains_every_check_of_the_doctor_in_its_order() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    table = page.partition("## By check of the doctor")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(TABLE)
