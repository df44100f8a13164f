"""Everything that tokmon raises on purpose.

    TokmonError            shown as one line on stderr, exit 1
      UsageError           the command line is off, exit 2
      FieldError           a value that cannot be, with the place it stands in
        WireError          ... in a line of the wire
        SettingsError      ... in the configuration
      StoreError           a log could not be written or read
      RunningError         another sidecar holds the lock
      InstallError         a step of the installer cannot be taken

Messages are lower case, without a full stop, literals in backticks; `hint` says what to do about it.
"""

from typing import ClassVar


class TokmonError(Exception):
    """The root: `str()` is the message, `hint` the way out (or None), `exit_code` what the command returns."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(TokmonError):
    """The command line is off."""

    exit_code = 2


class FieldError(TokmonError):
    """A value that cannot be. `field` is its dotted path, as in `headers.retry-after`."""

    def __init__(self, message: str, *, field: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.field = field


class WireError(FieldError):
    """A line of the wire that is not an event."""


class InputError(FieldError):
    """A line of a command's input that cannot be read."""


class SettingsError(FieldError):
    """A configuration key with a value that cannot be."""


class StoreError(TokmonError):
    """A log could not be written or read."""


class RunningError(TokmonError):
    """Another sidecar of this member holds the lock."""


class InstallError(TokmonError):
    """A step of the installer cannot be taken."""
