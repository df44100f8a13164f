"""The program `tokmon` of a version. The one that pip makes imports more than a wake needs."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_LONGEST: Final = 127
"""Characters that every system takes in the first line of a script."""

_TEXT: Final = """\
#!{python} -IS
import sys

sys.path += {packages!r}
from tokmon.entry import main

sys.exit(main())
"""


def text(python: Path, packages: Sequence[Path]) -> str | None:
    """The program, for that interpreter; None where the first line of a script cannot name it.

    The interpreter starts without `site`, which is a sixth of a wake; `entry` makes up for it where more is imported.
    """
    first = f"#!{python} -IS"
    if len(first) > _LONGEST or shlex.quote(str(python)) != str(python):
        return None
    return _TEXT.format(python=python, packages=[str(each) for each in packages])
