"""Command lines: a parser with examples in its help, and with errors in tokmon's style. Standard library alone."""

import argparse
import re
from collections.abc import Callable, Sequence
from typing import Final, NoReturn

from tokmon.errors import UsageError, nearest, unexpected_argument

_MESSAGES: Final = {
    "expected one argument": "needs a value",
    "expected at least one argument": "needs at least one value",
}
_OPTION: Final = re.compile(r"(?<![`\w-])(--?[a-z][\w-]*)")


class Parser(argparse.ArgumentParser):
    """A parser of one verb's arguments. Create it with `parser`; `parse_args` raises UsageError."""

    def __init__(self, verb: str, summary: str, epilog: str = "", usage: str | None = None) -> None:
        super().__init__(
            prog=f"tokmon {verb}",
            usage=usage,
            description=summary,
            epilog=epilog,
            allow_abbrev=False,
            exit_on_error=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self._verb = verb
        self._positionals.title = "arguments"

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """The arguments; UsageError, with the option that was probably meant, where they are wrong."""
        try:
            parsed, unexpected = self.parse_known_args(words)
        except argparse.ArgumentError as error:
            message = _MESSAGES.get(error.message, _OPTION.sub(r"`\1`", error.message))
            name = error.argument_name or ""
            raise UsageError(f"`{name.split('/')[-1]}` {message}" if name else message, hint=self._hint()) from error
        if unexpected:
            shown = [name for name, action in self._option_string_actions.items() if action.help != argparse.SUPPRESS]
            raise unexpected_argument(unexpected[0], shown, self._verb)
        return parsed

    def error(self, message: str) -> NoReturn:
        """Raise UsageError: what argparse itself would print is not in tokmon's style."""
        raise UsageError(_OPTION.sub(r"`\1`", message), hint=self._hint())

    def _hint(self) -> str:
        return f"`{self.prog} --help` lists the options"

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            choices = [str(choice) for choice in action.choices]
            near = nearest(str(value), choices)
            listed = ", ".join(f"`{choice}`" for choice in choices)
            meant = f"; did you mean `{near}`?" if near else ""
            raise argparse.ArgumentError(action, f"must be one of {listed}, not `{value}`{meant}")


def parser(verb: str, summary: str, *, examples: Sequence[str], more: str = "") -> Parser:
    """A parser whose help ends with examples (command lines), after `more`."""
    shown = "\n".join(f"  {example}" for example in examples)
    heading = "example" if len(examples) == 1 else "examples"
    return Parser(verb, summary, f"{more}\n\n{heading}:\n{shown}".lstrip("\n"))


def number(least: float, most: float, unit: str) -> Callable[[str], float]:
    """An option's type: a number above `least` and up to `most`, in that unit."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least < value <= most:
            raise argparse.ArgumentTypeError(f"must be {unit}, above {least:g} and up to {most:g}, not `{text}`")
        return value

    return read


def whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    """An option's type: a whole number from `least` on, up to `most` if there is one."""

    def read(text: str) -> int:
        value = int(text) if text.removeprefix("-").isdecimal() and len(text) < _LONGEST_NUMBER else None
        if value is None or value < least or (most is not None and value > most):
            limits = f"from {least} on" if most is None else f"from {least} to {most}"
            raise argparse.ArgumentTypeError(f"must be a whole number {limits}, not `{text}`")
        return value

    return read


_LONGEST_NUMBER: Final = 10
