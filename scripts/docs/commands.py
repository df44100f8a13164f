"""The `--help` of every verb, for docs/commands.md."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from scripts.docs.screens import run
from tokmon.cli import VERBS


def verbs() -> Iterator[str]:
    """A section for each verb."""
    with ThreadPoolExecutor(2) as pool:
        texts = list(pool.map(help_of, VERBS))
    for number, (verb, text) in enumerate(zip(VERBS, texts, strict=True)):
        yield from ([""] if number else [])
        yield from (f"## `tokmon {verb}`", "", "```text", *text.splitlines(), "```")


def help_of(verb: str) -> str:
    """What `tokmon VERB --help` prints."""
    return run(f"tokmon {verb} --help")
