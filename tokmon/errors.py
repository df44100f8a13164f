"""Everything that tokmon raises on purpose.

    TokmonError            shown as one line on stderr, exit 1
      UsageError           the command line is wrong, exit 2
      FieldError           an invalid value, with the field that it stands in
        WireError          ... in a line of the wire
        InputError         ... in a line of a command's input
        SettingsError      ... in the configuration
      StoreError           a log cannot be read or written
      RunningError         another sidecar holds the lock
      InstallError         a step of the installer failed

Messages are lower case, without a full stop, literals in backticks; `hint` says what to do.
"""

from collections.abc import Iterable
from typing import ClassVar


class TokmonError(Exception):
    """The root: `str()` is the message, `hint` what to do (or None), `exit_code` what the command returns."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(TokmonError):
    """The command line is wrong."""

    exit_code = 2


def reason_of(error: BaseException) -> str:
    """Why something failed: the system's words in lower case, without path and number; any other error's own words."""
    return error.strerror.lower() if isinstance(error, OSError) and error.strerror else str(error)


def unexpected_argument(word: str, known: Iterable[str], verb: str) -> UsageError:
    """The error for an argument that the verb does not have; its hint is the nearest that it has."""
    near = nearest(word.partition("=")[0], known)
    hint = f"did you mean `{near}`?" if near else f"`tokmon {verb} --help` lists the options"
    return UsageError(f"unexpected argument `{word}`", hint=hint)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The one of these words that was probably meant, if there is one."""
    from difflib import get_close_matches  # noqa: PLC0415 - for an error alone

    return next(iter(get_close_matches(word, list(known), 1)), None)


class FieldError(TokmonError):
    """An invalid value. `field` is its dotted path, as in `headers.retry-after`."""

    def __init__(self, message: str, *, field: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.field = field


class WireError(FieldError):
    """A line of the wire that is not an event."""


class InputError(FieldError):
    """A line of a command's input that cannot be read."""


class SettingsError(FieldError):
    """A configuration key with an invalid value."""


class StoreError(TokmonError):
    """A log cannot be read or written."""


class RunningError(TokmonError):
    """Another sidecar of this member holds the lock."""


class InstallError(TokmonError):
    """A step of the installer failed."""
